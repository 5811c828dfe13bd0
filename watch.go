package folio

// This file is responsible for showing who has the file open, and what those who write
// are doing.

import (
	"slices"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
)

// Process is one handle of the file: a process that has opened it, or one of several
// openings in a process.
type Process struct {
	PID     int
	Foreign bool      // PID holds in another container (pid namespace) than that of who asks
	Role    string    // "reader", "writer" or "shared writer"
	Since   time.Time // when it opened the file
	Dead    bool      // it has ended without Close, and nobody has cleaned up after it yet
	Self    bool      // it is the DB that was asked
	Readers []Reader  // its open read transactions; those of a "writer" are not known
}

// Reader is an open read transaction.
type Reader struct {
	TxID     int       // of its snapshot
	Since    time.Time // when it began
	Retained int64     // bytes of freed pages that are kept for it and newer ones, as of the newest commit
}

// Processes returns all handles of the file, with their read transactions. It is empty
// if the file is not shared (Options.Sharing). It waits for nobody.
func (db *DB) Processes() []Process {
	if db.side == nil || db.current.Load() == nil {
		return nil
	}
	var list []Process
	for _, p := range db.side.Processes() {
		q := Process{PID: p.PID, Foreign: p.Foreign, Role: p.Role.String(), Since: p.Since, Dead: !p.Alive, Self: p.Own}
		for _, s := range p.Slots {
			q.Readers = append(q.Readers, Reader{TxID: int(s.TxID), Since: s.Since, Retained: int64(s.Retained)})
		}
		slices.SortFunc(q.Readers, func(a, b Reader) int { return a.TxID - b.TxID })
		list = append(list, q)
	}
	return list
}

// Activity is what all who write have done since the first of those who have the file
// open now has opened it, and the state of the file.
type Activity struct {
	TxID         int    // of the newest published commit
	Durable      int    // of the newest that was made durable
	Groups       uint64 // times that transactions were written, one or several together
	Transactions uint64 // that changed something
	Pages        uint64 // written
	Bytes        uint64 // written
	Flushes      uint64 // syncs of the file
	FileSize     int64  // bytes
	Size         int64  // bytes up to the high-water mark
	Free         int64  // bytes of free and pending pages
}

// Activity returns what other processes, and this one, do with the file; false if it
// is not shared or has been closed. The numbers are not of one instant. It waits for
// nobody, and reads no page.
func (db *DB) Activity() (Activity, bool) {
	if db.side == nil || db.current.Load() == nil {
		return Activity{}, false
	}
	snap, err := db.newest()
	if err != nil {
		return Activity{}, false
	}
	a, ps := Activity{TxID: int(snap.meta.TxID)}, int64(db.pageSize)
	db.side.Count(func(n *sidecar.Counters) {
		a.Durable, a.FileSize = int(n.Durable.Load()), int64(n.FileSize.Load())
		a.Groups, a.Transactions, a.Pages = n.Commits.Load(), n.Transactions.Load(), n.Pages.Load()
		a.Bytes, a.Flushes = n.Bytes.Load(), n.Flushes.Load()
		a.Size, a.Free = int64(n.HighWater.Load())*ps, int64(n.FreePages.Load())*ps
	})
	return a, db.side.Err() == nil
}

// report tells other processes what commit c, which has been published, has done. It
// needs the token.
func (db *DB) report(c *commit) {
	if db.side == nil {
		return
	}
	db.side.Count(func(n *sidecar.Counters) {
		n.Commits.Add(1)
		n.Transactions.Add(uint64(c.stats.Commits))
		n.Pages.Add(uint64(c.stats.Pages + c.stats.RunPages + c.stats.SpacePages))
		n.Bytes.Add(uint64(c.stats.bytes(db.pageSize)))
		db.countFlushes(n)
		db.countState(n)
	})
}

// reportFlushes tells other processes what has been flushed. It needs the token.
func (db *DB) reportFlushes() {
	if db.side != nil {
		db.side.Count(db.countFlushes)
	}
}

// reportState tells other processes what the file is like, and what of it is durable. It
// needs the token.
func (db *DB) reportState() {
	db.side.Count(func(n *sidecar.Counters) {
		db.countFlushes(n)
		db.countState(n)
	})
}

func (db *DB) countFlushes(n *sidecar.Counters) {
	if syncs := db.pager.Stats().Syncs; syncs != db.reported {
		n.Flushes.Add(syncs - db.reported)
		db.reported = syncs
	}
	setCounter(&n.Durable, db.durableTx.Load())
}

func (db *DB) countState(n *sidecar.Counters) {
	m := &db.current.Load().meta
	setCounter(&n.FileSize, uint64(db.pager.FileSize()))
	setCounter(&n.HighWater, uint64(m.HighWater))
	setCounter(&n.FreePages, m.Freelist.FreePages)
}

// setCounter stores v unless it is there: most numbers stay, and a load is cheaper.
func setCounter(c *atomic.Uint64, v uint64) {
	if c.Load() != v {
		c.Store(v)
	}
}

// retained returns how many bytes the snapshot txid retains besides those that newer ones
// do, with these, and tells other processes.
func (db *DB) retained(txid page.TxID, newer int64) int64 {
	bytes := newer + int64(db.space.list.Retained(txid))*int64(db.pageSize)
	if db.side != nil {
		db.side.Retain(uint64(txid), uint64(bytes))
	}
	return bytes
}
