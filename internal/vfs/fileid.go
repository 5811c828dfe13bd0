package vfs

import "errors"

// FileID returns what identifies the file that f has open among all files of this
// machine: its device and its inode. A file keeps them as long as it has a name or
// a handle; a later one can get the same. For files of another FS than OS, and on
// systems without inodes (Windows), the error is errors.ErrUnsupported: see
// SameFile.
func FileID(f File) (dev, ino uint64, err error) {
	of, ok := f.(*osFile)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return of.id()
}
