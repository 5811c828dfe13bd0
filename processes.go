package folio

// This file is responsible for the other processes that have the file open. They know
// of each other by a file beside it, the sidecar (internal/sidecar).
//
//	S1  A process that writes publishes each state to the others when it publishes it
//	    to its own readers (C4). So they see what is durable, or what its commit did
//	    not want to be durable at once, and nothing else.
//	S2  A reader enters a slot of the sidecar as readers.go says, with the number of
//	    publications for the newest snapshot. Who writes looks at all slots whose
//	    owners live before it reuses a page.
//	S3  Pages that have been written are noted in the sidecar before the state that has
//	    them is published. Who follows it forgets that it has verified them before.
//	S4  A process that begins to write, while readers are there, knows of the free
//	    pages which of them these may still need (freelist, F19).
//	S5  The state that it has found can be older than the one published, if a flush has
//	    failed: then it waits until nobody reads anything newer.
//	S6  When a flush fails, the cache can show what the disk does not have for as long
//	    as anybody has the file mapped. So nobody begins to write before all have
//	    closed it.
//	S7  A process that dies in a flush that fails tells nobody. So who takes over while
//	    others have the file mapped writes once more what it has found: if that was
//	    lost, it is there again.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
)

// Sharing says what other processes may do with a file that is open. To share it they
// use a file beside it, its path with "-lock" at the end, which who reads must be able
// to write too. Where there can be none (other systems than Linux, network file
// systems, missing permissions, read-only media) a file is opened as with ShareNothing.
// The repository's docs/processes.md has the details.
type Sharing int

const (
	// ShareReaders lets any number of processes read while one writes. A second one
	// that wants to write waits until the first has closed the file.
	ShareReaders Sharing = iota
	// ShareWriters lets several processes write, if all of them say so: one write
	// transaction at a time, which waits for those of other processes as for those
	// of its own. What it has seen is durable, so commits with less than
	// DurabilityFull are flushed at the end of a turn: when no write transaction of
	// this process is under way. Where the file cannot be shared, opening it for
	// writing is an error.
	ShareWriters
	// ShareNothing lets nobody else open the file while it is written, and only
	// readers while it is read. There is no file beside it.
	ShareNothing
)

// follower is the part of a DB that sees what other processes commit.
type follower struct {
	newest  atomic.Pointer[snapshot] // nil: not open yet, or closed
	mu      sync.Mutex               // guards what follows, and changes of newest
	closed  bool
	changes uint64 // position in the sidecar's list of written pages
}

// share keeps away those that the file cannot be shared with: by a lock on the file,
// and by the sidecar, if there can be one.
func (db *DB) share(wait func() error) error {
	why := db.unshared()
	if why == nil {
		if err := db.lock(false, wait); err != nil {
			return err
		}
		if why = db.attach(wait); why == nil || !errors.Is(why, sidecar.ErrUnavailable) {
			return why
		}
	}
	if db.opts.Sharing == ShareWriters && !db.opts.ReadOnly {
		return fmt.Errorf("several processes cannot write this file: %w", why)
	}
	if err := db.lock(!db.opts.ReadOnly, wait); err != nil || !db.opts.ReadOnly {
		return err
	}
	switch err := sidecar.LockStatic(db.file, wait); {
	case errors.Is(err, sidecar.ErrUnavailable):
		return nil // then nobody else has one, and the lock says it all
	case err == ErrTimeout && errors.Is(why, sidecar.ErrUnavailable):
		return fmt.Errorf("%w: another process writes the file, and it cannot be read beside it: %w", err, why)
	default:
		return err
	}
}

var (
	errNotAsked = errors.New("it is not to be shared")
	errNoName   = errors.New("it is not the file at the path")
	errNetwork  = errors.New("it is on a network file system, whose mappings do not agree between machines")
)

// unshared returns why there is to be no sidecar, or nil.
func (db *DB) unshared() error {
	switch o := &db.opts; {
	case o.Sharing == ShareNothing, o.InMemory:
		return errNotAsked
	case vfs.NetworkFile(db.file):
		return errNetwork
	case o.OpenFile != nil && !db.stillNamed():
		return errNoName
	}
	return sidecar.Supported(db.file)
}

