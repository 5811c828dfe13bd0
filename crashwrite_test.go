package folio_test

// Writes that fail. In the histories of TestCrashAll, to their Close, each call fails in
// turn that changes the bytes of the file or its length. It changes nothing, or a part of
// what it was to change, or all; and so do those that come after it, or they work again.
// Then
//
//   - the call that needed it says so, and so does every later commit; readers see what
//     they saw;
//   - a Sync or a Close makes everything durable that was committed, in whatever
//     durability, or says that it cannot;
//   - the process dies, or the power is cut, at every effect since the failure. After
//     a death all commits are there that were acknowledged, and after a power cut all that
//     were durable: whole, and with them at most what was being committed;
//   - the same process opens the file again and finds the same.
//
// When the call fails for want of room, the next commit works, and nothing is lost either.
// And the process dies, and the calls of the next session fail.
//
// A failure names what reproduces it.

import (
	"errors"
	"fmt"
	"math"
	"syscall"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/meta"
)

// writeFault is how a call fails.
type writeFault struct {
	err     syscall.Errno
	part    int  // bytes that it writes all the same
	forever bool // the later ones fail, too, and write nothing
	start   bool // it is not one that writes, but one that has the device begin
}

// writeFaults are what is tried, that first which takes little time to notice most.
var writeFaults = []writeFault{
	{err: syscall.EIO, part: 1000},
	{err: syscall.ENOSPC, part: 1000},
	{err: syscall.EIO, forever: true},
	{err: syscall.EIO, part: 1 << 30},
	{err: syscall.EIO, part: 5000},
	{err: syscall.ENOSPC, forever: true},
	{err: syscall.EIO, part: 1000, forever: true},
	{err: syscall.EIO, start: true},
}

// op is the kind of call that fails.
func (f writeFault) op() faultfs.Op {
	if f.start {
		return faultfs.StartWrite
	}
	return faultfs.Changes
}

// writeExtra are histories of this test alone: commits without a flush before what fails
// in other ways.
var writeExtra = []allCase{
	{
		name: "relaxed, then spilled", options: quietly(folio.Options{MaxDirty: 8 * 4096}), setup: allFull(allPuts("key", 30, 900)),
		run: allThen(allWith(relaxed, allPuts("key", 1, 60), allTogether(allPuts("key", 30, 800), allPuts("key", 30, 850))), allFull(allPuts("key", 1, 70))),
	},
	{
		name: "none, then two flushes", options: quietly(folio.Options{TwoFlushes: true}), setup: allFull(allPuts("key", 4, 50)),
		run: allThen(allWith(none, allPuts("key", 1, 60), allPuts("key", 2, 70)), allFull(allPuts("key", 1, 9000))),
	},
	{
		name: "relaxed shrink", options: quietly(folio.Options{PageSize: 65536}), heavy: true, setup: allFull(allPuts("key", 4, 50)),
		run: allWith(relaxed, allPuts("large", 1, 9<<20), allDelete("large", 1), allPuts("key", 1, 60), allPuts("key", 1, 70), allPuts("key", 1, 80)),
	},
}

// allThen runs several histories one after the other.
func allThen(runs ...func(*pipeHistory) error) func(*pipeHistory) error {
	return func(h *pipeHistory) error {
		for _, run := range runs {
			if err := run(h); err != nil {
				return err
			}
		}
		return nil
	}
}

// writeLimits say how much is tried.
type writeLimits struct {
	faults int // of writeFaults
	share  int // of so many calls one fails in each of these ways
	ways   int // to go on after each: of writeWays
	last   int // calls of a history that fail, its last ones; 0: all
	again  int // after one of so many crashes the transactions run again; not in large files
	kills  int // after one of so many effects the process dies, and the next session fails; 0: never
}

// writeTries returns the limits, and those of the crashes after a failure.
func (c *allCase) writeTries() (writeLimits, [2]allLimits) {
	all, ways := len(writeFaults), len(writeWays)
	few := [2]allLimits{{0, 1, 0, 0}, {0, 1, 0, 0}}
	switch {
	case *crashN > 1 && c.heavy:
		return writeLimits{faults: all, share: 1, ways: ways, last: 2}, few
	case *crashN > 1:
		return writeLimits{faults: all, share: 1, ways: ways, again: 10, kills: max(10, 40 / *crashN)}, [2]allLimits{{}, {0, 1, 1, 0}}
	case c.heavy && (testing.Short() || invariants.Enabled):
		return writeLimits{faults: 1, share: 1, ways: 1, last: 1}, few
	case c.heavy:
		return writeLimits{faults: 2, share: 1, ways: 1, last: 1}, few
	case testing.Short() && invariants.Enabled: // under the race detector all takes ten times as long
		return writeLimits{faults: 2, share: 5, ways: 1, again: 60}, few
	case testing.Short() || invariants.Enabled:
		return writeLimits{faults: 2, share: 2, ways: 1, again: 30, kills: 60}, few
	}
	return writeLimits{faults: all, share: 1, ways: 1, again: 30, kills: 40}, few
}

