package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// This file is responsible for files on the heap.
//
//	M1. The bytes of a file are one slice; what lies between its length and its
//	    capacity is zero, so that growth shows zeros.
//	M2. A mapping is a slice of that same array, so writes below the capacity
//	    show through it without a copy. A file that outgrows its array moves to
//	    a new one; older mappings keep the old array, which nobody writes again.
//	M3. A write touches the bytes it names and no others, so a reader of other
//	    bytes through a mapping does not race with it. Truncate clears what it
//	    cuts off; nobody may read that then, as in a real mapping.

// memMapMin and memMapFactor limit how far a mapping can exceed its file, since
// here an address is memory: the longest is memMapMin bytes or memMapFactor
// times the file, whichever is more.
const (
	memMapMin    = 1 << 20
	memMapFactor = 4
)

// MemFS is a file system on the heap. Files live until they are removed, so one
// can be closed and opened again. Directories exist as soon as they are named.
// The zero value is not usable; all methods may be called concurrently.
type MemFS struct {
	mu    sync.Mutex
	files map[string]*memData
}

// NewMem returns an empty file system.
func NewMem() *MemFS { return &MemFS{files: make(map[string]*memData)} }

// OpenFile implements FS.
func (m *MemFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	key := filepath.Clean(name)
	m.mu.Lock()
	defer m.mu.Unlock()
	d, ok := m.files[key]
	switch {
	case !ok && flag&os.O_CREATE == 0:
		return nil, pathError("open", name, fs.ErrNotExist)
	case ok && flag&os.O_CREATE != 0 && flag&os.O_EXCL != 0:
		return nil, pathError("open", name, fs.ErrExist)
	case !ok:
		d = &memData{locks: make(map[*memFile]bool)}
		m.files[key] = d
	}
	f := &memFile{name: name, data: d, writable: flag&(os.O_WRONLY|os.O_RDWR) != 0}
	if flag&os.O_TRUNC != 0 {
		if err := f.Truncate(0); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Publish implements FS.
func (m *MemFS) Publish(tmp, name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, to := filepath.Clean(tmp), filepath.Clean(name)
	d, ok := m.files[from]
	if !ok {
		return &os.LinkError{Op: "publish", Old: tmp, New: name, Err: fs.ErrNotExist}
	}
	if _, ok := m.files[to]; ok {
		return &os.LinkError{Op: "publish", Old: tmp, New: name, Err: fs.ErrExist}
	}
	m.files[to] = d
	delete(m.files, from)
	return nil
}

// Remove implements FS.
func (m *MemFS) Remove(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	key := filepath.Clean(name)
	if _, ok := m.files[key]; !ok {
		return pathError("remove", name, fs.ErrNotExist)
	}
	delete(m.files, key)
	return nil
}

// SyncDir implements FS.
func (m *MemFS) SyncDir(string) error { return nil }

// memData is what all handles of one file share.
type memData struct {
	mu    sync.RWMutex
	b     []byte            // M1
	locks map[*memFile]bool // holders; true: exclusive
}

// growLocked makes the file size bytes long if it is shorter. It needs d.mu.
func (d *memData) growLocked(size int64) {
	if size <= int64(len(d.b)) {
		return
	}
	if size > int64(cap(d.b)) {
		d.moveLocked(max(size, 2*int64(cap(d.b))))
	}
	d.b = d.b[:size]
}

// moveLocked moves the file to an array of its own of the given size (M2). It
// needs d.mu.
func (d *memData) moveLocked(capacity int64) {
	b := make([]byte, len(d.b), capacity)
	copy(b, d.b)
	d.b = b
}

// memFile is a handle of a file of a MemFS.
type memFile struct {
	name     string
	data     *memData
	writable bool
	closed   bool // guarded by data.mu
}

func (f *memFile) Name() string { return f.name }

// checkLocked returns why the handle cannot be used. It needs data.mu, shared at
// least.
func (f *memFile) checkLocked(op string, write bool) error {
	switch {
	case f.closed:
		return pathError(op, f.name, fs.ErrClosed)
	case write && !f.writable:
		return pathError(op, f.name, fs.ErrPermission)
	}
	return nil
}

func (f *memFile) ReadAt(b []byte, off int64) (int, error) {
	f.data.mu.RLock()
	defer f.data.mu.RUnlock()
	if err := f.checkLocked("read", false); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("read", f.name, errRange)
	}
	n := 0
	if off < int64(len(f.data.b)) {
		n = copy(b, f.data.b[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(b []byte, off int64) (int, error) {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	if err := f.checkLocked("write", true); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, pathError("write", f.name, errRange)
	}
	if len(b) == 0 {
		return 0, nil
	}
	f.data.growLocked(off + int64(len(b)))
	return copy(f.data.b[off:], b), nil
}

func (f *memFile) WriteVecAt(bufs [][]byte, off int64) error { return writeEach(f, bufs, off) }

func (f *memFile) Truncate(size int64) error {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	if err := f.checkLocked("truncate", true); err != nil {
		return err
	}
	if size < 0 {
		return pathError("truncate", f.name, errRange)
	}
	if size < int64(len(f.data.b)) {
		clear(f.data.b[size:])
		f.data.b = f.data.b[:size]
		return nil
	}
	f.data.growLocked(size)
	return nil
}

func (f *memFile) Size() (int64, error) {
	f.data.mu.RLock()
	defer f.data.mu.RUnlock()
	return int64(len(f.data.b)), f.checkLocked("stat", false)
}

func (f *memFile) Sync() error {
	f.data.mu.RLock()
	defer f.data.mu.RUnlock()
	return f.checkLocked("sync", false)
}

func (f *memFile) ReadCached(b []byte, off int64) bool { return readCached(f, b, off) }

func (f *memFile) StartWrite(off, length int64) error { return nil }

func (f *memFile) DropCache(off, length int64) error { return nil }

func (f *memFile) TryLock(exclusive bool) (bool, error) {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	if err := f.checkLocked("lock", false); err != nil {
		return false, err
	}
	for holder, ex := range f.data.locks {
		if holder != f && (exclusive || ex) {
			return false, nil
		}
	}
	f.data.locks[f] = exclusive
	return true, nil
}

func (f *memFile) Unlock() error {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	delete(f.data.locks, f)
	return f.checkLocked("unlock", false)
}

func (f *memFile) Map(length int64) (Mapping, error) {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	if err := f.checkLocked("map", false); err != nil {
		return nil, err
	}
	switch {
	case length <= 0:
		return nil, pathError("map", f.name, errRange)
	case length > max(memMapMin, memMapFactor*int64(len(f.data.b))):
		return nil, pathError("map", f.name, errTooLong)
	case length > int64(cap(f.data.b)):
		f.data.moveLocked(length)
	}
	return &memMapping{b: f.data.b[:length:length]}, nil
}

func (f *memFile) MapWritable(length int64) (Mapping, error) { return nil, errors.ErrUnsupported }

func (f *memFile) Close() error {
	f.data.mu.Lock()
	defer f.data.mu.Unlock()
	if err := f.checkLocked("close", false); err != nil {
		return err
	}
	f.closed = true
	delete(f.data.locks, f)
	return nil
}

// memMapping is a slice of a file's array (M2).
type memMapping struct{ b []byte }

func (m *memMapping) Bytes() []byte               { return m.b }
func (m *memMapping) MayExceedFile() bool         { return false }
func (m *memMapping) Populate(off, n int64) error { return m.check(off, n) }
func (m *memMapping) Fetch(off, n int64) error    { return m.check(off, n) }
func (m *memMapping) Lock(off, n int64) error     { return m.check(off, n) }

func (m *memMapping) Close() error {
	m.b = nil
	return nil
}

func (m *memMapping) check(off, n int64) error {
	if _, ok := subrange(m.b, off, n); !ok {
		return errRange
	}
	return nil
}

func pathError(op, name string, err error) error {
	return &fs.PathError{Op: op, Path: name, Err: err}
}
