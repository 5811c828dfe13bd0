//go:build darwin || dragonfly || freebsd || linux || netbsd

package vfs

import (
	"errors"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// This file holds what the Unix systems with a unified page cache share: mmap,
// flock, and syncing a directory.

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) || errors.Is(err, unix.EFBIG)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	// Some file systems have nothing to sync in a directory and say so.
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOTSUP) {
		err = nil
	}
	return errors.Join(err, d.Close())
}

// osLock is empty: the kernel remembers who holds a flock.
//
//lint:ignore U1000 Windows keeps a state here.
type osLock struct{}

func (f *osFile) TryLock(exclusive bool) (bool, error) {
	how := unix.LOCK_SH | unix.LOCK_NB
	if exclusive {
		how = unix.LOCK_EX | unix.LOCK_NB
	}
	err := f.flock(how)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

func (f *osFile) Unlock() error { return f.flock(unix.LOCK_UN) }

func (f *osFile) flock(how int) error {
	return f.control("flock", func(fd uintptr) error {
		return retryEINTR(func() error { return unix.Flock(int(fd), how) })
	})
}

func (f *osFile) Map(length int64) (Mapping, error) { return f.mmap(length, unix.PROT_READ) }

// mmap maps the file. What is only to be read is mapped through a descriptor that can only
// read, if there can be one: the system need not look in such a mapping for changed pages
// each time it writes pages of the file, which took 7 % of a commit's processor time.
func (f *osFile) mmap(length int64, prot int) (Mapping, error) {
	if err := f.checkMapLength(length); err != nil {
		return nil, err
	}
	m := &mmapping{name: f.Name()}
	err := f.control("mmap", func(fd uintptr) (err error) {
		by := int(fd)
		if prot == unix.PROT_READ {
			if reader, ok := reopen(by); ok {
				defer unix.Close(reader) // the mapping stays, and so do our locks
				by = reader
			}
		}
		m.b, err = unix.Mmap(by, 0, int(length), prot, unix.MAP_SHARED)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// mmapping is a Mapping made by mmap.
type mmapping struct {
	b    []byte
	name string
}

func (m *mmapping) Bytes() []byte       { return m.b }
func (m *mmapping) MayExceedFile() bool { return true }

func (m *mmapping) Populate(off, n int64) error {
	b, err := m.aligned(off, n)
	if err == nil && len(b) > 0 {
		err = populate(b)
	}
	return m.wrap("populate", err)
}

func (m *mmapping) Fetch(off, n int64) error {
	if b, err := m.aligned(off, n); err == nil && len(b) > 0 {
		fetch(b)
	}
	return m.Populate(off, n)
}

func (m *mmapping) Lock(off, n int64) error {
	b, err := m.aligned(off, n)
	if err == nil && len(b) > 0 {
		err = retryEINTR(func() error { return unix.Mlock(b) })
	}
	return m.wrap("mlock", err)
}

func (m *mmapping) Close() error {
	if m.b == nil {
		return nil
	}
	b := m.b
	m.b = nil
	return m.wrap("munmap", unix.Munmap(b))
}

// aligned returns the range with its start moved down to a page of the kernel,
// whose size has nothing to do with that of the database.
func (m *mmapping) aligned(off, n int64) ([]byte, error) {
	if _, ok := subrange(m.b, off, n); !ok {
		return nil, errRange
	}
	start := off &^ (int64(os.Getpagesize()) - 1)
	return m.b[start : off+n], nil
}

func (m *mmapping) wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: m.name, Err: err}
}

func retryEINTR(fn func() error) error {
	for {
		if err := fn(); err != unix.EINTR {
			return err
		}
	}
}
