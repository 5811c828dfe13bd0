package folio_test

// Crashes of groups, and of commits that are not durable at once. A history here is
// the states after each transaction in the order of the writer lock, and marks that
// say what a crash may leave from which event on:
//
//	begun    the disk can hold the state of a transaction after the beginning of
//	         its function, not before
//	acked    when it has returned, the death of the process does not take it back
//	durable  when it has returned from a full commit, or a Sync or a Close after it
//	         has, or a View of a database with full commits only has seen it, a
//	         power cut does not either
//
// What is found must be one of the states between. The transactions are in
// crashpipetx_test.go.
//
// A failure names what reproduces it: go test -run TestCrashPipe/NAME -seed N, but
// for those cases whose goroutines run freely.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/meta"
)

// pipeCase is a kind of history.
type pipeCase struct {
	name    string
	options folio.Options
	timed   bool // a timer does
	seldom  bool // is anything flushed
	windows int
	states  int // cuts in each window
	// run runs some transactions; fewer if it goes on after a crash.
	run func(h *pipeHistory, few bool) error
}

func TestCrashPipe(t *testing.T) {
	countStates(t)
	for _, c := range pipeCases {
		crashSubtest(t, c.name, &c.states, func() (string, error) {
			h, err := c.crashes(foliotest.Controls{})
			return fmt.Sprintf("%d crashes, %d transactions: %+v", h.tried, h.next, h.seen), err
		})
	}
}

// TestCrashPipeControls makes the disk worse than any disk may be.
func TestCrashPipeControls(t *testing.T) {
	for _, c := range pipeCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := c.crashes(foliotest.Controls{SyncNothing: true})
			if err == nil {
				t.Fatal("nothing was noticed")
			}
		})
	}
}

// syncs returns how many transactions there are to a Sync.
func (c *pipeCase) syncs() int {
	if c.seldom {
		return 50
	}
	return 8
}

type pipeMarkKind int

const (
	markBegun pipeMarkKind = iota
	markAcked
	markDurable
)

// pipeMark is what is known of the state with a number, from an event on.
type pipeMark struct {
	event, state int
	kind         pipeMarkKind
}

// pipeHistory is a database, its disk, and what it held when.
type pipeHistory struct {
	c    *pipeCase
	seed uint64
	rnd  *rand.Rand // of the goroutine that runs the case
	disk *foliotest.Disk
	db   *folio.DB

	mu     sync.Mutex
	base   int                 // the number of the first of states
	states []*foliotest.Bucket // in the order of the writer lock
	marks  []pipeMark
	gate   func() error // what a Sync waits for

	floor  int                 // event before which the disk cannot be cut: a process died there
	first  []*foliotest.Bucket // what it may hold before Open has returned
	opened int                 // event at which Open had returned, -1: not yet

	readers []pipeReader // that stay open meanwhile

	fault syncFault
	plan  *faultfs.Plan // of what fails besides; nil: nothing does
	next  int           // number of the next transaction
	tried int
	seen  pipeSeen
}

// pipeReader is a reader that stays open for long, and what it sees.
type pipeReader struct {
	tx    *folio.Tx
	state *foliotest.Bucket
}

// pipeSeen counts what a case is about, to see that it comes up.
type pipeSeen struct {
	Groups, TwoFlushes, SpacePages int64
	Weak                           int // windows that ended with a weak meta
}

func (c *pipeCase) history(seed uint64, disk *foliotest.Disk) *pipeHistory {
	h := &pipeHistory{c: c, seed: seed, rnd: rand.New(rand.NewPCG(seed, 11)), disk: disk, opened: -1}
	h.fault.disk = disk
	disk.OnSync = func() error {
		h.mu.Lock()
		gate := h.gate
		h.mu.Unlock()
		if gate != nil {
			if err := gate(); err != nil {
				return err
			}
		}
		return h.fault.sync()
	}
	return h
}

func (c *pipeCase) crashes(controls foliotest.Controls) (*pipeHistory, error) {
	seed := uint64(1)
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	h := c.history(seed, foliotest.NewDisk())
	h.disk.Controls = controls
	h.states = []*foliotest.Bucket{foliotest.NewBucket()}
	for window := range c.windows {
		if err := h.advance(false); err != nil {
			return h, fmt.Errorf("-seed %d, window %d: %w", seed, window, err)
		}
		h.lookForWeak()
		for i := range c.states * *crashN {
			rnd := rand.New(rand.NewPCG(seed+uint64(window)<<32, uint64(i)))
			if err := h.crash(rnd); err != nil {
				return h, fmt.Errorf("-seed %d, window %d, crash %d: %w", seed, window, i, err)
			}
			h.tried++
		}
		h.settle()
	}
	return h, h.close()
}

