package folio

// This file is responsible for counters. The read path takes no lock for them.

import (
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/meta"
)

// Stats are counters since the database was opened, and the state of its space.
type Stats struct {
	// TxStats add up what write transactions did.
	TxStats TxStats

	FreePageN    int // pages free to be reused now
	PendingPageN int // pages freed, but needed by open readers or for recovery
	FreeAlloc    int // bytes in free and pending pages

	TxN     int // read transactions begun
	OpenTxN int // read transactions open

	FileSize int64 // bytes of the file
	Size     int64 // bytes up to the high-water mark
	Oldest   int   // txid of the oldest snapshot being read, 0: none
	// OldestAge is how long ago that snapshot was replaced by a newer one, zero if
	// it is the newest; Retained is how many bytes of freed pages could not be reused
	// because of it, or of newer ones that were being read, when the newest group of commits
	// began.
	OldestAge  time.Duration
	Retained   int64
	Flushes    uint64 // syncs of the file
	Writes     uint64 // system calls that wrote
	PageWrites uint64 // pages written, meta pages among them
	ByteWrites uint64 // bytes written
}

// TxStats are counters of write transactions that have been committed.
type TxStats struct {
	Commits    int64 // transactions that changed something
	Groups     int64 // times that transactions were written, one or several together
	TwoFlushes int64 // those of the groups that took two flushes
	Pages      int64 // nodes written
	RunPages   int64 // pages of long values and keys written
	Freed      int64 // pages given up
	SpacePages int64 // freelist pages written
}

// Sub returns the difference between two Stats, for the counters among them;
// states are those of s.
func (s *Stats) Sub(other *Stats) Stats {
	if other == nil {
		return *s
	}
	d := *s
	d.TxStats = s.TxStats.Sub(&other.TxStats)
	d.TxN -= other.TxN
	d.Flushes -= other.Flushes
	d.Writes -= other.Writes
	d.PageWrites -= other.PageWrites
	d.ByteWrites -= other.ByteWrites
	return d
}

// Sub returns the difference between two TxStats.
func (s *TxStats) Sub(other *TxStats) TxStats {
	return TxStats{
		Commits:    s.Commits - other.Commits,
		Groups:     s.Groups - other.Groups,
		TwoFlushes: s.TwoFlushes - other.TwoFlushes,
		Pages:      s.Pages - other.Pages,
		RunPages:   s.RunPages - other.RunPages,
		Freed:      s.Freed - other.Freed,
		SpacePages: s.SpacePages - other.SpacePages,
	}
}

// counters are the counters of commits, and the state of the free space after
// the last one.
type counters struct {
	commits, groups, twoFlushes, pages, runPages, freed, spacePages atomic.Int64
	free, pending                                                   atomic.Uint64
	known                                                           atomic.Bool // free and pending are
}

// committed counts commit c, which has been published.
func (n *counters) committed(c *commit) {
	n.groups.Add(1)
	if c.meta.Synced {
		n.twoFlushes.Add(1)
	}
	n.commits.Add(c.stats.Commits)
	n.pages.Add(c.stats.Pages)
	n.runPages.Add(c.stats.RunPages)
	n.spacePages.Add(c.stats.SpacePages)
	n.freed.Add(c.stats.Freed)
}

// bytes returns how much was written for s in pages of pageSize.
func (s *TxStats) bytes(pageSize int) int64 {
	return (s.Pages + s.RunPages + s.SpacePages) * int64(pageSize)
}

// space takes note of the free space, which belongs to the writer.
func (n *counters) space(l *freelist.List) {
	n.free.Store(l.Free())
	n.pending.Store(l.Pending())
	n.known.Store(true)
}

// Stats returns the counters, which are those of this process, and the state of the
// database. It waits for nobody and reads no page; the numbers need not be of one
// instant.
func (db *DB) Stats() Stats {
	var s Stats
	snap := db.latest()
	if snap == nil {
		return s
	}
	n := &db.stats
	s.TxStats = TxStats{
		Commits: n.commits.Load(), Groups: n.groups.Load(), TwoFlushes: n.twoFlushes.Load(), Pages: n.pages.Load(),
		RunPages: n.runPages.Load(), Freed: n.freed.Load(), SpacePages: n.spacePages.Load(),
	}
	// Before the first write transaction nothing can be pending.
	s.FreePageN = int(snap.meta.Freelist.FreePages)
	if now := db.current.Load(); n.known.Load() && now != nil && now.seq == snap.seq {
		s.FreePageN, s.PendingPageN = int(n.free.Load()), int(n.pending.Load())
	}
	s.FreeAlloc = (s.FreePageN + s.PendingPageN) * db.pageSize
	open, begun := db.readers.counts()
	s.OpenTxN, s.TxN = open, int(begun)
	if live := db.liveSnapshots(); len(live) > 0 {
		s.Oldest = int(live[0])
		s.OldestAge, s.Retained = db.slow.of(live[0])
	}
	p := db.pager.Stats()
	s.FileSize, s.Size = p.FileSize, int64(snap.meta.HighWater)*int64(db.pageSize)
	if db.follows {
		db.side.Count(func(n *sidecar.Counters) { s.FileSize = int64(n.FileSize.Load()) })
	}
	s.Flushes, s.Writes, s.PageWrites, s.ByteWrites = p.Syncs, p.Writes, p.PagesWritten, p.BytesWritten
	return s
}

// Info describes the file as it was found.
type Info struct {
	PageSize int
	Version  int    // of the format
	FileID   uint64 // random, drawn when the file was created
	TxID     int    // of the newest commit
	MetaSlot int    // the meta page it is in
	// Recovered says, in a sentence, why Open could not take the newest meta
	// page, and is empty otherwise. After a crash this is normal: the commit in
	// progress is gone. Without a crash, a meta page or the newest commit has
	// been damaged.
	Recovered string
	// Root is the page of the root bucket's tree, 0 if it is empty.
	Root int
	Keys uint64 // in the root bucket: the number of top-level buckets
}

// Info returns a description of the file, or nil if the database is closed.
func (db *DB) Info() *Info {
	snap := db.latest()
	if snap == nil {
		return nil
	}
	m := &snap.meta
	return &Info{
		PageSize: db.pageSize, Version: meta.Version, FileID: m.FileID, TxID: int(m.TxID),
		MetaSlot: snap.slot, Recovered: db.fallback, Root: int(m.Root.ID), Keys: m.Root.Count,
	}
}
