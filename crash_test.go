package folio_test

// Crashes at random points. A history of transactions runs on a disk that
// remembers every effect (internal/foliotest). Then the disk is cut off at random
// instants, with a random subset of what was not synced, and opened: it must hold
// the last acknowledged commit, or the one in flight. From there a few more
// transactions run, and the disk is cut off again: crashes during recovery, and
// during the first commits after it.
//
// A failure names what reproduces it: go test -run TestCrash/NAME -seed N.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

const crashFile = "dir/db"

// crashCase is a kind of history.
type crashCase struct {
	name    string
	options folio.Options
	empty   bool // there is an empty file at first
	few     bool // transactions, so that most cuts are before the first of them
	windows int  // times that a few transactions run and are then cut off
	states  int  // cuts in each window
	tx      func(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket)
}

var crashCases = []crashCase{
	{name: "small", windows: 30, states: 60, tx: crashSmall},
	{name: "small, two flushes", options: folio.Options{TwoFlushes: true}, windows: 12, states: 60, tx: crashSmall},
	{name: "small, 16 KiB pages", options: folio.Options{PageSize: 16384}, windows: 8, states: 40, tx: crashSmall},
	{name: "small, 64 KiB pages", options: folio.Options{PageSize: 65536}, windows: 4, states: 30, tx: crashSmall},
	{name: "creation", few: true, windows: 1, states: 1500, tx: crashSmall},
	{name: "empty file", empty: true, windows: 2, states: 300, tx: crashSmall},
	{name: "empty file, 16 KiB pages", empty: true, options: folio.Options{PageSize: 16384}, windows: 2, states: 60, tx: crashSmall},
	{name: "initial size", options: folio.Options{InitialSize: 100 << 10}, windows: 4, states: 60, tx: crashSmall},
	{name: "buckets", windows: 15, states: 60, tx: crashBuckets},
	{name: "runs", windows: 8, states: 40, tx: crashRuns},
	{name: "chain", windows: 60, states: 4, tx: crashScatter},
	{name: "two-flush commits", windows: 3, states: 12, tx: crashBulk},
	{name: "shrink", windows: 3, states: 6, tx: crashShrink},
}

func TestCrash(t *testing.T) {
	countStates(t)
	for _, c := range crashCases {
		crashSubtest(t, c.name, &c.states, func() (string, error) {
			h, err := c.run(foliotest.Controls{})
			return fmt.Sprintf("%d crashes, %d commits, %d freelist pages written", h.tried, h.next, h.spacePages), err
		})
	}
}

// TestCrashControls makes the disk worse than any disk may be. If the test does
// not notice, it is no test.
func TestCrashControls(t *testing.T) {
	for _, c := range []struct {
		name     string
		controls foliotest.Controls
		of       int // crashCases
	}{
		{"sync does nothing", foliotest.Controls{SyncNothing: true}, 0},
		{"sync writes the metas only", foliotest.Controls{SyncMetasOnly: true}, 0},
		{"sync forgets the length", foliotest.Controls{SyncNoLength: true}, 0},
		{"directory is not synced", foliotest.Controls{SyncDirNothing: true}, 0},
		{"sync writes the metas only, two flushes", foliotest.Controls{SyncMetasOnly: true}, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := crashCases[c.of].run(c.controls)
			if err == nil {
				t.Fatal("nothing was noticed")
			}
			t.Logf("noticed: %.200s", err.Error())
		})
	}
}

// crashHistory is a database, its disk, and what it held when.
type crashHistory struct {
	c    *crashCase
	seed uint64
	rnd  *rand.Rand
	disk *foliotest.Disk
	db   *folio.DB

	floor   int                 // event before which the disk cannot be cut: a process died there
	first   []*foliotest.Bucket // what it may hold before Open has returned
	opened  int                 // event at which Open had returned, -1: not yet
	state   *foliotest.Bucket
	commits []crashCommit
	next    int // number of the next transaction, for the kinds of them

	tried      int
	spacePages int64
}

// crashCommit is a transaction that was committed between two events.
type crashCommit struct {
	begun, acked  int
	before, after *foliotest.Bucket
}

func (c *crashCase) run(controls foliotest.Controls) (*crashHistory, error) {
	seed := uint64(1)
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	h := c.history(seed, foliotest.NewDisk(), foliotest.NewBucket())
	h.disk.Controls = controls
	if c.empty {
		h.disk.Put(crashFile, nil)
	}
	for window := range c.windows {
		n := 4 + h.rnd.IntN(6)
		if c.few {
			n = 1
		}
		if err := h.advance(n); err != nil {
			return h, fmt.Errorf("-seed %d, window %d: %w", seed, window, err)
		}
		for i := range c.states * *crashN {
			rnd := rand.New(rand.NewPCG(seed+uint64(window)<<32, uint64(i)))
			if err := h.crash(rnd); err != nil {
				return h, fmt.Errorf("-seed %d, window %d, crash %d: %w", seed, window, i, err)
			}
			h.tried++
		}
		h.settle()
	}
	return h, nil
}

