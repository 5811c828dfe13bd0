package folio_test

// Crashes of a database whose disk was full for a moment. In the histories of
// TestCrashAll each write and each change of the length fails in turn for want of space.
// The transaction that needed it leaves no trace: the others
// run again in the same process, what is there then is checked as a whole, and the
// process dies or the power is cut after effects since.
//
// A failure names what reproduces it.

import (
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// fullOps are the calls that need room, and how much they do before there is none.
var fullOps = []struct {
	name string
	op   faultfs.Op
	part int
}{{"write", faultfs.Write, 0}, {"vector", faultfs.WriteVec, 4096}, {"truncation", faultfs.Truncate, 0}}

// fullRun is one history with its calls that find no room.
type fullRun struct {
	*allRun
	every int // cuts: one of so many is tried
}

func TestCrashFull(t *testing.T) {
	countStates(t)
	for _, c := range allCases {
		if c.setup == nil || c.heavy {
			continue // TestFaults has no room for a new file, and a large one takes too long
		}
		x := &fullRun{newAllRun(&c), 1}
		x.limits[1] = allLimits{0, 1, 0, 0}
		if *crashN == 1 {
			x.every = 4
		}
		x.subtest(t, x.history)
	}
}

// history runs the case over and over.
func (x *fullRun) history() error {
	for _, o := range fullOps {
		for n, came := 1, true; came; n++ {
			var err error
			if came, err = x.first(o.op, o.part, n); err != nil {
				return fmt.Errorf("no room for %s %d: %w", o.name, n, err)
			}
		}
	}
	return nil
}

// first runs the case with room for only a part of the n-th call of a kind, and tells
// whether there was one.
func (x *fullRun) first(op faultfs.Op, part, n int) (came bool, err error) {
	defer noPanic(&err)
	x.plan = &faultfs.Plan{}
	h, err := x.prepare()
	if err != nil {
		return false, err
	}
	before := x.plan.Calls(op)
	x.plan.Add(faultfs.Fault{Op: op, Nth: n, Err: syscall.ENOSPC, Short: part})
	begun := h.disk.Events()
	err = x.session(h)
	if came = x.plan.Calls(op)-before >= n; !came {
		return false, err
	}
	x.plan.Clear()
	if errors.Is(err, folio.ErrNoSpace) {
		err = x.session(h)
	}
	if err != nil {
		return true, err
	}
	return true, x.left(h, begun)
}

// left looks at what is there, now and after a crash at an event since begun.
func (x *fullRun) left(h *pipeHistory, begun int) error {
	if h.db != nil {
		if err := h.shows(); err != nil {
			return err
		}
	}
	for cut := max(begun, h.floor); cut <= h.disk.Events(); cut++ {
		if x.rnd.IntN(x.every) != 0 {
			continue
		}
		x.cuts++
		if err := x.check(h, h.disk.Kill(cut), cut, true, 1); err != nil {
			return fmt.Errorf("kill at event %d: %w", cut, err)
		}
		if err := x.cut(h, cut, 1); err != nil {
			return err
		}
	}
	return nil
}

// TestCrashFullChain: each transaction finds no room at first, those among them that write
// a freelist page or a checkpoint.
func TestCrashFullChain(t *testing.T) {
	x := newAllRun(&allCase{setup: allFull(allPuts("key", 4, 50))})
	x.plan = &faultfs.Plan{}
	h, err := x.prepare()
	require.NoError(t, err)
	for h.db.Stats().TxStats.SpacePages < 20 {
		for _, o := range fullOps {
			x.plan.Add(faultfs.Fault{Op: o.op, Err: syscall.ENOSPC})
		}
		require.ErrorIs(t, h.do(full, pipeScatter), folio.ErrNoSpace)
		x.plan.Clear()
		require.NoError(t, h.do(full, pipeScatter))
		require.NoError(t, h.sync())
		h.settle()
	}
	require.NoError(t, x.check(h, h.disk.Kill(h.disk.Events()), h.disk.Events(), true, 1))
}
