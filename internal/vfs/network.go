package vfs

// NetworkFile tells whether f is known to be on a file system that other machines
// can write to (NFS, SMB, 9p, Ceph, a cluster's shared disk). Neither mappings nor
// locks need to work between the machines then. Whether a FUSE file system is
// such a one cannot be told, and is false, as is everything but files of OS on
// Linux.
func NetworkFile(f File) bool {
	n, ok := f.(interface{ OnNetwork() bool })
	if !ok {
		n, ok = Innermost(f).(interface{ OnNetwork() bool })
	}
	return ok && n.OnNetwork()
}
