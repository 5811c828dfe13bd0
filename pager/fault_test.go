package pager_test

import (
	"errors"
	"math/bits"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/pager"
)

// changes are the calls that change the file, each in a form that works on a
// pager of four pages.
var changes = []struct {
	name string
	op   faultfs.Op // what it does first
	call func(p *pager.Pager) error
}{
	{"Write", faultfs.Write, func(p *pager.Pager) error { return p.Write(2, [][]byte{fill('x', 1)}) }},
	{"Write vector", faultfs.WriteVec, func(p *pager.Pager) error {
		return p.Write(2, [][]byte{fill('x', 1), fill('y', 1)})
	}},
	{"WriteMeta", faultfs.Write, func(p *pager.Pager) error { return p.WriteMeta(1, []byte("meta")) }},
	{"EnsureSize", faultfs.WriteVec, func(p *pager.Pager) error { return p.EnsureSize(5) }},
	{"EnsureSize without slack", faultfs.Truncate, func(p *pager.Pager) error { return p.EnsureSize(10) }},
	{"Sync", faultfs.Sync, func(p *pager.Pager) error { return p.Sync() }},
	{"Shrink", faultfs.Truncate, func(p *pager.Pager) error { return p.Shrink(3) }},
}

func fourPages(t *testing.T) (*pager.Pager, vfs.File, *faultfs.Plan) {
	t.Helper()
	plan := faultfs.NewPlan()
	// The limit leaves no slack at ten pages.
	p, f := newPager(t, plan, pager.Options{MaxSize: 10 * pageSize})
	require.NoError(t, p.EnsureSize(4))
	require.NoError(t, p.Write(3, [][]byte{fill('a', 1)}))
	return p, f, plan
}

// TestLatch fails each call in turn and holds rule P2: nothing changes the file
// any more, and no sync is made after one that has failed.
func TestLatch(t *testing.T) {
	for _, tc := range changes {
		if tc.name == "Shrink" {
			continue // a convenience; see TestShrinkFails
		}
		t.Run(tc.name, func(t *testing.T) {
			p, f, plan := fourPages(t)
			plan.Add(faultfs.Fault{Op: tc.op, Err: errDevice})
			err := tc.call(p)
			require.ErrorIs(t, err, errDevice)
			require.ErrorIs(t, err, pager.ErrLatched)
			requireLatched(t, p, plan, errDevice, tc.op != faultfs.Sync)
			requireLength(t, f, 4*pageSize)
			// Reading goes on.
			requirePage(t, p.View(), 3, 'a')
			require.NoError(t, p.ReadAt(make([]byte, pageSize), 3))
		})
	}
}

// requireLatched makes every change and requires that none reaches the file. Unless a
// sync is what has failed, syncs work, and none is made after one that does not.
func requireLatched(t *testing.T, p *pager.Pager, plan *faultfs.Plan, cause error, synced bool) {
	t.Helper()
	ops := []faultfs.Op{faultfs.Write, faultfs.WriteVec, faultfs.Truncate, faultfs.Sync}
	before := make(map[faultfs.Op]int)
	for _, op := range ops {
		before[op] = plan.Calls(op)
	}
	for _, c := range changes {
		if c.op == faultfs.Sync && synced {
			continue
		}
		err := c.call(p)
		require.ErrorIs(t, err, pager.ErrLatched, c.name)
		require.ErrorIs(t, err, cause, c.name)
	}
	require.ErrorIs(t, p.EnsureSize(1), pager.ErrLatched, "even where there is nothing to do")
	require.ErrorIs(t, p.Err(), cause)
	for _, op := range ops {
		require.Equal(t, before[op], plan.Calls(op), "calls of kind %d", op)
	}
	if !synced {
		return
	}
	require.NoError(t, p.Sync())
	plan.Clear()
	plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: errSync})
	for range 2 {
		require.ErrorIs(t, p.Sync(), errSync)
	}
	require.ErrorIs(t, p.Err(), cause, "the first cause stays")
	require.NotErrorIs(t, p.Err(), errSync)
}

var errSync = errors.New("a sync has failed")

func TestLatchByHand(t *testing.T) {
	p, _, plan := fourPages(t)
	p.Latch(nil)
	require.NoError(t, p.Err())
	p.Latch(errDevice)
	p.Latch(syscall.ENOENT)
	require.NotErrorIs(t, p.Err(), syscall.ENOENT, "the first cause stays")
	requireLatched(t, p, plan, errDevice, true)
}

// TestSyncNoSpaceLatches: after a failed sync nothing is known, whatever it says.
func TestSyncNoSpaceLatches(t *testing.T) {
	p, _, plan := fourPages(t)
	plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: syscall.ENOSPC})
	require.ErrorIs(t, p.Sync(), pager.ErrLatched)
	requireLatched(t, p, plan, syscall.ENOSPC, false)
}

