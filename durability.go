package folio

// This file is responsible for commits that are not durable at once.
//
//	R1  They are written like any other (C1, C2), into the file, and published. Only
//	    the flush is missing. So a process that dies loses none of them.
//	R2  The slot of the newest durable meta is left alone: they all go to the other
//	    one. So after a power cut there is always a state to go back to.
//	R3  A page that the newest durable state needs is not reused before a newer one
//	    is durable.
//	R4  A commit record lists what has been written since the newest durable state,
//	    not only by this commit. When that is too much for a record, the meta is weak:
//	    recovery follows the references to pages that are younger than the newest
//	    durable state, and verifies each. That takes as long as reading them.
//	R5  A flush makes the newest of them durable, and with it all before. After a
//	    weak meta it takes a second flush, of the same meta as one that needs no
//	    check, in the same place.
//	R6  The first of them in a session gets a number drawn at random, and the others
//	    follow it. Another session, which a crash has cut off, can have begun from the
//	    same state and left pages with the numbers that would come next; a weak meta
//	    could not tell them from its own.
//
// On R4: a page that was written since, freed and used again holds the bytes of a
// later commit than the meta that the disk may have. In a record it has another
// checksum then, and in a weak tree another birth; so such a meta is refused, and
// recovery goes back to the durable one, none of whose pages was touched (R3).

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// Durability says when a commit is safe from a crash of the machine. Whatever it is,
// the file is never damaged by one: it then holds some committed state, with all
// transactions up to one of them and none after it. A crash of the process alone
// loses no commit that has returned.
type Durability int

const (
	// DurabilityFull flushes before the commit returns, and before anybody sees it.
	DurabilityFull Durability = iota
	// DurabilityRelaxed returns at once; a flush follows within
	// Options.FlushInterval, or sooner, when Options.FlushBytes have been written.
	DurabilityRelaxed
	// DurabilityNone returns at once, and flushes when DB.Sync or DB.Close is called
	// or a commit with more durability comes.
	DurabilityNone
)

// maxUnsyncedTxs bounds the transactions that a crash can take back: recovery goes on
// with numbers beyond all that they can have used (txidSkip).
const maxUnsyncedTxs = txidSkip / 2

// drawNumber makes the next numbers those of no other session (R6). There are enough of
// them for a session every second for decades. It needs the writer lock.
func (db *DB) drawNumber() {
	db.nextTxID += page.TxID(1<<32 + randomID()>>32)
	db.drawn = db.nextTxID - 1
}

// SetDurability sets the durability of this transaction, instead of
// Options.Durability. Transactions that share a flush share the strongest of theirs.
func (tx *Tx) SetDurability(d Durability) error {
	if err := tx.root.changeable(); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	tx.durability = d
	return nil
}

// check returns an error if d is none of the three: in a group it would count as
// stronger than all, and flush nothing.
func (d Durability) check() error {
	if d < DurabilityFull || d > DurabilityNone {
		return fmt.Errorf("folio: there is no durability %d", d)
	}
	return nil
}

// Sync makes everything committed durable. Commits with DurabilityFull have done so
// themselves. It costs a flush, or two, and may have to wait for one in progress. After
// a sync that failed it returns ErrLatched; after a write that failed it works.
func (db *DB) Sync() error {
	if db.current.Load() == nil {
		return ErrDatabaseNotOpen
	}
	if db.opts.ReadOnly {
		return db.pager.Sync()
	}
	db.token.take(false)
	defer db.token.release()
	snap := db.current.Load()
	if snap == nil {
		return ErrDatabaseNotOpen
	}
	if snap == db.durable {
		return db.pager.Sync()
	}
	return db.makeDurable(snap)
}

// makeDurable flushes snap, the newest, if it is not durable yet (R5), in a database
// that has latched too: there recovery has to check a weak meta. It needs the token.
func (db *DB) makeDurable(snap *snapshot) error {
	db.flusher.stop() // it may have come: then the next one needs to be set
	if snap == db.durable {
		return nil
	}
	if db.torn != nil {
		return db.torn
	}
	if err := db.flushMeta(snap.slot); err != nil {
		return err
	}
	if snap.meta.Weak && db.pager.Err() == nil {
		if err := db.strengthen(snap.meta, snap.slot); err != nil {
			return err
		}
	}
	db.becameDurable(snap)
	db.reportFlushes()
	return nil
}

