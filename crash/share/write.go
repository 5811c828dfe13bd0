//go:build linux

package main

// This file is responsible for the ways in which a worker writes.

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/foliodb/folio"
)

var errGivenUp = errors.New("given up")

// write makes a transaction, in one of the ways there are.
func (w *worker) write(db *folio.DB, rnd *rand.Rand, _ func() bool) error {
	var s stamp
	make := func(tx *folio.Tx) (err error) {
		if err := tx.SetDurability(folio.Durability(rnd.IntN(3))); err != nil {
			return err
		}
		if s, err = apply(tx, rnd, true); err == nil {
			w.journal.note(begun, s)
		}
		return err
	}
	err := w.one(db, rnd, make)
	switch {
	case err == nil && s.n > 0:
		w.journal.note(acked, s)
		raise(&w.board.acked, s.n)
		w.board.txs.Add(1)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, folio.ErrWriterBusy):
		w.board.late.Add(1)
		time.Sleep(time.Duration(rnd.IntN(2000)) * time.Microsecond)
	case err != nil && !errors.Is(err, errGivenUp):
		return err
	}
	if rnd.IntN(10) == 0 {
		time.Sleep(time.Duration(rnd.IntN(5000)) * time.Microsecond)
	}
	return nil
}

func (w *worker) one(db *folio.DB, rnd *rand.Rand, make func(*folio.Tx) error) error {
	switch p := rnd.IntN(100); {
	case p < 40:
		return db.Update(make)
	case p < 55:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+rnd.IntN(40))*time.Millisecond)
		defer cancel()
		return db.UpdateContext(ctx, make)
	case p < 65:
		return byHand(make)(db.Begin(true))
	case p < 75:
		return byHand(make)(db.TryBegin())
	case p < 85:
		return db.Batch(make)
	case p < 90:
		return w.givenUp(db, rnd)
	case p < 94:
		return panicked(db, rnd)
	case p < 97:
		return db.Update(func(*folio.Tx) error { return nil })
	default:
		return db.Sync()
	}
}

func byHand(make func(*folio.Tx) error) func(*folio.Tx, error) error {
	return func(tx *folio.Tx, err error) error {
		if err != nil {
			return err
		}
		if err := make(tx); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		return tx.Commit()
	}
}

// givenUp rolls a transaction back, which was spilled perhaps.
func (w *worker) givenUp(db *folio.DB, rnd *rand.Rand) error {
	return db.Update(func(tx *folio.Tx) error {
		if _, err := apply(tx, rnd, true); err != nil {
			return err
		}
		return errGivenUp
	})
}

func panicked(db *folio.DB, rnd *rand.Rand) (err error) {
	defer func() {
		if r := recover(); r != nil && r != any(errGivenUp) {
			panic(r)
		}
		err = errors.Join(err, errGivenUp)
	}()
	return db.Update(func(tx *folio.Tx) error {
		if _, err := apply(tx, rnd, true); err != nil {
			return err
		}
		panic(errGivenUp)
	})
}