func (c *crashCase) history(seed uint64, disk *foliotest.Disk, state *foliotest.Bucket) *crashHistory {
	return &crashHistory{c: c, seed: seed, rnd: rand.New(rand.NewPCG(seed, 7)), disk: disk, opened: -1, state: state}
}

// settle lets the disk forget what is durable, and shifts the events.
func (h *crashHistory) settle() {
	n := h.disk.Settle()
	if n == 0 {
		return
	}
	h.opened, h.floor = max(0, h.opened-n), max(0, h.floor-n)
	h.commits = nil
}

func (h *crashHistory) open() error {
	o := h.c.options
	db, err := folio.OpenFS(h.disk, crashFile, 0o600, &o)
	if err != nil {
		return err
	}
	h.db = db
	if h.opened < 0 {
		h.opened = h.disk.Events()
	}
	return nil
}

// advance runs n transactions, and closes and opens the database now and then.
func (h *crashHistory) advance(n int) error {
	for range n {
		if h.db != nil && h.rnd.IntN(8) == 0 {
			h.spacePages += h.db.Stats().TxStats.SpacePages
			if err := h.db.Close(); err != nil {
				return err
			}
			h.db = nil
		}
		if h.db == nil {
			if err := h.open(); err != nil {
				return err
			}
		}
		after := h.state.Clone()
		c := crashCommit{begun: h.disk.Events(), before: h.state, after: after}
		err := h.db.Update(func(tx *folio.Tx) error {
			h.c.tx(h, tx, after)
			return nil
		})
		if err != nil {
			return err
		}
		c.acked = h.disk.Events()
		h.commits = append(h.commits, c)
		h.state = after
		h.next++
	}
	return nil
}

// allowed returns what a disk that was cut at an event may hold.
func (h *crashHistory) allowed(cut int) []*foliotest.Bucket {
	state := h.state
	for i := len(h.commits) - 1; i >= 0; i-- {
		c := h.commits[i]
		switch {
		case cut >= c.acked:
			return []*foliotest.Bucket{state}
		case cut > c.begun:
			return []*foliotest.Bucket{c.before, c.after}
		}
		state = c.before
	}
	if cut < h.opened && len(h.first) > 0 {
		// What a dead process has left in the cache is shown to nobody before
		// Open has synced it.
		return h.first
	}
	return []*foliotest.Bucket{state}
}

// named tells whether the file must have its name when the disk is cut at an
// event: once Open has created it, or, if a dead process had, once there is a
// commit.
func (h *crashHistory) named(cut int) bool {
	if h.floor == 0 {
		return h.opened >= 0 && cut >= h.opened
	}
	return len(h.commits) > 0 && cut >= h.commits[0].acked
}

// crash cuts the disk off at a random event, opens what is left, goes on with it,
// and cuts it off again.
func (h *crashHistory) crash(rnd *rand.Rand) error {
	left, next, err := h.cut(rnd)
	if err != nil {
		return err
	}
	next.rnd = rnd
	if err := next.advance(1 + rnd.IntN(3)); err != nil {
		return fmt.Errorf("going on after a crash: %w", err)
	}
	if rnd.IntN(3) == 0 {
		if err := next.db.Close(); err != nil {
			return err
		}
	}
	if _, _, err = next.cut(rnd); err != nil {
		return fmt.Errorf("second crash, after a first at event %d: %w", left, err)
	}
	return nil
}

// cut cuts the disk off, opens what is left and compares it with what it may
// hold. It returns where it cut, and the history of what is left.
func (h *crashHistory) cut(rnd *rand.Rand) (int, *crashHistory, error) {
	events := h.disk.Events()
	cut := h.floor + rnd.IntN(events+1-h.floor)
	metas := int64(2 * max(4096, h.c.options.PageSize))
	var disk *foliotest.Disk
	kind := "crash"
	if rnd.IntN(5) == 0 {
		kind, disk = "kill", h.disk.Kill(cut)
	} else {
		disk = h.disk.Crash(cut, metas, rnd)
	}
	next := h.c.history(h.seed, disk, nil)
	next.next = h.next
	if kind == "kill" {
		next.floor, next.first = cut, h.allowed(cut)
	}
	err := next.recovered(h.allowed(cut), h.named(cut))
	if err != nil {
		err = fmt.Errorf("%s at event %d of %d: %w", kind, cut, events, err)
	}
	return cut, next, err
}

// recovered opens the disk and compares the database with the states that it may
// be in.
func (h *crashHistory) recovered(allowed []*foliotest.Bucket, exists bool) error {
	crashStates.Add(1)
	if exists && !h.disk.Has(crashFile) {
		return errors.New("the file is gone")
	}
	if err := h.open(); err != nil {
		return err
	}
	return h.db.View(func(tx *folio.Tx) error {
		var errs []error
		for _, state := range allowed {
			err := foliotest.Diff(tx, state)
			if err == nil {
				h.state = state
				return foliotest.Check(tx)
			}
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}