func TestCrashWrite(t *testing.T) {
	countStates(t)
	for _, c := range casesAnd(writeExtra...) {
		x := newWriteRun(&c)
		x.subtest(t, x.history)
	}
}

// writeRun is one history with its failed writes.
type writeRun struct {
	*allRun
	limits writeLimits
	fault  writeFault
	skip   int        // with which of the calls it begins
	at     int        // event at which a call failed, -1: none has
	op     faultfs.Op // the call
	torn   bool       // it has written a part of a meta page
	until  int        // event from which on that is not there any more
}

func newWriteRun(c *allCase) *writeRun {
	x := &writeRun{allRun: newAllRun(c)}
	x.limits, x.allRun.limits = c.writeTries()
	return x
}

// writeWays are what can come after a call that has failed for another reason than want
// of room, before the database is closed.
var writeWays = []struct {
	name string
	do   func(x *writeRun, h *pipeHistory) error
}{
	{"Sync", (*writeRun).synced},
	{"Close", func(*writeRun, *pipeHistory) error { return nil }},
	{"a sync fails, too", (*writeRun).syncFails},
}

// history runs the case over and over.
func (x *writeRun) history() error {
	for i, f := range writeFaults[:x.limits.faults] {
		x.fault, x.skip = f, i
		h, calls, err := x.whole()
		if err != nil {
			return err
		}
		if err := x.each(calls, x.prepared); err != nil {
			return fmt.Errorf("%+v: %w", f, err)
		}
		for cut := h.floor; i < 2 && x.limits.kills > 0 && cut <= h.disk.Events(); cut++ {
			if x.rnd.IntN(x.limits.kills) != 0 {
				continue
			}
			next := func() (*pipeHistory, error) { return x.killed(h, cut) }
			if err := x.each(3, next); err != nil {
				return fmt.Errorf("killed at event %d, then %+v: %w", cut, f, err)
			}
		}
	}
	return nil
}

// each has the first calls of a session fail in turn, or, if there is a limit, the last
// of them.
func (x *writeRun) each(calls int, begin func() (*pipeHistory, error)) error {
	n := 1
	if x.limits.last > 0 {
		n = max(1, calls-x.limits.last+1)
	}
	for ; n <= calls; n++ {
		if (n+x.skip)%x.limits.share != 0 {
			continue
		}
		for i := range x.limits.ways {
			way := (n + i) % len(writeWays)
			if came, err := x.first(begin, n, way); err != nil {
				return fmt.Errorf("call %d of %d fails, then %s: %w", n, calls, writeWays[way].name, err)
			} else if !came {
				return nil
			}
		}
	}
	return nil
}

// whole runs a session in which nothing fails, and returns how many calls it has.
func (x *writeRun) whole() (*pipeHistory, int, error) {
	h, err := x.prepared()
	if err != nil {
		return nil, 0, err
	}
	before := x.plan.Calls(x.fault.op())
	err = errors.Join(x.session(h), h.close())
	return h, x.plan.Calls(x.fault.op()) - before, err
}

func (x *writeRun) prepared() (*pipeHistory, error) {
	x.plan = faultfs.NewPlan()
	return x.prepare()
}

// killed returns the session after h, whose process died at an event, before it begins.
func (x *writeRun) killed(h *pipeHistory, end int) (*pipeHistory, error) {
	x.plan = faultfs.NewPlan()
	x.tried++
	next := h.after(h.disk.Kill(end), end)
	next.plan = x.plan
	return next, next.recovered(h.allowed(end, true))
}

// first runs a session whose n-th call fails, and what comes after. It tells whether
// there was such a call.
func (x *writeRun) first(begin func() (*pipeHistory, error), n, way int) (came bool, err error) {
	defer noPanic(&err)
	h, err := begin()
	if err != nil {
		return false, err
	}
	x.fail(h, n)
	err = x.session(h)
	if err == nil {
		err = h.close()
	}
	if x.at < 0 {
		return false, err
	}
	x.failures++
	if x.until = h.disk.Events(); x.torn && x.fault.forever {
		x.until = math.MaxInt
	}
	if err = x.said(h, err, way); err != nil {
		return true, err
	}
	return true, x.crashes(h)
}

// fail has the n-th call of h from now on fail.
func (x *writeRun) fail(h *pipeHistory, n int) {
	x.at, x.torn = -1, false
	metas := int64(2 * max(4096, x.c.options.PageSize))
	f := faultfs.Fault{Op: x.fault.op(), Nth: n, Err: x.fault.err, Short: x.fault.part}
	f.Hit = func(op faultfs.Op, off int64) {
		x.at, x.op = h.disk.Events(), op
		x.torn = op == faultfs.Write && off < metas && f.Short > 0 && f.Short < meta.Size
	}
	x.plan.Add(f)
	if x.fault.forever {
		x.plan.Add(faultfs.Fault{Op: x.fault.op(), Nth: n + 1, Count: -1, Err: x.fault.err})
	}
}

