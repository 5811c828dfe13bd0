package folio

// This file is responsible for scrubbing: a full check that reads what the device
// has, at a rate that leaves room for others. Disks lose bits in places that nobody
// reads; a scrub finds that while there still is a backup to repair it from.

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// DefaultScrubRate is how many bytes Scrub reads in a second if nothing else is said.
const DefaultScrubRate = 20 << 20

// ScrubOptions are the options of Tx.Scrub.
type ScrubOptions struct {
	// Rate is how many bytes to read in a second: zero stands for
	// DefaultScrubRate, and less than zero for as many as the device gives.
	Rate int64
	// Progress, if it is set, is called now and then with the number of pages
	// that have been dealt with, of how many.
	Progress func(done, total uint64)
	// Found, if it is set, is called for everything that is wrong.
	Found func(*CheckError)
}

// Scrub checks the database as the transaction sees it, as Check does, but reads it
// from the device and not from the cache, as far as the system allows: Linux and
// FreeBSD drop what is cached, unless a process has it mapped and has touched it; in
// a process that has read a page through folio, that page may come from memory. It
// reads at a limited rate, and works in the goroutine that calls it. The error is the
// first thing that it has found, which wraps ErrCorrupt or ErrFault, or the cause when
// ctx is done.
//
// Other transactions go on meanwhile. The pages of the snapshot are not written as
// long as it is open: so Scrub never meets a page that is half written, and what
// others write belongs to later snapshots, and to the next scrub. Pages that others
// free meanwhile stay in use, as with any long reader. Both meta pages are verified
// if the database is open for reading only; else they may be being written. In a
// writable transaction it is the state before it that is checked.
func (tx *Tx) Scrub(ctx context.Context, o ScrubOptions) (err error) {
	if tx.db == nil {
		return ErrTxClosed
	}
	defer endWalk(&err)
	var first error
	report := func(err error) {
		var found *CheckError
		if !errors.As(err, &found) {
			found = &CheckError{Err: err}
		}
		if first == nil {
			first = found
		}
		if o.Found != nil {
			o.Found(found)
		}
	}
	s := scrubber{ctx: ctx, tx: tx, rate: o.Rate, start: time.Now()}
	if s.rate == 0 {
		s.rate = DefaultScrubRate
	}
	// A transaction that has changed nothing.
	before := &Tx{writing: &notWriting, db: tx.db, snap: tx.snap, read: tx.db.reader(tx.snap)}
	before.root.tree.Init(&before.read, rootHeader(&tx.snap.meta), nil)
	c := checker{tx: before, send: report, progress: o.Progress, from: &s}
	s.metas(report)
	s.dropFreelist()
	c.run()
	return first
}

// scrubber is a btree.Reader of the device.
type scrubber struct {
	ctx   context.Context
	tx    *Tx
	rate  int64
	start time.Time
	bytes int64
	buf   []byte // for long values
}

// read reads whole pages from the device, not faster than it shall.
func (s *scrubber) read(b []byte, id page.ID) error {
	pages := uint64(len(b) / s.tx.db.pageSize)
	if hwm := s.tx.snap.meta.HighWater; id < page.FirstID || id >= hwm || pages > uint64(hwm-id) {
		return page.Corrupt(id, 0, "%s not in the file", pagesFrom(pages))
	}
	s.wait(int64(len(b)))
	p := s.tx.db.pager
	// It is advice; what stays in the cache is verified there.
	_ = p.DropCache(id, pages)
	if err := p.ReadAt(b, id); err != nil {
		return fmt.Errorf("%w: page %d: %w", ErrFault, id, err)
	}
	return nil
}

// wait keeps to the rate.
func (s *scrubber) wait(n int64) {
	if s.ctx.Err() != nil {
		panic(stopWalk{context.Cause(s.ctx)})
	}
	if s.rate < 0 {
		return
	}
	s.bytes += n
	due := time.Duration(float64(s.bytes) / float64(s.rate) * float64(time.Second))
	early := due - time.Since(s.start)
	if early < 10*time.Millisecond {
		return // sleeping takes longer than that
	}
	select {
	case <-s.ctx.Done():
		panic(stopWalk{context.Cause(s.ctx)})
	case <-time.After(early):
	}
}

// Peek is for pages that need no check: there are none.
func (s *scrubber) Peek(page.ID) (page.Page, bool) { return nil, false }

// Trust does nothing: each page is read once.
func (s *scrubber) Trust(page.ID) {}

// Ahead does nothing: reading ahead would read through the cache.
func (s *scrubber) Ahead(page.ID, int) {}

// Read reads and verifies a node.
func (s *scrubber) Read(id page.ID, birth page.TxID) (page.Page, error) {
	p := make(page.Page, s.tx.db.pageSize)
	if err := s.read(p, id); err != nil {
		return nil, err
	}
	m := &s.tx.snap.meta
	return p, verifyPage(p, id, birth, m.FileID, m.HighWater)
}

// Run reads and verifies a run, and returns its data: that of a key stays as it is,
// that of a longer value until the next call.
func (s *scrubber) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	ps, m := s.tx.db.pageSize, &s.tx.snap.meta
	size := btree.RunPages(n, ps) * ps
	run := s.buf
	if n <= MaxKeySize {
		run = make([]byte, size)
	} else if len(run) < size {
		run = make([]byte, size)
		s.buf = run
	}
	run = run[:size]
	if err := s.read(run, id); err != nil {
		return nil, err
	}
	if err := verifyRun(run, btree.Ref{ID: id, Birth: birth, Bytes: n}, m.FileID, ps); err != nil {
		return nil, err
	}
	return btree.RunData(run, n), nil
}

// metas verifies the meta pages, if nobody is writing them: the one that is not in use
// is written over by the next commit, whatever it holds.
func (s *scrubber) metas(report func(error)) {
	db := s.tx.db
	if !db.opts.ReadOnly {
		return
	}
	_ = db.pager.DropCache(0, page.NumMetas) // advice
	b := make([]byte, db.pageSize)
	for slot := range page.NumMetas {
		seq, before := db.unwritten()
		_, err := db.readMeta(b[:meta.Size], slot*db.pageSize, slot)
		if now, after := db.unwritten(); err != nil && before && after && seq == now {
			report(err)
		}
	}
}

// unwritten tells whether no process has the file open for writing, and how many states
// have been published.
func (db *DB) unwritten() (seq uint64, ok bool) {
	if db.side == nil {
		return 0, true
	}
	ok, err := db.side.OnlyWriter()
	return db.side.Seq(), ok && err == nil
}

// dropFreelist makes the check read the freelist pages from the device.
func (s *scrubber) dropFreelist() {
	sp, err := readSpace(s.tx.db.pager, &s.tx.snap.meta)
	if err != nil {
		return // the check will say so
	}
	for _, l := range sp.chain {
		_ = s.tx.db.pager.DropCache(l.ID, uint64(l.Pages)) // advice
	}
}
