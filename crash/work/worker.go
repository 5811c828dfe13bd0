package work

// This file is responsible for the worker process: it opens the database, lets
// writers and readers at it, closes it and begins again, until it is killed.

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio"
)

// Exit codes of a worker.
const (
	exitBroken = 4 // the database broke a promise
	exitNobody = 5 // nobody listens any more
	exitUsage  = 6
)

// ReportFD is the descriptor that a worker reports to.
const ReportFD = 3

// Main is the worker process. It returns its exit code.
func Main(args []string) int {
	signal.Ignore(os.Interrupt) // the process that watches ends this one
	cfg, err := parseConfig(args, os.Stderr)
	if err != nil {
		return exitUsage
	}
	w := &worker{Config: cfg, oracle: NewOracle(cfg.Seed, cfg.Shape)}
	w.reporter = reporter{os.NewFile(ReportFD, "reports")}
	if err := w.limit(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return exitUsage
	}
	if err := w.run(); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		return exitBroken
	}
	w.report(Finished, 0)
	return 0
}

type worker struct {
	Config
	reporter
	oracle  *Oracle
	started atomic.Int64 // transactions
	failed  int          // sessions in a row that could not be opened
	errors  atomic.Uint64
}

// opensTried is how often in a row a tolerant worker tries to open the database.
const opensTried = 10

func (w *worker) done() bool {
	return w.Txs > 0 && w.started.Load() >= int64(w.Txs) || w.failed >= opensTried ||
		w.Once && w.errors.Load() > 0
}

func (w *worker) run() error {
	for !w.done() {
		if err := w.session(); err != nil {
			return err
		}
	}
	return nil
}

// session is the database from Open to Close.
type session struct {
	*worker
	db      *folio.DB
	until   int64 // of started
	stopped atomic.Bool
	mu      sync.Mutex
	err     error
	wg      sync.WaitGroup
}

func (w *worker) session() error {
	w.report(Opening, 0)
	db, err := folio.Open(w.Path, 0o600, w.options())
	if err != nil {
		w.failed++
		return w.judge("opening", err)
	}
	w.failed = 0
	s := &session{worker: w, db: db}
	s.stopAfter()
	n, err := s.first()
	if err != nil {
		err = w.judge("looking", err)
	} else {
		w.report(Opened, n)
		s.start(n)
		s.wg.Wait()
		err = s.err
	}
	w.report(Closing, 0)
	closeErr := db.Close()
	w.report(Closed, 0)
	return errors.Join(err, w.judge("closing", closeErr))
}

// stopAfter decides when the session ends by itself.
func (s *session) stopAfter() {
	s.until = int64(1) << 62
	if s.Reopen > 0 {
		s.until = s.started.Load() + int64(s.Reopen)
	}
	if s.Txs > 0 {
		s.until = min(s.until, int64(s.Txs))
	}
}

func (s *session) start(n uint64) {
	s.db.MaxBatchDelay = time.Millisecond
	for i := range s.Writers {
		s.wg.Go(func() { s.fail(s.write(n, i)) })
	}
	for i := range s.Readers {
		s.wg.Go(func() { s.fail(s.read(n, i)) })
	}
	if s.Reading {
		return
	}
	s.wg.Go(func() { s.fail(s.sync(n)) })
	if s.Heartbeat {
		s.wg.Go(func() { s.fail(s.beat()) })
	}
}

// fail ends the session if err is an error.
func (s *session) fail(err error) {
	if err == nil {
		return
	}
	s.mu.Lock()
	s.err = errors.Join(s.err, err)
	s.mu.Unlock()
	s.stopped.Store(true)
}

func (s *session) over() bool { return s.stopped.Load() || s.started.Load() >= s.until }

// judge returns err if it is not one that had to be expected.
func (w *worker) judge(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, folio.ErrNoSpace) && (w.FileLimit || w.Ballast != "" || w.Tolerate):
		w.report(NoSpace, w.errors.Add(1))
		time.Sleep(time.Millisecond)
		return nil
	case w.Tolerate && !errors.Is(err, folio.ErrCorrupt) && !errors.Is(err, folio.ErrInvalid) && !errors.Is(err, errBroken):
		fmt.Fprintf(os.Stderr, "worker: %s: %v\n", what, err)
		w.report(Failed, w.errors.Add(1))
		time.Sleep(time.Millisecond)
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
