package foliotest

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/foliodb/folio/internal/vfs"
)

// This file is responsible for a disk that remembers what was done to it, so that
// it can be cut off at any instant afterwards (crash.go). Rules:
//
//	D1  Every effect is an event, in order. Bytes of files, the length of a file,
//	    names, syncs: events of their own.
//	D2  A mapping shows what is written through the file, as vfs.MemFS does it: a
//	    file that outgrows its array moves, and older mappings keep the old one.

// Controls are the ways in which a Disk can be worse than a disk may be. A test
// that does not notice them proves nothing.
type Controls struct {
	SyncNothing    bool // Sync makes nothing durable
	SyncMetasOnly  bool // Sync makes the first two pages durable only
	SyncNoLength   bool // Sync does not make the length durable
	SyncDirNothing bool // SyncDir makes nothing durable
}

// Disk is a file system in memory that can be cut off at any time. It is a
// vfs.FS. All methods may be called concurrently.
type Disk struct {
	Controls Controls
	// OnSync, if it is set before use, is called in each Sync, between its beginning
	// and its end. What is written meanwhile is not covered. If it returns an error,
	// so does Sync, and nothing is durable.
	OnSync func() error
	// Lose, if it is set, tells for each sector at off that a failed Sync was to make
	// durable whether the system forgets that it was to be written, as kernels do (D6).
	Lose func(off int64) bool
	// CacheUnit is how much of a file the cache keeps together: it lets go of all of that
	// or of nothing. Zero is a page of 4 KiB. If NoDropCache is set, nobody can ask it to.
	CacheUnit   int64
	NoDropCache bool

	lossy  bool // a failed sync has lost something
	tight  bool // mappings are little longer than the file, which saves time
	mu     sync.Mutex
	base   map[string]*inode // durable names at the start
	names  map[string]*inode
	events []event
}

type eventKind uint8

const (
	evWrite  eventKind = iota // data at off
	evLength                  // of the file, becomes off
	evSync                    // of what was there before event off
	evName                    // name now means inode; nil: nothing
	evSyncDir
	evLost // of what was there before event off, a failed sync has lost some
	evDrop // bytes [off, until) of the file left the cache
)

type event struct {
	kind  eventKind
	inode *inode
	off   int64
	until int64
	data  []byte
	names []nameChange // that happen at once
	dir   string
	lost  []lostSector
}

type nameChange struct {
	name  string
	inode *inode
}

// inode is a file.
type inode struct {
	base   []byte // durable content at the start
	b      []byte // as in vfs.MemFS: zeroes between length and capacity
	shared bool   // base and b are the same array
	locks  map[*diskFile]bool
}

// NewDisk returns an empty disk.
func NewDisk() *Disk {
	return &Disk{base: map[string]*inode{}, names: map[string]*inode{}}
}

// Events returns how many effects there have been.
func (d *Disk) Events() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.events)
}

// Has tells whether there is a file of that name.
func (d *Disk) Has(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.names[filepath.Clean(name)] != nil
}

// Put makes content the durable content of a new file.
func (d *Disk) Put(name string, content []byte) {
	n := &inode{base: content, b: append([]byte(nil), content...)}
	d.base[name], d.names[name] = n, n
}

func (d *Disk) write(n *inode, b []byte, off int64) {
	if end := off + int64(len(b)); end > int64(len(n.b)) {
		d.setLength(n, end)
	}
	n.unshare()
	d.events = append(d.events, event{kind: evWrite, inode: n, off: off, data: append([]byte(nil), b...)})
	copy(n.b[off:], b)
}

func (d *Disk) setLength(n *inode, size int64) {
	n.unshare()
	d.events = append(d.events, event{kind: evLength, inode: n, off: size})
	n.resize(size)
}

// unshare makes base a copy before b changes.
func (n *inode) unshare() {
	if n.shared {
		n.base, n.shared = append([]byte(nil), n.base...), false
	}
}

func (n *inode) resize(size int64) {
	if size < int64(len(n.b)) {
		clear(n.b[size:])
		n.b = n.b[:size]
		return
	}
	if size > int64(cap(n.b)) {
		n.move(max(size, 2*int64(cap(n.b))))
	}
	n.b = n.b[:size]
}

func (n *inode) move(capacity int64) {
	b := make([]byte, len(n.b), capacity)
	copy(b, n.b)
	n.b = b
}

// OpenFile implements vfs.FS.
func (d *Disk) OpenFile(name string, flag int, _ fs.FileMode) (vfs.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := filepath.Clean(name)
	n := d.names[key]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n != nil && flag&os.O_EXCL != 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n == nil:
		n = &inode{}
		d.rename(nameChange{key, n})
	}
	return &diskFile{disk: d, inode: n, name: name}, nil
}

func (d *Disk) rename(changes ...nameChange) {
	d.events = append(d.events, event{kind: evName, names: changes, dir: filepath.Dir(changes[0].name)})
	for _, c := range changes {
		setName(d.names, c)
	}
}

func setName(names map[string]*inode, c nameChange) {
	if c.inode == nil {
		delete(names, c.name)
		return
	}
	names[c.name] = c.inode
}

// Publish implements vfs.FS.
func (d *Disk) Publish(tmp, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	from, to := filepath.Clean(tmp), filepath.Clean(name)
	switch {
	case d.names[from] == nil:
		return &os.LinkError{Op: "publish", Old: tmp, New: name, Err: fs.ErrNotExist}
	case d.names[to] != nil:
		return &os.LinkError{Op: "publish", Old: tmp, New: name, Err: fs.ErrExist}
	}
	d.rename(nameChange{to, d.names[from]}, nameChange{from, nil})
	return nil
}

