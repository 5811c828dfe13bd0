//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd

package vfs

import "errors"

func (f *osFile) id() (dev, ino uint64, err error) { return 0, 0, errors.ErrUnsupported }
