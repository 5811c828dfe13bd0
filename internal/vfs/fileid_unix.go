//go:build darwin || dragonfly || freebsd || linux || netbsd

package vfs

import (
	"errors"
	"syscall"
)

func (f *osFile) id() (dev, ino uint64, err error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, 0, errors.ErrUnsupported
	}
	return uint64(st.Dev), uint64(st.Ino), nil
}
