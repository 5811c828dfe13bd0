package folio

// This file is responsible for telling that a reader has been open for long: the pages
// of its snapshot cannot be reused, so the file grows.

import (
	"slices"
	"sync"
	"time"

	"github.com/foliodb/folio/internal/page"
)

// SlowReader describes the oldest snapshot that is being read.
type SlowReader struct {
	TxID     int           // of the snapshot
	Age      time.Duration // since a newer one replaced it
	Retained int64         // bytes of freed pages that are kept for it, and for newer ones that are read
}

// slowReaders knows the snapshots that have been replaced and are still being read.
type slowReaders struct {
	mu       sync.Mutex
	last     page.TxID // the snapshot that was replaced last
	at       time.Time
	replaced map[page.TxID]*replaced
}

type replaced struct {
	at       time.Time
	retained int64
	reported bool
}

// of returns the age of snapshot txid, and what it retained at the newest commit.
func (s *slowReaders) of(txid page.TxID) (time.Duration, int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.replaced[txid]
	if r == nil {
		if txid == s.last {
			return time.Since(s.at), 0
		}
		return 0, 0
	}
	return time.Since(r.at), r.retained
}

// superseded takes note that a newer snapshot than txid has been published.
func (s *slowReaders) superseded(txid page.TxID) {
	s.mu.Lock()
	s.last, s.at = txid, time.Now()
	s.mu.Unlock()
}

// note takes note of the snapshots that are being read when newest has been
// published: live, ascending, with what the free space says that they retain: retained
// returns that for one, with what those newer than it retain; for a page is kept for the
// newest that needs it (F9), and where two have been open for long, hardly any for the oldest. It
// returns the oldest if it is slow and has not been reported; whether it will be is
// known when the group commits.
func (s *slowReaders) note(live []page.TxID, newest page.TxID, retained func(id page.TxID, newer int64) int64, o *Options) *SlowReader {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(live) == 0 && len(s.replaced) == 0 {
		return nil
	}
	now, newer := make(map[page.TxID]*replaced), int64(0)
	for _, id := range slices.Backward(live) {
		if id == newest {
			continue
		}
		r := s.replaced[id]
		if r == nil {
			r = &replaced{at: s.at}
		}
		newer = retained(id, newer)
		r.retained = newer
		now[id] = r
	}
	s.replaced = now
	if len(live) == 0 || now[live[0]] == nil || o.OnSlowReader == nil {
		return nil
	}
	r := now[live[0]]
	age := time.Since(r.at)
	if r.reported || age < or(o.SlowReaderAge, time.Minute) && r.retained < or(o.SlowReaderBytes, 64<<20) {
		return nil
	}
	return &SlowReader{TxID: int(live[0]), Age: age, Retained: r.retained}
}

// reported takes note that somebody is told of r.
func (s *slowReaders) reported(r *SlowReader) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.replaced[page.TxID(r.TxID)]; now != nil {
		now.reported = true
	}
}
