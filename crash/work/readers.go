package work

// This file is responsible for the goroutines that read: every snapshot is the state
// after some number of transactions, whole, and they see no older one after a newer.

import (
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"time"

	"github.com/foliodb/folio"
)

// first is the first look. It leaves the file alone if others are to wait for it.
func (s *session) first() (n uint64, err error) {
	if !s.Heartbeat {
		return s.look(0)
	}
	err = s.db.View(func(tx *folio.Tx) error { n = count(tx); return nil })
	return n, err
}

// look reads everything in the newest snapshot, which must not be older than that of
// transaction atLeast, and returns its number.
func (s *session) look(atLeast uint64) (uint64, error) {
	n, got, err := s.digest()
	switch {
	case err != nil:
		return n, err
	case n < atLeast:
		return n, broken("a reader sees transaction %d after %d", n, atLeast)
	case got != s.oracle.Digest(n):
		return n, broken("what a reader sees is not the state after transaction %d", n)
	}
	return n, nil
}

func (s *session) digest() (n, sum uint64, err error) {
	err = s.db.View(func(tx *folio.Tx) error {
		n, sum = count(tx), digest(tx)
		return nil
	})
	return n, sum, err
}

// read looks again and again.
func (s *session) read(n uint64, id int) error {
	if s.Heartbeat {
		if _, err := io.ReadFull(os.Stdin, make([]byte, 1)); err != nil {
			return nil
		}
	}
	rnd := rand.New(rand.NewPCG(s.Seed^n, 1<<33+uint64(id)))
	for !s.over() {
		time.Sleep(time.Duration(rnd.IntN(4000)) * time.Microsecond)
		now, err := s.look(n)
		if err == nil && rnd.IntN(4) == 0 {
			err = s.hold(time.Duration(rnd.IntN(4000)) * time.Microsecond)
		}
		if err != nil {
			if err := s.judge("a reader", err); err != nil {
				return err
			}
			s.stopped.Store(true)
			return nil
		}
		if now > n || s.Reading { // who only reads would not notice that nobody listens
			n = now
			s.report(Seen, n)
		}
	}
	return nil
}

// hold keeps a snapshot for some time: it must not change.
func (s *session) hold(d time.Duration) error {
	return s.db.View(func(tx *folio.Tx) error {
		before := digest(tx)
		time.Sleep(d)
		if digest(tx) != before {
			return broken("the snapshot of transaction %d has changed under a reader", count(tx))
		}
		return nil
	})
}

// beat does small things, a garbage collection among them, and tells how long the
// longest took: as long as nothing stops all of the process, they are short.
func (s *session) beat() error {
	var slowest time.Duration
	for !s.over() {
		start := time.Now()
		runtime.GC()
		if err := s.db.View(func(tx *folio.Tx) error { count(tx); return nil }); err != nil {
			return err
		}
		if took := time.Since(start); took > slowest {
			slowest = took
			s.report(Slowest, uint64(took))
		}
		time.Sleep(time.Millisecond)
	}
	return nil
}
