package folio

// This file is responsible for Batch: several calls in one transaction.

import (
	"errors"
	"fmt"
	"sync"
	"time"
)

// Batch calls fn as part of a writable transaction that it shares with other
// calls of Batch made at the same time, and so shares the flush. It waits up to
// MaxBatchDelay for others to come, or until there are MaxBatchSize.
//
// fn may be called more than once: if a function fails, the others are run
// again without it, and it is run again alone, as by Update. So fn must not change
// anything but the database before Batch has returned nil. The error is that of
// the last call. A panic is a failure like others: the function is run again alone, in
// the goroutine of its caller, and if it panics there, so does that caller's Batch.
// Batch is for many goroutines that write; a single one only waits.
// Calls that share a transaction share the strongest of the durabilities that they set.
func (db *DB) Batch(fn func(*Tx) error) error {
	c := call{fn: fn, err: make(chan error, 1)}
	db.batchMu.Lock()
	b := db.batch
	if b == nil || len(b.calls) >= db.MaxBatchSize {
		b = &batch{db: db}
		db.batch = b
		b.timer = time.AfterFunc(db.MaxBatchDelay, b.trigger)
	}
	b.calls = append(b.calls, c)
	if len(b.calls) >= db.MaxBatchSize {
		go b.trigger()
	}
	db.batchMu.Unlock()

	err := <-c.err
	if err == errRetryAlone {
		err = db.Update(fn)
	}
	return err
}

// errRetryAlone tells a call that its function failed in the batch.
var errRetryAlone = errors.New("batch function returned an error and should be re-run solo")

type call struct {
	fn  func(*Tx) error
	err chan error
}

// batch is calls that will share a transaction.
type batch struct {
	db    *DB
	timer *time.Timer
	once  sync.Once
	calls []call
}

func (b *batch) trigger() { b.once.Do(b.run) }

// run runs all calls, again without a failed one until none fails.
func (b *batch) run() {
	b.db.batchMu.Lock()
	b.timer.Stop()
	if b.db.batch == b {
		b.db.batch = nil
	}
	b.db.batchMu.Unlock()

	// A function that ends the goroutine (runtime.Goexit) ends this one; each
	// is run alone then, in the goroutine of its caller.
	defer func() {
		for _, c := range b.calls {
			c.err <- errRetryAlone
		}
	}()
	for len(b.calls) > 0 {
		failed := -1
		err := b.db.Update(func(tx *Tx) error {
			strongest := DurabilityNone
			for i, c := range b.calls {
				tx.durability = b.db.opts.Durability // whatever the one before has set
				if err := safely(c.fn, tx); err != nil {
					failed = i
					return err
				}
				strongest = min(strongest, tx.durability)
			}
			tx.durability = strongest
			return nil
		})
		if failed < 0 {
			for _, c := range b.calls {
				c.err <- err
			}
			b.calls = nil
			return
		}
		b.calls[failed].err <- errRetryAlone
		last := len(b.calls) - 1
		b.calls[failed] = b.calls[last]
		b.calls = b.calls[:last]
	}
}

// panicked is the error for a panic of a function, which will panic again when it
// is run alone, in its own goroutine.
type panicked struct{ reason any }

func (p panicked) Error() string { return fmt.Sprintf("panic: %v", p.reason) }

func safely(fn func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if _, ours := p.(abort); ours {
				panic(p)
			}
			err = panicked{p}
		}
	}()
	return fn(tx)
}