func (h *pipeHistory) lookForWeak() {
	content := h.disk.Content(crashFile)
	for slot := range 2 {
		m, err := meta.Decode(content[slot*max(4096, h.c.options.PageSize):], slot)
		if err == nil && m.Weak {
			h.seen.Weak++
		}
	}
}

// open opens the database.
func (h *pipeHistory) open() error {
	o := h.c.options
	var fsys vfs.FS = h.disk
	if h.plan != nil {
		fsys = faultfs.Wrap(fsys, h.plan)
	}
	db, err := folio.OpenFS(fsys, crashFile, 0o600, &o)
	if err != nil {
		return err
	}
	h.db = db
	if h.opened < 0 {
		h.opened = h.disk.Events()
	}
	return nil
}

// close closes the database, which makes everything durable.
func (h *pipeHistory) close() error {
	if h.db == nil {
		return nil
	}
	s := h.db.Stats().TxStats
	h.seen.Groups += s.Groups
	h.seen.TwoFlushes += s.TwoFlushes
	h.seen.SpacePages += s.SpacePages
	if err := h.endReaders(1); err != nil {
		return err
	}
	err := h.db.Close()
	h.db = nil
	if err == nil {
		h.mark(markDurable, h.newest())
	}
	return err
}

// advance runs some transactions, and closes and opens the database now and then.
func (h *pipeHistory) advance(few bool) error {
	if h.db != nil && h.rnd.IntN(5) == 0 && (few || !h.c.seldom) {
		if err := h.close(); err != nil {
			return err
		}
	}
	if h.db == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	if !few && h.rnd.IntN(3) == 0 {
		if err := h.beginReader(); err != nil {
			return err
		}
	}
	err := h.c.run(h, few)
	if h.c.timed && err == nil {
		err = h.sync() // no flush comes while the disk is cut
	}
	if err == nil {
		err = h.endReaders(2)
	}
	return err
}

// beginReader begins a reader of the newest state that can be seen.
func (h *pipeHistory) beginReader() error {
	tx, err := h.db.Begin(false)
	if err != nil {
		return err
	}
	n, err := txNumber(tx)
	h.readers = append(h.readers, pipeReader{tx, h.states[n-h.base]})
	return err
}

// endReaders makes sure that the readers see what they saw, and ends one of so many.
func (h *pipeHistory) endReaders(of int) error {
	var stay []pipeReader
	for _, r := range h.readers {
		if err := errors.Join(foliotest.Diff(r.tx, r.state), foliotest.Check(r.tx)); err != nil {
			return fmt.Errorf("a reader: %w", err)
		}
		if h.rnd.IntN(of) > 0 {
			stay = append(stay, r)
		} else if err := r.tx.Rollback(); err != nil {
			return err
		}
	}
	h.readers = stay
	return nil
}

// newest returns the number of the newest state.
func (h *pipeHistory) newest() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.base + len(h.states) - 1
}

// mark notes that something is true of a state from now on.
func (h *pipeHistory) mark(kind pipeMarkKind, state int) {
	event := h.disk.Events()
	h.mu.Lock()
	h.marks = append(h.marks, pipeMark{event, state, kind})
	h.mu.Unlock()
}

// update runs a transaction. fn, which has the writer lock, gets the model of what
// the transaction makes of the newest state. If fn returns an error, nothing of that
// may be seen.
func (h *pipeHistory) update(d folio.Durability, fn func(tx *folio.Tx, m *foliotest.Bucket) error) error {
	state := 0
	err := h.db.Update(func(tx *folio.Tx) error {
		must(tx.SetDurability(d))
		h.mu.Lock()
		state = h.base + len(h.states)
		after := h.states[len(h.states)-1].Clone()
		h.mu.Unlock()
		b, bm := crashBucket(tx, after, "number")
		number := []byte(strconv.Itoa(state))
		must(b.Put([]byte("n"), number))
		bm.Put("n", number)
		event := h.disk.Events()
		if err := fn(tx, after); err != nil {
			return err
		}
		h.mu.Lock()
		h.states = append(h.states, after)
		h.marks = append(h.marks, pipeMark{event, state, markBegun})
		h.next++
		h.mu.Unlock()
		return nil
	})
	if state > 0 && errors.Is(err, folio.ErrNoSpace) {
		h.takeBack(state)
	}
	if err != nil {
		return err
	}
	if d == folio.DurabilityFull {
		h.mark(markDurable, state)
	}
	h.mark(markAcked, state)
	return nil
}

// takeBack takes note that there never was a state with that number, nor those that were
// built on it.
func (h *pipeHistory) takeBack(state int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.states = h.states[:min(len(h.states), state-h.base)]
	h.marks = slices.DeleteFunc(h.marks, func(m pipeMark) bool { return m.state >= state })
}

