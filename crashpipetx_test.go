package folio_test

// The cases of TestCrashPipe, and what their transactions do.

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

const (
	full    = folio.DurabilityFull
	relaxed = folio.DurabilityRelaxed
	none    = folio.DurabilityNone
)

// quietly are options without a flush in the background.
func quietly(o folio.Options) folio.Options {
	o.FlushInterval = quiet
	return o
}

var pipeCases = []pipeCase{
	{name: "group", windows: 12, states: 40, run: pipeGroup(pipeFull, pipeSmall)},
	{name: "group, two flushes", options: folio.Options{TwoFlushes: true}, windows: 6, states: 30, run: pipeGroup(pipeFull, pipeSmall)},
	{name: "group, mixed", options: quietly(folio.Options{}), windows: 12, states: 40, run: pipeGroup(pipeMixed, pipeSmall)},
	{name: "group, spilled", options: folio.Options{MaxDirty: 32 * 4096}, windows: 10, states: 30, run: pipeGroup(pipeFull, pipeSpill)},
	{name: "group, spilled, mixed", options: quietly(folio.Options{MaxDirty: 32 * 4096}), windows: 10, states: 30, run: pipeGroup(pipeMixed, pipeSpill)},
	{name: "goroutines", windows: 6, states: 40, run: pipeFree(pipeFull, pipeSmall)},
	{name: "goroutines, mixed", options: quietly(folio.Options{}), windows: 6, states: 40, run: pipeFree(pipeMixed, pipeSmall)},
	{name: "goroutines, spilled", options: quietly(folio.Options{MaxDirty: 8 * 4096}), windows: 6, states: 30, run: pipeFree(pipeMixed, pipeSpill)},
	{name: "goroutines, shrink", windows: 2, states: 4, run: pipeFree(pipeMixed, pipeShrink)},
	{name: "background flush", options: folio.Options{FlushInterval: 1}, timed: true, windows: 10, states: 40, run: pipeOne(pipeMixed, pipeSmall)},
	{name: "background flush, goroutines", options: folio.Options{FlushInterval: quiet, FlushBytes: 1}, timed: true, windows: 6, states: 40, run: pipeFree(pipeMixed, pipeSmall)},
	{name: "mixed", options: quietly(folio.Options{}), windows: 20, states: 60, run: pipeOne(pipeMixed, pipeSmall)},
	{name: "mixed, two flushes", options: quietly(folio.Options{TwoFlushes: true}), windows: 8, states: 40, run: pipeOne(pipeMixed, pipeSmall)},
	{name: "mixed, runs", options: quietly(folio.Options{}), windows: 10, states: 40, run: pipeOne(pipeMixed, pipeRuns)},
	{name: "mixed, buckets", options: quietly(folio.Options{}), windows: 8, states: 40, run: pipeOne(pipeMixed, pipeBuckets)},
	{name: "mixed, 64 KiB pages", options: quietly(folio.Options{PageSize: 65536}), windows: 6, states: 20, seldom: true, run: pipeOne(pipeUnsynced, pipeSmall)},
	{name: "weak", options: quietly(folio.Options{PageSize: 65536}), windows: 7, states: 20, seldom: true, run: pipeOne(pipeUnsynced, pipeWide)},
	{name: "mixed, chain", options: quietly(folio.Options{}), windows: 12, states: 8, seldom: true, run: pipeOne(pipeUnsynced, pipeScatter)},
	{name: "mixed, large", options: quietly(folio.Options{}), windows: 4, states: 10, run: pipeOne(pipeMixed, pipeBulk)},
	{name: "mixed, shrink", options: quietly(folio.Options{}), windows: 3, states: 5, run: pipeOne(pipeMixed, pipeShrink)},
	{name: "spilled", options: folio.Options{MaxDirty: 8 * 4096}, windows: 10, states: 30, run: pipeOne(pipeFull, pipeSpill)},
	{name: "spilled, mixed", options: quietly(folio.Options{MaxDirty: 8 * 4096}), windows: 15, states: 40, run: pipeOne(pipeMixed, pipeSpill)},
}

// pipeDurability chooses a durability.
type pipeDurability func(h *pipeHistory) folio.Durability

func pipeFull(*pipeHistory) folio.Durability { return full }

func pipeMixed(h *pipeHistory) folio.Durability {
	return [...]folio.Durability{full, relaxed, relaxed, none, none}[h.rnd.IntN(5)]
}

func pipeUnsynced(h *pipeHistory) folio.Durability {
	return [...]folio.Durability{full, relaxed, none}[min(2, h.rnd.IntN(24))]
}

// pipeTx is what a transaction does.
type pipeTx func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket)

// as returns the transaction of the other crash tests that do is.
func as(do func(*crashHistory, *folio.Tx, *foliotest.Bucket)) pipeTx {
	return func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		do(&crashHistory{rnd: h.rnd, next: h.next}, tx, m)
	}
}

var (
	pipeSmall   = as(crashSmall)
	pipeRuns    = as(crashRuns)
	pipeBuckets = as(crashBuckets)
	pipeScatter = as(crashScatter)
	pipeBulk    = as(crashBulk)
	pipeShrink  = as(crashShrink)
)

// pipeSpill is now and then a transaction that is larger than memory, with
// savepoints, some of which it goes back to.
func pipeSpill(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
	c := &crashHistory{rnd: h.rnd, next: h.next}
	if h.rnd.IntN(3) == 0 {
		crashSmall(c, tx, m)
		return
	}
	for range 1 + h.rnd.IntN(3) {
		switch h.rnd.IntN(4) {
		case 0:
			wantErr("Nested", tx.Nested(func(tx *folio.Tx) error {
				pipePuts(c, tx, m.Clone())
				return errUndone
			}), errUndone)
		case 1:
			must(tx.Nested(func(tx *folio.Tx) error { pipePuts(c, tx, m); return nil }))
		default:
			pipePuts(c, tx, m)
		}
	}
}