// Remove implements vfs.FS.
func (d *Disk) Remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	key := filepath.Clean(name)
	if d.names[key] == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	d.rename(nameChange{key, nil})
	return nil
}

// SyncDir implements vfs.FS.
func (d *Disk) SyncDir(dir string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.events = append(d.events, event{kind: evSyncDir, dir: filepath.Clean(dir)})
	return nil
}

// diskFile is a handle.
type diskFile struct {
	disk   *Disk
	inode  *inode
	name   string
	closed bool
}

// enter locks the disk.
func (f *diskFile) enter(op string) error {
	f.disk.mu.Lock()
	if f.closed {
		return &fs.PathError{Op: op, Path: f.name, Err: fs.ErrClosed}
	}
	return nil
}

func (f *diskFile) leave() { f.disk.mu.Unlock() }

func (f *diskFile) Name() string { return f.name }

func (f *diskFile) ReadAt(b []byte, off int64) (int, error) {
	err := f.enter("read")
	defer f.leave()
	if err != nil {
		return 0, err
	}
	n := 0
	if off < int64(len(f.inode.b)) {
		n = copy(b, f.inode.b[off:])
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) WriteAt(b []byte, off int64) (int, error) {
	err := f.enter("write")
	defer f.leave()
	if err != nil || len(b) == 0 {
		return 0, err
	}
	f.disk.write(f.inode, b, off)
	return len(b), nil
}

func (f *diskFile) WriteVecAt(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		n, err := f.WriteAt(b, off)
		if err != nil {
			return err
		}
		off += int64(n)
	}
	return nil
}

func (f *diskFile) Truncate(size int64) error {
	err := f.enter("truncate")
	defer f.leave()
	if err != nil {
		return err
	}
	f.disk.setLength(f.inode, size)
	return nil
}

func (f *diskFile) Size() (int64, error) {
	err := f.enter("stat")
	defer f.leave()
	return int64(len(f.inode.b)), err
}

func (f *diskFile) Sync() error {
	err := f.enter("sync")
	begun := len(f.disk.events)
	f.leave()
	if err == nil && f.disk.OnSync != nil {
		err = f.disk.OnSync()
	}
	f.disk.mu.Lock()
	defer f.disk.mu.Unlock()
	if err != nil {
		f.disk.syncFailed(f.inode, begun)
		return err
	}
	f.disk.events = append(f.disk.events, event{kind: evSync, inode: f.inode, off: int64(begun)})
	return nil
}

// ReadCached always looks at the device, which some scripts have fail.
func (f *diskFile) ReadCached(b []byte, off int64) bool {
	n, _ := f.ReadAt(b, off)
	return n == len(b)
}

func (f *diskFile) StartWrite(int64, int64) error { return nil }

func (f *diskFile) DropCache(off, length int64) error {
	err := f.enter("drop cache")
	defer f.leave()
	if err == nil && !f.disk.NoDropCache {
		f.disk.dropCache(f.inode, off, length)
	}
	return err
}

func (f *diskFile) TryLock(exclusive bool) (bool, error) {
	err := f.enter("lock")
	defer f.leave()
	if err != nil {
		return false, err
	}
	n := f.inode
	for holder, ex := range n.locks {
		if holder != f && (exclusive || ex) {
			return false, nil
		}
	}
	if n.locks == nil {
		n.locks = make(map[*diskFile]bool)
	}
	n.locks[f] = exclusive
	return true, nil
}

func (f *diskFile) Unlock() error {
	err := f.enter("unlock")
	defer f.leave()
	delete(f.inode.locks, f)
	return err
}

func (f *diskFile) Map(length int64) (vfs.Mapping, error) {
	err := f.enter("map")
	defer f.leave()
	n := f.inode
	switch {
	case err != nil:
		return nil, err
	case length <= 0 || length > mapLimit(int64(len(n.b)), f.disk.tight):
		return nil, &fs.PathError{Op: "map", Path: f.name, Err: errors.New("cannot allocate memory")}
	case length > int64(cap(n.b)):
		n.move(length)
	}
	return &diskMapping{b: n.b[:length:length]}, nil
}

func (f *diskFile) MapWritable(int64) (vfs.Mapping, error) { return nil, errors.ErrUnsupported }

func (f *diskFile) Close() error {
	err := f.enter("close")
	defer f.leave()
	if err == nil {
		f.closed = true
		delete(f.inode.locks, f)
	}
	return err
}

// mapLimit returns how much of a file of size bytes can be mapped: more than there is.
func mapLimit(size int64, tight bool) int64 {
	if tight {
		return max(128<<10, size+size/8)
	}
	return max(256<<10, 2*size)
}

type diskMapping struct{ b []byte }

func (m *diskMapping) Bytes() []byte               { return m.b }
func (m *diskMapping) MayExceedFile() bool         { return false }
func (m *diskMapping) Populate(off, n int64) error { return nil }
func (m *diskMapping) Fetch(off, n int64) error    { return nil }
func (m *diskMapping) Lock(off, n int64) error     { return nil }
func (m *diskMapping) Close() error                { m.b = nil; return nil }

// Content returns a copy of the bytes of a file.
func (d *Disk) Content(name string) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return append([]byte(nil), d.names[name].b...)
}