func (db *DB) attach(wait func() error) (err error) {
	role := sidecar.Writer
	switch {
	case db.opts.ReadOnly:
		role = sidecar.Reader
	case db.opts.Sharing == ShareWriters:
		role = sidecar.SharedWriter
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(db.path); err == nil {
		mode = info.Mode().Perm()
	}
	db.side, err = sidecar.Open(db.file, followLinks(db.path), sidecar.Options{
		Role: role, Mode: mode, Wait: wait,
		OnFault: func(err error) {
			if db.pager != nil {
				db.pager.Latch(err)
			}
		},
	})
	if err != nil {
		db.side = nil
		return err
	}
	db.follows = role != sidecar.Writer
	if role == sidecar.SharedWriter {
		db.turns = newTurns(db)
	}
	return nil
}

// patience returns a function that waits a little, or returns ErrTimeout once
// Options.Timeout is over. A negative one is what is left of a deadline that has passed.
func (db *DB) patience() func() error {
	start, pause := time.Now(), time.Millisecond
	return func() error {
		if t := db.opts.Timeout; t != 0 && time.Since(start) >= t {
			return ErrTimeout
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
		return nil
	}
}

// beginShared finds the state that the database begins with: in the file, or as others have
// published it.
func (db *DB) beginShared(wait func() error) error {
	var err error
	switch side := db.side; {
	case side == nil:
		return db.recover()
	case side.First():
		if err = db.recover(); err == nil {
			db.announce(db.head)
			db.reportState()
			db.turns.found()
		}
	case db.follows:
		var snap *snapshot
		if snap, err = db.follow(); err == nil {
			err = db.fileIsOf(&snap.meta)
		}
		if err == nil {
			db.head = snap
			db.current.Store(snap)
			db.becameDurable(snap)
		}
	default:
		err = db.recoverBeside(wait)
	}
	if err != nil {
		return err
	}
	if !db.follows {
		err = db.side.Show()
	} else if slots, claimErr := db.side.Claim(); claimErr != nil {
		err = claimErr
	} else {
		db.seen.newest.Store(db.head)
		db.readers.useSidecar(db.side, slots)
	}
	if err != nil {
		return err
	}
	return db.side.Ready()
}

// recoverBeside is recover while others have the file open (S3 to S5). Nobody writes.
func (db *DB) recoverBeside(wait func() error) error {
	side := db.side
	if side.Failed() {
		return fmt.Errorf("%w: another process saw it: close the file in all processes before it is written again", ErrLatched)
	}
	if db.head != nil {
		if err := db.fileIsOf(&db.head.meta); err != nil {
			return err
		}
	}
	db.startOver()
	if err := db.pager.Refresh(); err != nil {
		return err
	}
	db.pager.ForgetVerified() // a process that has died can have written any free page
	if err := db.recover(); err != nil {
		return err
	}
	if err := db.rewrite(); err != nil {
		return fmt.Errorf("writing the newest commit again: %w", err)
	}
	side.Written(0, uint64(page.MaxID))
	db.announce(db.head)
	db.reportState()
	for slices.Max(append(side.Live(), 0)) > uint64(db.head.meta.TxID) {
		if err := wait(); err != nil {
			return fmt.Errorf("%w: a flush has failed, and others read what it was to make durable", err)
		}
	}
	return nil
}

// sideFault returns why the lock file can no longer be relied on, or nil.
func sideFault(side *sidecar.Sidecar) error {
	if err := side.Err(); err != nil {
		return fmt.Errorf("folio: %w: %w", ErrFault, err)
	}
	return nil
}

// announce publishes snap, whose meta has been written, to other processes (S1).
func (db *DB) announce(snap *snapshot) {
	if db.side != nil {
		b := db.metas[snap.slot][:]
		snap.seq = db.side.Publish(b, meta.Used(b))
	}
}

// latched tells other processes that this one has latched (S6).
func (db *DB) latched() {
	if db.side != nil {
		db.side.SetFailed()
	}
}

// wrote takes note that units, which are in order, have been written, or may have (S3).
func (db *DB) wrote(units []unit) {
	for db.side != nil && len(units) > 0 {
		start, end := units[0].id, units[0].id
		for len(units) > 0 && units[0].id == end {
			end += page.ID(units[0].pages)
			units = units[1:]
		}
		db.side.Written(uint64(start), uint64(end-start))
	}
}

// newest returns the snapshot that a reader takes that comes now. Its error is
// ErrDatabaseNotOpen, or says that what others have published cannot be read.
func (db *DB) newest() (*snapshot, error) {
	if !db.follows {
		if snap := db.current.Load(); snap != nil {
			return snap, nil
		}
		return nil, ErrDatabaseNotOpen
	}
	snap := db.seen.newest.Load()
	if snap == nil {
		return nil, ErrDatabaseNotOpen
	}
	if snap.seq == db.side.Seq() {
		return snap, nil
	}
	return db.follow()
}

// latest returns the newest snapshot that is known, for statistics; nil: closed.
func (db *DB) latest() *snapshot {
	if snap, err := db.newest(); err == nil {
		return snap
	}
	return db.current.Load()
}

// follow returns what is published now.
func (db *DB) follow() (*snapshot, error) {
	f := &db.seen
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if f.closed {
			return nil, ErrDatabaseNotOpen
		}
		m, slot, seq, err := db.published()
		if err != nil {
			return nil, err
		}
		if snap := f.newest.Load(); snap != nil && snap.seq == seq {
			return snap, nil
		}
		f.catchUp(db)
		if err := db.reaches(&m); err != nil {
			// Once newer states are published the file may be cut to what these need.
			if db.side.Seq() != seq {
				continue
			}
			return nil, err
		}
		snap := &snapshot{meta: m, slot: slot, seq: seq, view: db.pager.View()}
		f.newest.Store(snap)
		if db.opts.ReadOnly {
			db.current.Store(snap)
		}
		return snap, nil
	}
}

// reaches makes sure that all pages of the state m are in the file, and in the View.
func (db *DB) reaches(m *meta.Meta) error {
	need := int64(m.HighWater) * int64(db.pageSize)
	if need <= db.pager.FileSize() {
		return nil
	}
	if err := db.pager.Refresh(); err != nil {
		return fmt.Errorf("folio: %w", err)
	}
	if size := db.pager.FileSize(); need > size {
		return fmt.Errorf("folio: %w: the file was cut off: it has %d bytes and needs %d", ErrCorrupt, size, need)
	}
	return nil
}

// published returns the newest meta that is published, its slot, and the number of
// the publication.
func (db *DB) published() (m meta.Meta, slot int, seq uint64, err error) {
	var b [meta.Size]byte
	seq = db.side.Read(b[:])
	if err := sideFault(db.side); err != nil {
		return m, slot, seq, err
	}
	for slot = range page.NumMetas {
		if m, err = meta.Decode(b[:], slot); err == nil || errors.Is(err, ErrVersionMismatch) {
			break
		}
	}
	switch old := db.seen.newest.Load(); {
	case errors.Is(err, ErrVersionMismatch):
		err = fmt.Errorf("folio: another process writes the file now: %w: open it with that version of folio", err)
	case err != nil:
		err = fmt.Errorf("folio: what another process has published: %w", err)
	case int(m.PageSize) != db.pageSize, old != nil && m.FileID != old.meta.FileID:
		db.pager.ForgetVerified() // what was read before is another file's by now
		err = fmt.Errorf("folio: %w", errOverwritten)
	}
	return m, slot, seq, err
}

var errOverwritten = fmt.Errorf("%w: another file has been written over it: close it in all processes, and open it again", ErrInvalid)

// fileIsOf returns an error if the file is not that of m, which was published: another
// one has been written over it, or a newer version of folio has written it. A meta that
// is being written says nothing.
func (db *DB) fileIsOf(m *meta.Meta) error {
	for _, s := range db.readSlots() {
		if errors.Is(s.Err, ErrVersionMismatch) {
			return s.Err
		}
		if s.Err == nil && (s.Meta.FileID != m.FileID || s.Meta.PageSize != m.PageSize) {
			return errOverwritten
		}
	}
	return nil
}

// close makes newest nil for good.
func (f *follower) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.newest.Store(nil)
}

// catchUp forgets what was known of pages that have been written since. It needs f.mu.
func (f *follower) catchUp(db *DB) {
	if bugs.On(bugs.RingUnread) {
		return
	}
	now, ok := db.side.Changes(f.changes, func(start, n uint64) {
		db.pager.View().ClearVerified(page.ID(start), n)
	})
	if !ok {
		db.pager.ForgetVerified()
	}
	f.changes = now
}

// liveSnapshots returns the snapshots that are being read, here and elsewhere,
// ascending, each once.
func (db *DB) liveSnapshots() []page.TxID {
	if db.side == nil || bugs.On(bugs.ForeignIgnored) {
		return db.readers.live()
	}
	var live []page.TxID
	if !db.follows {
		live = db.readers.live()
	}
	for _, txid := range db.side.Live() {
		live = append(live, page.TxID(txid))
	}
	slices.Sort(live)
	return slices.Compact(live)
}
