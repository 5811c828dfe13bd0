//go:build linux

package main

// This file is responsible for a process that has the database open.

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/bugs"
)

// command is the first argument that makes the program a worker.
const command = "worker"

// worker is such a process.
type worker struct {
	dir, path string
	name      string
	mode      string // readers or writers
	writes    bool
	seed      uint64
	bug       int

	board   *board
	journal journal
	failed  chan error
}

func workerMain(args []string) int {
	w := worker{failed: make(chan error, 1)}
	f := flag.NewFlagSet("worker", flag.ExitOnError)
	f.StringVar(&w.dir, "dir", "", "")
	f.StringVar(&w.path, "path", "", "")
	f.StringVar(&w.name, "name", "", "")
	f.StringVar(&w.mode, "mode", "", "")
	f.BoolVar(&w.writes, "writes", false, "")
	f.Uint64Var(&w.seed, "seed", 0, "")
	f.IntVar(&w.bug, "bug", 0, "")
	_ = f.Parse(args)
	plant(bugs.Bug(w.bug))
	if err := w.run(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", w.name, err)
		return 1
	}
	return 0
}

func (w *worker) run() (err error) {
	if w.board, err = openBoard(w.dir); err != nil {
		return err
	}
	if w.journal, err = openJournal(w.dir, w.name); err != nil {
		return err
	}
	rnd := w.random(0)
	for life := uint64(1); !w.over(); life++ {
		db, err := folio.Open(w.path, 0o600, w.options(rnd))
		if err == folio.ErrTimeout {
			w.board.stale.Add(1)
			continue
		}
		if errors.Is(err, fs.ErrNotExist) && w.board.seen.Load() == 0 {
			time.Sleep(time.Millisecond) // nobody has created it yet
			continue
		}
		if err != nil {
			return fmt.Errorf("opening: %w", err)
		}
		if err := errors.Join(w.use(db, rnd, life), db.Close()); err != nil {
			return err
		}
		time.Sleep(time.Duration(rnd.IntN(3000)) * time.Microsecond)
	}
	return nil
}

func (w *worker) random(n uint64) *rand.Rand { return rand.New(rand.NewPCG(w.seed, n)) }

func (w *worker) over() bool { return w.board.stop.Load() != 0 }

func (w *worker) options(rnd *rand.Rand) *folio.Options {
	o := &folio.Options{
		Timeout:       time.Duration(100+rnd.IntN(3000)) * time.Millisecond,
		MaxDirty:      []int64{64 << 10, 256 << 10, 0}[rnd.IntN(3)],
		FlushInterval: time.Duration(1+rnd.IntN(30)) * time.Millisecond,
		TwoFlushes:    rnd.IntN(6) == 0,
	}
	switch {
	case !w.writes:
		o.ReadOnly = true
	case w.mode == "writers":
		o.Sharing = folio.ShareWriters
	}
	return o
}

// use uses an open database for some time, or, a third of the readers, until the end.
func (w *worker) use(db *folio.DB, rnd *rand.Rand, life uint64) error {
	end := time.Now().Add(time.Duration(20+rnd.IntN(1500)) * time.Millisecond)
	if !w.writes && rnd.IntN(3) == 0 {
		end = end.Add(time.Hour)
	}
	done := func() bool { return w.over() || time.Now().After(end) }
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	start := func(n int, one func(*folio.DB, *rand.Rand, func() bool) error) {
		for i := range n {
			rnd := w.random(life<<16 | uint64(n)<<8 | uint64(i))
			wg.Go(func() {
				for !done() {
					if err := one(db, rnd, done); err != nil {
						errs <- err
						return
					}
				}
			})
		}
	}
	if w.writes {
		start(1+rnd.IntN(4), w.write)
		start(1, w.read)
	} else {
		start(2+rnd.IntN(4), w.read)
	}
	wg.Wait()
	close(errs)
	var all error
	for err := range errs {
		all = errors.Join(all, err)
	}
	return all
}

// read holds a snapshot, which must be whole, not too old, and stay as it is.
func (w *worker) read(db *folio.DB, rnd *rand.Rand, done func() bool) error {
	floor := w.board.floor()
	tx, err := db.Begin(false)
	if err != nil {
		return fmt.Errorf("beginning to read: %w", err)
	}
	defer tx.Rollback()
	s, sum, err := look(tx, rnd.IntN(20) == 0)
	if err != nil {
		return err
	}
	if s.n < floor {
		return fmt.Errorf("a snapshot shows transaction %d, after %d was acknowledged or seen", s.n, floor)
	}
	raise(&w.board.seen, s.n)
	if s.n > 0 {
		w.journal.note(saw, s)
	}
	w.board.reads.Add(1)
	hold := time.Duration(rnd.IntN(4000)) * time.Microsecond
	if rnd.IntN(6) == 0 {
		hold *= 100
	}
	for end := time.Now().Add(hold); time.Now().Before(end) && !done(); {
		time.Sleep(min(time.Until(end), 20*time.Millisecond))
	}
	again, sumAgain, err := look(tx, false)
	if err != nil {
		return fmt.Errorf("later: %w", err)
	}
	if again != s || sum != sumAgain {
		return fmt.Errorf("the snapshot of transaction %d has changed", s.n)
	}
	w.board.holds.Add(1)
	return nil
}