// look reads the number of the newest state that a reader sees. In a database with
// full commits only, no crash may take it back from then on.
func (h *pipeHistory) look() error {
	state, err := stateNumber(h.db)
	if err == nil {
		h.mark(markDurable, state)
	}
	return err
}

func stateNumber(db *folio.DB) (n int, err error) {
	err = db.View(func(tx *folio.Tx) error {
		n, err = txNumber(tx)
		return err
	})
	return n, err
}

func txNumber(tx *folio.Tx) (int, error) {
	b := tx.Bucket([]byte("number"))
	if b == nil {
		return 0, nil
	}
	return strconv.Atoi(string(b.Get([]byte("n"))))
}

// sync makes everything durable.
func (h *pipeHistory) sync() error {
	state, err := stateNumber(h.db)
	if err == nil {
		err = h.db.Sync()
	}
	if err == nil {
		h.mark(markDurable, state)
	}
	return err
}

// allowed returns the states that a disk may hold which was cut at an event.
func (h *pipeHistory) allowed(cut int, kill bool) []*foliotest.Bucket {
	if len(h.first) > 0 && (h.opened < 0 || cut < h.opened) {
		return h.first
	}
	low, high := h.base, h.base
	for _, m := range h.marks {
		switch {
		case m.kind == markBegun:
			if cut > m.event {
				high = max(high, m.state)
			}
		case cut >= m.event && (kill || m.kind == markDurable):
			low = max(low, m.state)
		}
	}
	return h.states[low-h.base : high-h.base+1]
}

// crash cuts the disk off at a random event, opens what is left, goes on with it, and
// cuts it off again.
func (h *pipeHistory) crash(rnd *rand.Rand) error {
	left, next, err := h.cut(rnd)
	if err != nil {
		return err
	}
	next.rnd = rnd
	if err := next.advance(true); err != nil {
		return fmt.Errorf("going on after a first crash at event %d: %w", left, err)
	}
	if rnd.IntN(3) == 0 {
		if err := next.close(); err != nil {
			return err
		}
	}
	_, last, err := next.cut(rnd)
	if err != nil {
		return fmt.Errorf("second crash, after a first at event %d: %w", left, err)
	}
	return errors.Join(next.close(), last.close())
}

// cut cuts the disk off, opens what is left and compares it with what it may hold.
func (h *pipeHistory) cut(rnd *rand.Rand) (int, *pipeHistory, error) {
	events := h.disk.Events()
	cut := h.floor + rnd.IntN(events+1-h.floor)
	metas := int64(2 * max(4096, h.c.options.PageSize))
	kill := rnd.IntN(4) == 0
	h.mu.Lock()
	defer h.mu.Unlock()
	var disk *foliotest.Disk
	if kill {
		disk = h.disk.Kill(cut)
	} else {
		disk = h.disk.Crash(cut, metas, rnd)
	}
	next := h.c.history(h.seed, disk)
	next.next = h.next
	if kill {
		next.floor, next.first = cut, h.allowed(cut, false)
	}
	err := next.recovered(h.allowed(cut, kill))
	if err != nil {
		err = fmt.Errorf("kill %v, at event %d of %d (opened at %d, marks %v): %w", kill, cut, events, h.opened, h.marks, err)
	}
	return cut, next, err
}

// recovered opens the disk and compares the database with the states that it may be
// in.
func (h *pipeHistory) recovered(allowed []*foliotest.Bucket) error {
	crashStates.Add(1)
	if err := h.open(); err != nil {
		return err
	}
	return h.db.View(func(tx *folio.Tx) error {
		var errs []error
		for _, state := range allowed {
			err := foliotest.Diff(tx, state)
			if err == nil {
				h.states = []*foliotest.Bucket{state}
				h.base = 0
				if n := state.Sub("number"); n != nil {
					h.base, err = strconv.Atoi(string(n.Get("n")))
				}
				return errors.Join(err, foliotest.Check(tx))
			}
			errs = append(errs, err)
		}
		n, _ := stateNumber(h.db)
		return fmt.Errorf("state %d: %w (recovery: %s)", n, errors.Join(errs...), h.db.Info().Recovered)
	})
}

// settle lets the disk forget what is durable, and shifts the events.
func (h *pipeHistory) settle() {
	n := h.disk.Settle()
	if n == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opened, h.floor = max(0, h.opened-n), max(0, h.floor-n)
	low := h.base
	for i := range h.marks {
		m := &h.marks[i]
		m.event = max(m.event-n, -1)
		if m.event <= 0 && m.kind == markDurable {
			low = max(low, m.state)
		}
	}
	h.marks = slices.DeleteFunc(h.marks, func(m pipeMark) bool { return m.event < 0 && m.state <= low })
	h.states, h.base = h.states[low-h.base:], low
}

// quiet makes a timer that never comes.
const quiet = 1000 * time.Hour
