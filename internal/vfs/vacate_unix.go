//go:build darwin || dragonfly || freebsd || linux || netbsd

package vfs

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// Vacate maps anonymous memory over the bytes. That takes their address, for which
// there is package unsafe; the length is theirs, so nothing else is mapped over, and
// they are no memory of the collector's.
func (m *mmapping) Vacate() error {
	if m.b == nil {
		return nil
	}
	_, err := unix.MmapPtr(-1, 0, unsafe.Pointer(unsafe.SliceData(m.b)), uintptr(len(m.b)),
		unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_FIXED)
	return m.wrap("mmap", err)
}
