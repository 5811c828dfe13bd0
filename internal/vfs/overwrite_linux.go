package vfs

import "golang.org/x/sys/unix"

// nocow is FS_NOCOW_FL.
const nocow = 0x00800000

// overwriteInPlace sets the flag of chattr +C. Other file systems take the flag for
// something else.
func (f *osFile) overwriteInPlace() {
	if typ, err := f.fsType(); err != nil || typ != unix.BTRFS_SUPER_MAGIC {
		return
	}
	_ = f.control("ioctl", func(fd uintptr) error {
		flags, err := unix.IoctlGetUint32(int(fd), unix.FS_IOC_GETFLAGS)
		if err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(int(fd), unix.FS_IOC_SETFLAGS, int(flags|nocow))
	})
}