// said makes sure that what the session ended with, err, is what it should be after the
// failure, and that h does then what it should.
func (x *writeRun) said(h *pipeHistory, err error, way int) error {
	noRoom := x.fault.err == syscall.ENOSPC
	switch {
	case err == nil && (noRoom || x.op == faultfs.Truncate):
		return nil // it could do without: ahead of need the file grows, and is cut, if it can be
	case !errors.Is(err, x.fault.err): // Open gives the cause alone
		return fmt.Errorf("a call failed, and the session ended with: %v", err)
	case noRoom:
		return x.room(h, err)
	case h.db == nil:
		return nil // it was Open that failed, or Close
	case !errors.Is(err, folio.ErrLatched):
		return fmt.Errorf("a write failed, and the commit returned: %v", err)
	}
	if err := h.refuses(x.fault.err); err != nil {
		return err
	}
	if err := writeWays[way].do(x, h); err != nil {
		return err
	}
	if err := h.refuses(x.fault.err); err != nil {
		return err
	}
	return x.closed(h)
}

// room makes sure that there is nothing wrong with a database that has found no room, as
// err says, once there is some.
func (x *writeRun) room(h *pipeHistory, err error) error {
	if h.opened >= 0 && !errors.Is(err, folio.ErrNoSpace) || errors.Is(err, folio.ErrLatched) {
		return fmt.Errorf("without room the session ended with: %v", err)
	}
	x.plan.Clear()
	if h.db == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	if err := h.shows(); err != nil {
		return err
	}
	return errors.Join(h.do(none, allPuts("key", 1, 30)), h.do(full, allPuts("key", 1, 40)), h.close())
}

// lost tells whether a meta is torn, and stays so, that has what was committed and is not
// durable. Nothing can be done about it but to say so.
func (x *writeRun) lost(h *pipeHistory) bool {
	return x.torn && x.fault.forever && h.published() != h.allowed(h.disk.Events(), false)[0]
}

// synced makes durable what was committed before the failure.
func (x *writeRun) synced(h *pipeHistory) error {
	for range 2 {
		if err := h.sync(); x.lost(h) != errors.Is(err, x.fault.err) || x.lost(h) != (err != nil) {
			return fmt.Errorf("Sync returned: %v", err)
		}
	}
	return nil
}

// syncFails has that fail.
func (x *writeRun) syncFails(h *pipeHistory) error {
	h.fault.set(1, func(int64) bool { return true })
	lost := x.lost(h)
	for range 2 {
		err := h.sync()
		if lost && errors.Is(err, x.fault.err) {
			continue // it does not come to a sync
		}
		if !errors.Is(err, errSync) || !errors.Is(err, folio.ErrLatched) {
			return fmt.Errorf("a sync failed, and Sync returned: %v", err)
		}
	}
	return nil
}

// closed closes h, which has latched.
func (x *writeRun) closed(h *pipeHistory) error {
	state, lost := h.publishedNumber(), x.lost(h)
	err := h.db.Close()
	h.db = nil
	switch {
	case err == nil:
		h.mark(markDurable, state)
	case lost && errors.Is(err, x.fault.err), h.disk.FailedAt() > 0 && errors.Is(err, errSync):
		return nil
	}
	return err
}

// crashes has the process die, or the power be cut, after every effect since the failure,
// and the file be opened again.
func (x *writeRun) crashes(h *pipeHistory) error {
	// What was acknowledged is there unless a sync has failed, too, or a part of a meta is
	// written, which is not what a system call leaves, and not undone yet.
	acked := func(cut int) bool {
		lost := h.disk.FailedAt()
		return (lost == 0 || cut < lost) && (!x.torn || cut <= x.at || cut >= x.until)
	}
	for cut := max(x.at, h.floor); cut <= h.disk.Events(); cut++ {
		if err := x.next(h, h.disk.Kill(cut), cut, acked(cut)); err != nil {
			return fmt.Errorf("killed at event %d: %w", cut, err)
		}
		if err := x.cut(h, cut, 1); err != nil {
			return err
		}
	}
	end := h.disk.Events()
	if err := x.next(h, h.disk, end, acked(end)); err != nil {
		return fmt.Errorf("opened again: %w", err)
	}
	return nil
}

// next is the session after h, which ended at an event and left disk with all that was
// acknowledged, or with all that was durable.
func (x *writeRun) next(h *pipeHistory, disk *foliotest.Disk, end int, acked bool) error {
	x.tried++
	next := h.after(disk, end)
	if err := next.recovered(h.allowed(end, acked)); err != nil {
		return err
	}
	if err := x.secondCrash(next, !x.c.heavy && x.rnd.IntN(x.limits.again) == 0); err != nil {
		return err
	}
	return next.close()
}
