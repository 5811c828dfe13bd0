package vfs

import (
	"slices"

	"golang.org/x/sys/unix"
)

// networkTypes are the types of file systems (statfs) that machines share. Those
// written as numbers are of drivers outside the kernel's tree.
var networkTypes = []uint32{
	unix.NFS_SUPER_MAGIC,
	unix.SMB_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC,
	unix.V9FS_MAGIC,
	unix.AFS_SUPER_MAGIC, unix.AFS_FS_MAGIC, unix.CODA_SUPER_MAGIC, unix.NCP_SUPER_MAGIC,
	unix.CEPH_SUPER_MAGIC,
	unix.OCFS2_SUPER_MAGIC,
	0x01161970, // GFS and GFS2
	0x0bd00bd0, // Lustre
	0x20030528, // OrangeFS
	0x47504653, // GPFS
	0x19830326, // BeeGFS
	0x786f4256, // folders of VirtualBox
	0xbacbacbc, // folders of VMware
}

// OnNetwork is NetworkFile.
func (f *osFile) OnNetwork() bool {
	typ, err := f.fsType()
	return err == nil && slices.Contains(networkTypes, typ)
}

// fsType returns the magic number of the file system.
func (f *osFile) fsType() (uint32, error) {
	var st unix.Statfs_t
	err := f.control("fstatfs", func(fd uintptr) error {
		return retryEINTR(func() error { return unix.Fstatfs(int(fd), &st) })
	})
	return uint32(st.Type), err // the field's type depends on the processor
}
