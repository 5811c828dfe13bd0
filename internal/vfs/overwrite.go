package vfs

// OverwriteInPlace asks that what is stored in f again goes to where it is on the
// disk, so that a file system that copies on write (btrfs) needs no room for it: a
// store through a mapping that finds none is a fault. It does something for files of
// OS on btrfs that are empty; elsewhere that is so anyway, or cannot be had. A
// snapshot of the file system makes each block be copied once more.
func OverwriteInPlace(f File) {
	if of, ok := f.(*osFile); ok {
		of.overwriteInPlace()
	}
}