func TestNoSpaceDoesNotLatch(t *testing.T) {
	for _, tc := range changes {
		if tc.op == faultfs.Sync || tc.name == "Shrink" {
			continue
		}
		for _, short := range []int{0, 1, pageSize + 1} {
			t.Run(tc.name, func(t *testing.T) {
				p, f, plan := fourPages(t)
				plan.Add(
					faultfs.Fault{Op: tc.op, Err: syscall.ENOSPC, Short: short, Count: -1},
					// For when growth does without slack.
					faultfs.Fault{Op: faultfs.WriteVec, Err: syscall.ENOSPC, Short: short, Count: -1},
				)
				err := tc.call(p)
				require.ErrorIs(t, err, pager.ErrNoSpace)
				require.ErrorIs(t, err, syscall.ENOSPC)
				require.NotErrorIs(t, err, pager.ErrLatched)
				require.NoError(t, p.Err())
				requireLength(t, f, 4*pageSize)
				require.EqualValues(t, 4*pageSize, p.FileSize())
				plan.Clear()
				require.NoError(t, tc.call(p))
				require.NoError(t, p.Sync())
			})
		}
	}
}

// TestNoSpaceForSlack: the file grows by what is needed when no more fits.
func TestNoSpaceForSlack(t *testing.T) {
	for _, hwm := range []page.ID{5, 100} {
		plan := faultfs.NewPlan()
		p, f := newPager(t, plan, pager.Options{})
		require.NoError(t, p.EnsureSize(4))
		plan.Add(faultfs.Fault{Op: faultfs.WriteVec, Err: syscall.ENOSPC, Short: 5000})
		require.NoError(t, p.EnsureSize(hwm))
		requireLength(t, f, int64(hwm)*pageSize)
		require.Equal(t, int64(hwm)*pageSize, p.FileSize())
		requirePage(t, p.View(), hwm-1, 0)
	}
}

// TestNoSpaceAfterMove fails a growth that has moved the file on the heap: the
// View must follow, or it would miss what is written next.
func TestNoSpaceAfterMove(t *testing.T) {
	plan := faultfs.NewPlan()
	p, _ := newPager(t, plan, pager.Options{Reserve: 4 * pageSize})
	require.NoError(t, p.EnsureSize(4))
	plan.Add(
		faultfs.Fault{Op: faultfs.WriteVec, Err: syscall.ENOSPC, Short: 10 * pageSize, Count: -1},
		faultfs.Fault{Op: faultfs.Truncate, Err: syscall.ENOSPC, Nth: 2},
	)
	require.ErrorIs(t, p.EnsureSize(40), pager.ErrNoSpace)
	require.NoError(t, p.Write(3, [][]byte{fill('n', 1)}))
	requirePage(t, p.View(), 3, 'n')
}

func TestShrinkFails(t *testing.T) {
	p, f, plan := fourPages(t)
	plan.Add(faultfs.Fault{Op: faultfs.Truncate, Err: errDevice})
	require.ErrorIs(t, p.Shrink(3), errDevice)
	require.NoError(t, p.Err())
	require.EqualValues(t, 4*pageSize, p.FileSize())
	requireLength(t, f, 4*pageSize)
	require.NoError(t, p.Write(3, [][]byte{fill('b', 1)}))
	requirePage(t, p.View(), 3, 'b')
}

// TestReserveFallback refuses the first mappings, as a limit on the address
// space does.
func TestReserveFallback(t *testing.T) {
	if bits.UintSize == 32 || os.Getenv("FOLIO_EMULATED") != "" {
		t.Skip("needs a large address space")
	}
	plan := faultfs.NewPlan(faultfs.Fault{Op: faultfs.Map, Err: syscall.ENOMEM, Count: 3})
	f, err := faultfs.Wrap(vfs.OS(), plan).OpenFile(filepath.Join(t.TempDir(), "db"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(4*pageSize))
	p := open(t, f, pager.Options{})
	if p.View().Run(1<<20, 1) == nil {
		t.Skip("no mapping beyond the end of a file here")
	}
	require.Equal(t, int64(1)<<37, p.Stats().Mapped)
	require.Equal(t, 4, plan.Calls(faultfs.Map))
	require.Zero(t, p.Stats().Remaps)
}

func TestMapFails(t *testing.T) {
	plan := faultfs.NewPlan()
	f, err := faultfs.Wrap(vfs.NewMem(), plan).OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	plan.Add(faultfs.Fault{Op: faultfs.Map, Err: errDevice, Count: -1})
	p := open(t, f, pager.Options{})
	require.Nil(t, p.View().Run(0, 1), "an empty file need not be mapped")
	require.ErrorIs(t, p.EnsureSize(4), errDevice)
	require.ErrorIs(t, p.EnsureSize(4), errDevice, "the file is long enough now, but not mapped")
	require.NoError(t, p.Err())
	_, err = pager.New(f, pager.Options{PageSize: pageSize})
	require.ErrorIs(t, err, errDevice)
	plan.Clear()
	require.NoError(t, p.EnsureSize(4))
	requirePage(t, p.View(), 3, 0)
}

// TestLatchedMarks holds rule V5: pages count as verified no more.
func TestLatchedMarks(t *testing.T) {
	p, _, plan := fourPages(t)
	v := p.View()
	marked := func() bool { _, ok := v.Page(3); return ok }
	v.SetVerified(3)
	require.True(t, marked())
	require.False(t, v.Changeable())
	plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: errDevice})
	require.ErrorIs(t, p.Sync(), errDevice)
	require.True(t, v.Changeable())
	require.False(t, marked())
	v.SetVerified(3)
	require.False(t, marked())
}
