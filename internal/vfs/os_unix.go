//go:build darwin || dragonfly || freebsd || netbsd

package vfs

import "errors"

func publish(tmp, name string) error { return linkPublish(tmp, name) }

func (f *osFile) WriteVecAt(bufs [][]byte, off int64) error { return writeEach(f.f, bufs, off) }

// Sync is F_FULLFSYNC on macOS, whose fsync leaves the data in the drive's
// cache, and fsync elsewhere.
func (f *osFile) Sync() error { return f.f.Sync() }

func (f *osFile) ReadCached(b []byte, off int64) bool { return readCached(f.f, b, off) }

func (f *osFile) StartWrite(off, length int64) error { return nil }

func (f *osFile) DropCache(off, length int64) error { return nil }

func (f *osFile) MapWritable(length int64) (Mapping, error) { return nil, errors.ErrUnsupported }

func reopen(int) (int, bool) { return 0, false }

func populate([]byte) error { return nil }

func fetch([]byte) {}