// strengthen writes weak meta m, which is durable, again as one that needs no check.
// The other slot has the state before; until this is done a power cut leads there.
func (db *DB) strengthen(m meta.Meta, slot int) error {
	m.Weak, m.Since, m.Synced = false, 0, true
	return db.writeMeta(&m, slot)
}

// becameDurable takes note that snap is what a crash leads to from now on.
func (db *DB) becameDurable(snap *snapshot) {
	db.durable = snap
	db.durableTx.Store(uint64(snap.meta.TxID))
	db.unsynced = unsynced{}
}

// unsynced is what has been written since the newest durable state.
type unsynced struct {
	units []writtenUnit // in order of their place
	pages uint64        // in them
	bytes int64         // written
	lost  bool          // there are others, which no record lists
}

// writtenUnit is a unit that is in the file.
type writtenUnit struct {
	meta.Unit
	pages uint64
}

// record returns what c lists, which is in order of its place, and with it the units
// of before that it still uses, for its commit record.
func (n *unsynced) record(c *commit) []meta.Unit {
	before := n.units
	if bugs.On(bugs.RecordOnlyOwn) {
		before = nil
	}
	own, gone := c.listed, n.among(c.freed)
	r := make([]meta.Unit, 0, len(before)+len(own))
	for i, u := range before {
		for len(own) > 0 && own[0].id < u.ID {
			r, own = append(r, meta.Unit{ID: own[0].id}), own[1:]
		}
		if !gone[i] {
			r = append(r, u.Unit)
		}
	}
	for _, u := range own {
		r = append(r, meta.Unit{ID: u.id})
	}
	return r
}

// among tells which of the units freed has pages of.
func (n *unsynced) among(freed []freelist.Extent) []bool {
	found := make([]bool, len(n.units))
	for _, e := range freed {
		i, _ := slices.BinarySearchFunc(n.units, e.Start, func(u writtenUnit, id page.ID) int { return cmp.Compare(u.ID, id) })
		for ; i < len(found) && n.units[i].ID < e.End(); i++ {
			found[i] = true
		}
	}
	return found
}

// add takes note of a commit that has been written and is not going to be flushed.
func (n *unsynced) add(c *commit) {
	n.bytes += c.stats.bytes(c.db.pageSize)
	if n.lost = n.lost || c.meta.Weak; n.lost {
		n.units, n.pages = nil, 0
		return
	}
	gone, kept := n.among(c.freed), n.units[:0]
	for i, u := range n.units {
		if gone[i] {
			n.pages -= u.pages
		} else {
			kept = append(kept, u)
		}
	}
	for _, u := range c.units {
		kept = append(kept, writtenUnit{meta.Unit{ID: u.id, Sum: *c.sum(u)}, u.pages})
		n.pages += u.pages
	}
	slices.SortFunc(kept, func(a, b writtenUnit) int { return cmp.Compare(a.ID, b.ID) })
	n.units = kept
}

// flusher flushes in the background what was committed with DurabilityRelaxed.
type flusher struct {
	mu    sync.Mutex
	timer *time.Timer // nil: nothing is due
}

func (f *flusher) stop() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.timer != nil {
		f.timer.Stop()
		f.timer = nil
	}
}

// flushLater makes sure that a flush follows commit c in time. It needs the token.
func (db *DB) flushLater(c *commit) {
	if c.durability != DurabilityRelaxed {
		return
	}
	wait := db.opts.flushInterval()
	f := &db.flusher
	f.mu.Lock()
	defer f.mu.Unlock()
	switch full := db.unsynced.bytes >= db.opts.flushBytes(); {
	case f.timer == nil && full:
		f.timer = time.AfterFunc(0, db.flushNow)
	case f.timer == nil:
		f.timer = time.AfterFunc(wait, db.flushNow)
	case full:
		f.timer.Reset(0)
	}
}

// flushNow is the flush that follows. If it fails the database latches, and the next
// write transaction says so.
func (db *DB) flushNow() {
	db.token.take(false)
	defer db.token.release()
	if snap := db.current.Load(); snap != nil {
		_ = db.makeDurable(snap)
	}
}
