package sidecar

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/internal/vfs"
)

// The errors say what to do; they come wrapped with the name of the file.
var (
	// ErrUnavailable is returned by Open when there cannot be a sidecar here: the
	// system has not what it takes, or the file may not be created or written.
	ErrUnavailable = errors.New("there can be no lock file")
	// ErrReplaced is returned by Open when the database is in use, and not
	// through the sidecar that is at the path.
	ErrReplaced = errors.New("the database is open by way of another lock file: this one, or the " +
		"database, was deleted, renamed or replaced, or has a second name (hard link); " +
		"use the name under which it is open, or close it everywhere first")
	// ErrFull is returned by Claim when all blocks belong to living handles.
	ErrFull = errors.New("the lock file has no room for more readers: close some of the processes")
	// ErrVersion is returned by Open when the file at the path is of another
	// kind, or of another version that is in use.
	ErrVersion = errors.New("not a lock file of this version: close the database in processes that use " +
		"another version, or move the file away if it is something else")
)

// Role is what a handle may do.
type Role uint64

const (
	Reader       Role = iota + 1 // never writes
	Writer                       // is the only one that writes
	SharedWriter                 // writes in turn with others
)

// writes tells whether the role has W.
func (r Role) writes() bool { return r == Writer || r == SharedWriter }

// String returns a name for people.
func (r Role) String() string {
	switch r {
	case Reader:
		return "reader"
	case Writer:
		return "writer"
	case SharedWriter:
		return "shared writer"
	}
	return "unknown"
}

// Options are for Open.
type Options struct {
	Role Role // other numbers than the three are readers
	// Mode is the permissions of a file that Open creates, before the umask; 0 is
	// 0600. Who may attach needs to read and to write the file.
	Mode fs.FileMode
	// Wait is called between two tries while a lock is held by another. It
	// sleeps, or returns the error that Open gives up with. nil sleeps for a
	// millisecond, without an end; with a random time, two that keep getting in
	// each other's way part sooner.
	Wait func() error
	// OnFault, if not nil, is told once when the mapping has failed: see Err.
	OnFault func(error)
}

func (o *Options) mode() fs.FileMode {
	if o.Mode == 0 {
		return 0o600
	}
	return o.Mode
}

// Sidecar is an attachment to the file. Its methods may be called concurrently
// unless they say otherwise. After Close they must not be relied on, nor must slots;
// a call that comes too late does no harm.
type Sidecar struct {
	data  vfs.File
	locks vfs.RangeLocks // of data
	path  string
	id    identity // of data
	name  string
	role  Role
	mode  fs.FileMode
	owner uint64

	file      vfs.File
	fileLocks vfs.RangeLocks
	mapping   vfs.Mapping
	bytes     []byte
	head      *header
	ring      *[ringEntries]ringEntry
	nonceAt   int64 // the byte of data that is locked; 0: none
	first     bool
	written   atomic.Uint64 // blocks that are in the file, at least

	broken  atomic.Bool // H2
	onFault func(error)

	mu        sync.Mutex
	own       []bool // blocks
	shown     int    // the block that is only to be seen, and one; 0: none
	mutexHeld bool   // Open was First, and Ready was not called yet
	closed    bool

	zeros [2]int // how far before the end of each buffer they begin, but for the last word: P5

	tx txLock
}

// identity is what FileID returns.
type identity struct{ Dev, Ino uint64 }

// waiter returns o's Wait, or one for the nil function.
func waiter(wait func() error) func() error {
	if wait != nil {
		return wait
	}
	return func() error { time.Sleep(time.Millisecond); return nil }
}

func (s *Sidecar) block(i int) *block { return overlay[block](s.bytes, blocksOff+i*pageSize) }

// Count calls fn with the numbers for watchers. Who writes changes them; anybody may
// look.
func (s *Sidecar) Count(fn func(*Counters)) { s.Guard(func() { fn(&s.head.counters) }) }

// SetFailed tells everybody that a sync of the data file has failed, so that what
// is durable is unknown. It stays until a First begins anew.
func (s *Sidecar) SetFailed() { s.Guard(func() { s.head.failed.Store(1) }) }

// Failed tells whether SetFailed was called, by whomever, or Err is not nil.
func (s *Sidecar) Failed() (failed bool) {
	return !s.Guard(func() { failed = s.head.failed.Load() != 0 }) || failed || s.broken.Load()
}
