package bbolt

// This file is responsible for counters. Where folio does nothing that bbolt counts,
// the counter stays zero.

import (
	"sync/atomic"
	"time"
)

// Stats are counters since the database was opened, and the state of its space.
type Stats struct {
	// TxStats add up what transactions did. It is the first field so that its
	// counters are aligned for atomic access on 32-bit processors.
	TxStats TxStats

	FreePageN     int // pages free to be reused now
	PendingPageN  int // pages freed, but needed by open readers or for recovery
	FreeAlloc     int // bytes in free and pending pages
	FreelistInuse int // bytes it would take to list each of these pages

	TxN     int // read transactions begun
	OpenTxN int // read transactions open
}

// freelistEntry is how many bytes a list takes for each page.
const freelistEntry = 8

// Stats returns the counters and the state of the database; nothing if it was opened
// with Options.NoStatistics.
func (db *DB) Stats() Stats {
	if db.noStats {
		return Stats{}
	}
	s := db.Folio().Stats()
	pages := s.TxStats.Pages + s.TxStats.RunPages + s.TxStats.SpacePages
	return Stats{
		TxStats: TxStats{
			PageCount: pages,
			PageAlloc: pages * int64(db.Info().PageSize),
			NodeCount: s.TxStats.Pages,
			Spill:     s.TxStats.Pages,
			Write:     int64(s.Writes),

			CursorCount: db.cursors.Load(),
			WriteTime:   time.Duration(db.writeTime.Load()),
		},
		FreePageN:     s.FreePageN,
		PendingPageN:  s.PendingPageN,
		FreeAlloc:     s.FreeAlloc,
		FreelistInuse: (s.FreePageN + s.PendingPageN) * freelistEntry,
		TxN:           s.TxN,
		OpenTxN:       s.OpenTxN,
	}
}

// Sub returns the difference between two Stats for the counters among them; states are
// those of s.
func (s *Stats) Sub(other *Stats) Stats {
	if other == nil {
		return *s
	}
	d := *s
	d.TxN -= other.TxN
	d.TxStats = s.TxStats.Sub(&other.TxStats)
	return d
}

// TxStats are counters of transactions.
//
// Deprecated: the fields; use the methods, which are atomic.
type TxStats struct {
	PageCount int64 // pages written
	PageAlloc int64 // their bytes

	CursorCount int64 // cursors created

	NodeCount int64 // nodes written
	NodeDeref int64 // always 0

	Rebalance     int64         // always 0
	RebalanceTime time.Duration // always 0

	Split     int64         // always 0
	Spill     int64         // nodes written
	SpillTime time.Duration // always 0: it is part of WriteTime

	Write     int64         // system calls that wrote
	WriteTime time.Duration // in commits, all of it
}

// Stats returns the counters of the transaction: cursors and, after Commit, WriteTime.
// Pages are written for several transactions together, so they are only in DB.Stats.
func (tx *Tx) Stats() TxStats {
	return TxStats{CursorCount: tx.Cursors.Load(), WriteTime: tx.WriteTime}
}

// fields returns the counters, for what is done with each of them.
func (s *TxStats) fields() [12]*int64 {
	return [...]*int64{
		&s.PageCount, &s.PageAlloc, &s.CursorCount, &s.NodeCount, &s.NodeDeref, &s.Rebalance,
		(*int64)(&s.RebalanceTime), &s.Split, &s.Spill, (*int64)(&s.SpillTime), &s.Write, (*int64)(&s.WriteTime),
	}
}

// Sub returns the difference between two TxStats.
func (s *TxStats) Sub(other *TxStats) TxStats {
	var d TxStats
	left, right, diff := s.fields(), other.fields(), d.fields()
	for i := range diff {
		*diff[i] = atomic.LoadInt64(left[i]) - atomic.LoadInt64(right[i])
	}
	return d
}

func load(p *time.Duration) time.Duration { return time.Duration(atomic.LoadInt64((*int64)(p))) }

func add(p *time.Duration, d time.Duration) time.Duration {
	return time.Duration(atomic.AddInt64((*int64)(p), int64(d)))
}

// Each counter can be read and added to atomically.

func (s *TxStats) GetPageCount() int64              { return atomic.LoadInt64(&s.PageCount) }
func (s *TxStats) IncPageCount(delta int64) int64   { return atomic.AddInt64(&s.PageCount, delta) }
func (s *TxStats) GetPageAlloc() int64              { return atomic.LoadInt64(&s.PageAlloc) }
func (s *TxStats) IncPageAlloc(delta int64) int64   { return atomic.AddInt64(&s.PageAlloc, delta) }
func (s *TxStats) GetCursorCount() int64            { return atomic.LoadInt64(&s.CursorCount) }
func (s *TxStats) IncCursorCount(delta int64) int64 { return atomic.AddInt64(&s.CursorCount, delta) }
func (s *TxStats) GetNodeCount() int64              { return atomic.LoadInt64(&s.NodeCount) }
func (s *TxStats) IncNodeCount(delta int64) int64   { return atomic.AddInt64(&s.NodeCount, delta) }
func (s *TxStats) GetNodeDeref() int64              { return atomic.LoadInt64(&s.NodeDeref) }
func (s *TxStats) IncNodeDeref(delta int64) int64   { return atomic.AddInt64(&s.NodeDeref, delta) }
func (s *TxStats) GetRebalance() int64              { return atomic.LoadInt64(&s.Rebalance) }
func (s *TxStats) IncRebalance(delta int64) int64   { return atomic.AddInt64(&s.Rebalance, delta) }
func (s *TxStats) GetRebalanceTime() time.Duration  { return load(&s.RebalanceTime) }
func (s *TxStats) GetSplit() int64                  { return atomic.LoadInt64(&s.Split) }
func (s *TxStats) IncSplit(delta int64) int64       { return atomic.AddInt64(&s.Split, delta) }
func (s *TxStats) GetSpill() int64                  { return atomic.LoadInt64(&s.Spill) }
func (s *TxStats) IncSpill(delta int64) int64       { return atomic.AddInt64(&s.Spill, delta) }
func (s *TxStats) GetSpillTime() time.Duration      { return load(&s.SpillTime) }
func (s *TxStats) GetWrite() int64                  { return atomic.LoadInt64(&s.Write) }
func (s *TxStats) IncWrite(delta int64) int64       { return atomic.AddInt64(&s.Write, delta) }
func (s *TxStats) GetWriteTime() time.Duration      { return load(&s.WriteTime) }

func (s *TxStats) IncRebalanceTime(delta time.Duration) time.Duration {
	return add(&s.RebalanceTime, delta)
}

func (s *TxStats) IncSpillTime(delta time.Duration) time.Duration {
	return add(&s.SpillTime, delta)
}

func (s *TxStats) IncWriteTime(delta time.Duration) time.Duration {
	return add(&s.WriteTime, delta)
}
