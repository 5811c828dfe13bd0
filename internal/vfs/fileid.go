package vfs

import "errors"

// FileID returns what identifies the file that f has open among all files of this
// machine: its device and its inode. A file keeps them as long as it has a name or
// a handle; a later one can get the same. For files of another FS than OS, and on
// systems without inodes (Windows), the error is errors.ErrUnsupported: see
// SameFile.
func FileID(f File) (dev, ino uint64, err error) {
	of, ok := Innermost(f).(*osFile)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return of.id()
}

// Wrapper is a File around another one, which is the same to others: it has its name,
// its identity and its locks.
type Wrapper interface{ Unwrap() File }

// Innermost returns the File that f is wrapped around, or f.
func Innermost(f File) File {
	for {
		w, ok := f.(Wrapper)
		if !ok || w.Unwrap() == nil {
			return f
		}
		f = w.Unwrap()
	}
}
