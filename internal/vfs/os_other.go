//go:build !darwin && !dragonfly && !freebsd && !linux && !netbsd && !windows

package vfs

import "errors"

// This file lets folio build on systems whose mappings do not follow positioned
// writes (OpenBSD), or where nobody has tried. Nothing can be opened there but
// what NewMem holds.

func publish(tmp, name string) error { return linkPublish(tmp, name) }

func syncDir(string) error { return errors.ErrUnsupported }

func isNoSpace(error) bool { return false }

type osLock struct{}

func (f *osFile) WriteVecAt(bufs [][]byte, off int64) error { return writeEach(f.f, bufs, off) }
func (f *osFile) Sync() error                               { return f.f.Sync() }
func (f *osFile) ReadCached(b []byte, off int64) bool       { return readCached(f.f, b, off) }

func (f *osFile) StartWrite(off, length int64) error   { return nil }
func (f *osFile) DropCache(off, length int64) error    { return nil }
func (f *osFile) TryLock(exclusive bool) (bool, error) { return false, errors.ErrUnsupported }
func (f *osFile) Unlock() error                        { return errors.ErrUnsupported }

func (f *osFile) Map(length int64) (Mapping, error)         { return nil, errors.ErrUnsupported }
func (f *osFile) MapWritable(length int64) (Mapping, error) { return nil, errors.ErrUnsupported }
