package work

// This file is responsible for the goroutines that write.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/foliodb/folio"
)

// errGivenUp is why a transaction was rolled back.
var errGivenUp = errors.New("given up")

// attempt is a transaction on its way.
type attempt struct {
	s          *session
	durability folio.Durability
	giveUp     bool
	n          uint64
}

// write commits transactions, one after the other, until the session is over.
func (s *session) write(n uint64, id int) error {
	rnd := rand.New(rand.NewPCG(s.Seed^n, uint64(id)))
	for !s.over() {
		a := &attempt{s: s, durability: s.durabilityOf(rnd), giveUp: rnd.IntN(16) == 0}
		err := a.commit(rnd.IntN(16))
		s.started.Add(1)
		if a.giveUp && errors.Is(err, errGivenUp) {
			continue
		}
		if err == nil {
			if s.Lie != LieEarly {
				s.ack(a)
			}
			continue
		}
		if err := s.judge("a transaction", err); err != nil {
			return err
		}
		if !errors.Is(err, folio.ErrNoSpace) {
			s.stopped.Store(true) // to be opened again
		}
	}
	return nil
}

func (s *session) ack(a *attempt) {
	s.send(Record{Kind: Acked, Durability: a.durability, N: a.n})
}

// commit commits the transaction in one of the ways there are.
func (a *attempt) commit(way int) error {
	switch {
	case way == 0 && !a.giveUp:
		return a.s.db.Batch(a.run)
	case way < 3:
		tx, err := a.s.db.Begin(true)
		if err != nil {
			return err
		}
		if err := a.run(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
	return a.s.db.Update(a.run)
}

// run is the transaction that comes next in the order of the writer lock.
func (a *attempt) run(tx *folio.Tx) error {
	a.n = count(tx) + 1
	d := a.durability
	if a.s.Lie == LieDurability {
		d = folio.DurabilityNone
	}
	if err := tx.SetDurability(d); err != nil {
		return err
	}
	ops := a.s.transaction(a.s.Seed, a.n)
	if a.s.Lie == LieHalf && a.n%32 == 0 {
		ops = ops[:len(ops)-1]
	}
	work := applier{tx: tx}
	if err := work.transaction(a.n, ops); err != nil {
		return err
	}
	if a.giveUp {
		return errGivenUp
	}
	a.s.report(Begun, a.n)
	if a.s.Lie == LieEarly {
		a.s.ack(a)
	}
	return nil
}

// sync calls Sync now and then.
func (s *session) sync(n uint64) error {
	rnd := rand.New(rand.NewPCG(s.Seed^n, 1<<32))
	for !s.over() {
		for wait := rnd.IntN(40); wait > 0 && !s.over(); wait-- {
			time.Sleep(time.Millisecond)
		}
		var newest uint64
		err := s.db.View(func(tx *folio.Tx) error { newest = count(tx); return nil })
		if err == nil {
			err = s.db.Sync()
		}
		if err == nil {
			s.report(Synced, newest)
			continue
		}
		if err := s.judge("Sync", err); err != nil {
			return err
		}
		s.stopped.Store(true)
	}
	return nil
}

// errBroken is wrapped by what is never to be tolerated.
var errBroken = errors.New("a promise is broken")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errBroken, fmt.Sprintf(format, args...))
}
