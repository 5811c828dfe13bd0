//go:build linux

package disk

// This file is responsible for the file that a loop device is on. It is opened with
// direct I/O, so that the kernel keeps no copy of it.

import (
	"context"
	"path/filepath"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// Device is a block device.
type Device struct {
	// Path is the name of the device.
	Path    string
	size    int64
	backend atomic.Pointer[Backend]
	server  *fuse.Server
}

const fileName = "disk"

// maxWrite is how many bytes a write to the disk has at most. A request of the device
// must not have more, because the kernel would make several writes of it, and when one
// fails that is not the first, a loop device takes that for success.
const maxWrite = 512 << 10

// NewDevice makes a device of size bytes. dir is an empty directory of its own.
func NewDevice(dir string, size int64, b Backend) (*Device, error) {
	d := &Device{size: size}
	d.Set(b)
	server, err := fs.Mount(dir, &rootNode{device: d}, &fs.Options{MountOptions: fuse.MountOptions{
		DirectMountStrict: true, DisableXAttrs: true, MaxWrite: maxWrite, FsName: "folio-crash", Name: "folio-crash",
	}})
	if err != nil {
		return nil, err
	}
	d.server = server
	d.Path, err = attachLoop(filepath.Join(dir, fileName))
	return d, err
}

// Set replaces what is behind the device. Nobody may use it at the moment.
func (d *Device) Set(b Backend) { d.backend.Store(&b) }

type rootNode struct {
	fs.Inode
	device *Device
}

var _ fs.NodeOnAdder = (*rootNode)(nil)

func (r *rootNode) OnAdd(ctx context.Context) {
	node := r.NewPersistentInode(ctx, &fileNode{device: r.device}, fs.StableAttr{Ino: 2})
	r.AddChild(fileName, node, false)
}

type fileNode struct {
	fs.Inode
	device *Device
}

var (
	_ fs.NodeGetattrer = (*fileNode)(nil)
	_ fs.NodeOpener    = (*fileNode)(nil)
	_ fs.NodeReader    = (*fileNode)(nil)
	_ fs.NodeWriter    = (*fileNode)(nil)
	_ fs.NodeFsyncer   = (*fileNode)(nil)
)

func (f *fileNode) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size = syscall.S_IFREG|0o600, uint64(f.device.size)
	return 0
}

func (f *fileNode) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

func (f *fileNode) Read(_ context.Context, _ fs.FileHandle, p []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	p = p[:max(0, min(int64(len(p)), f.device.size-off))]
	if len(p) == 0 {
		return fuse.ReadResultData(nil), 0
	}
	if err := (*f.device.backend.Load()).ReadAt(p, off); err != nil {
		return nil, fs.ToErrno(err)
	}
	return fuse.ReadResultData(p), 0
}

func (f *fileNode) Write(_ context.Context, _ fs.FileHandle, p []byte, off int64) (uint32, syscall.Errno) {
	if off+int64(len(p)) > f.device.size {
		return 0, syscall.ENOSPC
	}
	if err := (*f.device.backend.Load()).WriteAt(p, off); err != nil {
		return 0, fs.ToErrno(err)
	}
	return uint32(len(p)), 0
}

func (f *fileNode) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	return fs.ToErrno((*f.device.backend.Load()).Flush())
}