// pipeWide changes values that together are more than a commit record may cover.
func pipeWide(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
	c := &crashHistory{rnd: h.rnd, next: h.next}
	crashSmall(c, tx, m)
	b, bm := crashBucket(tx, m, "wide")
	for range 8 {
		c.crashPut(b, bm, fmt.Sprintf("key %02d", h.rnd.IntN(80)), 20<<10+h.rnd.IntN(60<<10))
	}
}

var errUndone = errors.New("undone")

// pipePuts changes keys all over a bucket, some of them more than once.
func pipePuts(c *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "many")
	for range 20 + c.rnd.IntN(100) {
		key := fmt.Sprintf("key %03d", c.rnd.IntN(150))
		switch c.rnd.IntN(8) {
		case 0:
			must(b.Delete([]byte(key)))
			bm.Delete(key)
		case 1:
			c.crashPut(b, bm, key, 2000+c.rnd.IntN(9000))
		default:
			c.crashPut(b, bm, key, c.rnd.IntN(900))
		}
	}
}

// pipeOne runs transactions in one goroutine, some of which are rolled back, and
// calls Sync now and then.
func pipeOne(durability pipeDurability, do pipeTx) func(*pipeHistory, bool) error {
	return func(h *pipeHistory, few bool) error {
		n := 4 + h.rnd.IntN(6)
		if few {
			n = 1 + h.rnd.IntN(3)
		}
		for range n {
			if err := h.one(durability(h), do); err != nil {
				return err
			}
			if h.rnd.IntN(h.c.syncs()) == 0 {
				if err := h.sync(); err != nil {
					return err
				}
			}
		}
		return nil
	}
}

// one runs a transaction that is committed, or rolled back.
func (h *pipeHistory) one(d folio.Durability, do pipeTx) error {
	err := h.update(d, func(tx *folio.Tx, m *foliotest.Bucket) error {
		do(h, tx, m)
		if h.rnd.IntN(8) == 0 {
			return errUndone
		}
		return nil
	})
	if err == errUndone {
		err = nil
	}
	return err
}

// pipeFree runs transactions in goroutines, as they come.
func pipeFree(durability pipeDurability, do pipeTx) func(*pipeHistory, bool) error {
	return func(h *pipeHistory, few bool) error {
		n := 6
		if few {
			n = 1
		}
		h.setGate(func() error {
			for range 30 {
				runtime.Gosched()
			}
			return nil
		})
		defer h.setGate(nil)
		var durabilities [4][]folio.Durability
		for i := range durabilities {
			for range n {
				durabilities[i] = append(durabilities[i], durability(h))
			}
		}
		var g pipeGoroutines
		for i, ds := range durabilities {
			g.run(func() error {
				for j, d := range ds {
					if err := h.one(d, do); err != nil {
						return err
					}
					if i == 0 && j%3 == 2 {
						if err := h.sync(); err != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		return g.wait()
	}
}

// pipeGoroutines are goroutines and their errors.
type pipeGoroutines struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs []error
}

func (g *pipeGoroutines) run(fn func() error) {
	g.Add(1)
	go func() {
		defer g.Done()
		err := fn()
		g.mu.Lock()
		g.errs = append(g.errs, err)
		g.mu.Unlock()
	}()
}

func (g *pipeGoroutines) wait() error {
	g.Wait()
	return errors.Join(g.errs...)
}

func (h *pipeHistory) setGate(gate func() error) {
	h.mu.Lock()
	h.gate = gate
	h.mu.Unlock()
}

// pipeGroup makes a group of known members: while a flush is held up, transactions
// are sealed one after the other, and some are rolled back. Views look meanwhile.
func pipeGroup(durability pipeDurability, do pipeTx) func(*pipeHistory, bool) error {
	return func(h *pipeHistory, few bool) error {
		if h.db.Stats().TxStats.Commits == 0 { // Open can have left a sync to the first
			if err := h.update(full, func(tx *folio.Tx, m *foliotest.Bucket) error { return nil }); err != nil {
				return err
			}
		}
		rounds := 2
		if few {
			rounds = 1
		}
		for range rounds {
			if err := h.group(durability, do); err != nil {
				return err
			}
		}
		return nil
	}
}

func (h *pipeHistory) group(durability pipeDurability, do pipeTx) error {
	arrived, open := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.setGate(func() error {
		once.Do(func() { close(arrived); <-open })
		return nil
	})
	defer h.setGate(nil)
	var g pipeGoroutines
	g.run(h.sync)
	<-arrived
	isFull := false
	for range 2 + h.rnd.IntN(4) {
		if isFull {
			break // the next one would wait for the flush
		}
		d, undone := durability(h), h.rnd.IntN(4) == 0
		ran := make(chan struct{})
		g.run(func() error {
			err := h.update(d, func(tx *folio.Tx, m *foliotest.Bucket) error {
				defer close(ran)
				defer func() { isFull = tx.GroupFull() }()
				if do(h, tx, m); undone {
					return errUndone
				}
				return nil
			})
			if undone && err == errUndone {
				err = nil
			}
			return err
		})
		<-ran
	}
	if !isFull {
		// When this one runs, the others are sealed.
		ran := make(chan struct{})
		g.run(func() error {
			return h.db.Update(func(tx *folio.Tx) error { close(ran); return nil })
		})
		<-ran
	}
	if durability(h) == full && h.c.options.FlushInterval != quiet {
		if err := h.look(); err != nil {
			return err
		}
	}
	close(open)
	return g.wait()
}
