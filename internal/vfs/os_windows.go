package vfs

import (
	"errors"
	"io/fs"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

func publish(tmp, name string) error {
	from, err := windows.UTF16PtrFromString(tmp)
	if err != nil {
		return err
	}
	to, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return err
	}
	// Without MOVEFILE_REPLACE_EXISTING an existing file is an error.
	return windows.MoveFileEx(from, to, windows.MOVEFILE_WRITE_THROUGH)
}

// syncDir does nothing: a directory cannot be flushed, and publish writes
// through.
func syncDir(string) error { return nil }

func isNoSpace(err error) bool {
	for _, e := range []error{
		windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL, windows.ERROR_DISK_QUOTA_EXCEEDED,
		windows.ERROR_FILE_TOO_LARGE, syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (f *osFile) WriteVecAt(bufs [][]byte, off int64) error { return writeEach(f.f, bufs, off) }
func (f *osFile) Sync() error                               { return f.f.Sync() }
func (f *osFile) ReadCached(b []byte, off int64) bool       { return readCached(f.f, b, off) }

func (f *osFile) StartWrite(off, length int64) error { return nil }

func (f *osFile) DropCache(off, length int64) error { return nil }

// osLock remembers the lock of a handle, because Windows stacks locks.
type osLock struct {
	mu   sync.Mutex
	held bool
}

// lockRange is the byte that stands for the whole file. Locks of Windows are
// mandatory: one over real bytes would keep other handles from reading them.
func lockRange() *windows.Overlapped { return &windows.Overlapped{OffsetHigh: 1 << 30} }

func (f *osFile) TryLock(exclusive bool) (bool, error) {
	f.lock.mu.Lock()
	defer f.lock.mu.Unlock()
	if err := f.unlockLocked(); err != nil {
		return false, err
	}
	flags := uint32(windows.LOCKFILE_FAIL_IMMEDIATELY)
	if exclusive {
		flags |= windows.LOCKFILE_EXCLUSIVE_LOCK
	}
	err := f.control("lock", func(fd uintptr) error {
		return windows.LockFileEx(windows.Handle(fd), flags, 0, 1, 0, lockRange())
	})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return false, nil
	}
	f.lock.held = err == nil
	return f.lock.held, err
}

func (f *osFile) Unlock() error {
	f.lock.mu.Lock()
	defer f.lock.mu.Unlock()
	return f.unlockLocked()
}

// unlockLocked needs f.lock.mu.
func (f *osFile) unlockLocked() error {
	if !f.lock.held {
		return nil
	}
	err := f.control("unlock", func(fd uintptr) error {
		return windows.UnlockFileEx(windows.Handle(fd), 0, 1, 0, lockRange())
	})
	f.lock.held = err != nil
	return err
}

// Map refuses lengths beyond the end of the file: a read-only section cannot
// have them, and a writable one would make the file longer.
func (f *osFile) Map(length int64) (Mapping, error) {
	if err := f.checkMapLength(length); err != nil {
		return nil, err
	}
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if length > size {
		return nil, &fs.PathError{Op: "map", Path: f.Name(), Err: errTooLong}
	}
	m := &winMapping{}
	err = f.control("map", func(fd uintptr) error {
		section, err := windows.CreateFileMapping(windows.Handle(fd), nil, windows.PAGE_READONLY,
			uint32(length>>32), uint32(length), nil)
		if err != nil {
			return err
		}
		// The view keeps the section alive.
		defer windows.CloseHandle(section)
		m.addr, err = windows.MapViewOfFile(section, windows.FILE_MAP_READ, 0, 0, uintptr(length))
		return err
	})
	if err != nil {
		return nil, err
	}
	// The address is memory outside the Go heap that stays where it is until
	// UnmapViewOfFile, so turning it into a pointer is safe. The detour over
	// &m.addr is how vet wants to see that.
	m.b = unsafe.Slice(*(**byte)(unsafe.Pointer(&m.addr)), int(length))
	return m, nil
}

func (f *osFile) MapWritable(length int64) (Mapping, error) { return nil, errors.ErrUnsupported }

// winMapping is a Mapping made by MapViewOfFile.
type winMapping struct {
	b    []byte
	addr uintptr
}

func (m *winMapping) Bytes() []byte               { return m.b }
func (m *winMapping) MayExceedFile() bool         { return false }
func (m *winMapping) Populate(off, n int64) error { return nil }
func (m *winMapping) Fetch(off, n int64) error    { return nil }

func (m *winMapping) Lock(off, n int64) error {
	b, ok := subrange(m.b, off, n)
	if !ok {
		return errRange
	}
	if len(b) == 0 {
		return nil
	}
	return windows.VirtualLock(m.addr+uintptr(off), uintptr(n))
}

func (m *winMapping) Close() error {
	if m.b == nil {
		return nil
	}
	m.b = nil
	return windows.UnmapViewOfFile(m.addr)
}
