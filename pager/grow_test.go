package pager_test

import (
	"bytes"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/pager"
)

func TestGrowthSteps(t *testing.T) {
	const kib, mib = 1 << 10, 1 << 20
	for _, tc := range []struct {
		name      string
		pageSize  int
		size      int64 // before
		need      int64
		maxSize   int64
		want      int64
		wantZeros int64 // written
	}{
		{name: "new file", need: 8 * kib, want: 16 * kib, wantZeros: 16 * kib},
		{name: "new file, all of it", need: 16 * kib, want: 16 * kib, wantZeros: 16 * kib},
		{name: "new file, too much", need: 20 * kib, want: 36 * kib, wantZeros: 16 * kib},
		{name: "tiny file", size: 8 * kib, need: 12 * kib, want: 16 * kib, wantZeros: 8 * kib},
		{name: "least step", size: 16 * kib, need: 20 * kib, want: 36 * kib, wantZeros: 20 * kib},
		{name: "an eighth", size: mib, need: mib + 4*kib, want: mib + 132*kib, wantZeros: 132 * kib},
		{name: "an eighth, rounded", size: 1020 * kib, need: mib, want: 1148 * kib, wantZeros: 128 * kib},
		{name: "most", size: 64 * mib, need: 64*mib + 64*kib, want: 68*mib + 64*kib, wantZeros: 4*mib + 64*kib},
		{name: "large growth", size: 64 * mib, need: 65 * mib, want: 65 * mib},
		{name: "more than a step", size: mib, need: mib + 192*kib, want: mib + 320*kib, wantZeros: 128 * kib},
		{name: "a step", size: mib, need: mib + 128*kib, want: mib + 256*kib, wantZeros: 256 * kib},
		{name: "limit cuts the slack", size: mib, need: mib + 4*kib, maxSize: mib + 10*kib, want: mib + 8*kib, wantZeros: 8 * kib},
		{name: "limit leaves none", size: mib, need: 2 * mib, maxSize: 2 * mib, want: 2 * mib},
		{name: "limit on a new file", need: 8 * kib, maxSize: 8 * kib, want: 8 * kib, wantZeros: 8 * kib},
		{name: "no growth", size: mib, need: mib, want: mib},
		{name: "part of a page", size: 5000, need: 8 * kib, want: 16 * kib, wantZeros: 16*kib - 5000},
		{name: "large pages", pageSize: 64 * kib, need: 128 * kib, want: 384 * kib, wantZeros: 384 * kib},
		{name: "16 KiB pages", pageSize: 16 * kib, need: 32 * kib, want: 96 * kib, wantZeros: 96 * kib},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if tc.pageSize == 0 {
				tc.pageSize = pageSize
			}
			f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
			require.NoError(t, err)
			require.NoError(t, f.Truncate(tc.size))
			zf := &zeroFile{File: f}
			p := open(t, zf, pager.Options{PageSize: tc.pageSize, MaxSize: tc.maxSize})
			hwm := page.ID(tc.need / int64(tc.pageSize))
			require.NoError(t, p.EnsureSize(hwm))
			requireLength(t, f, tc.want)
			require.Equal(t, tc.want, p.FileSize())
			require.Equal(t, tc.wantZeros, zf.written)
			require.NotNil(t, p.View().Run(0, uint64(hwm)))
			require.NoError(t, p.EnsureSize(hwm), "again costs nothing")
			require.Equal(t, tc.wantZeros, zf.written)
		})
	}
}

// TestGrowthBehindLarge: what a commit that has made the file much longer needs besides gets no
// slack either, and the growth after that has it again.
func TestGrowthBehindLarge(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	zf := &zeroFile{File: f}
	p := open(t, zf, pager.Options{PageSize: pageSize})
	for _, g := range []struct {
		hwm page.ID
		len int64 // pages of the file, then
	}{{1000, 1000}, {1001, 1001}, {2000, 2000}, {3000, 3000}, {3002, 3002}} {
		require.NoError(t, p.EnsureSize(g.hwm))
		requireLength(t, f, g.len*pageSize)
		require.Zero(t, zf.written)
	}
	require.NoError(t, p.EnsureSize(3003))
	requireLength(t, f, (3003+3002/8)*pageSize)
	require.EqualValues(t, (1+3002/8)*pageSize, zf.written)
}

// zeroFile counts the zeros written by vectors.
type zeroFile struct {
	vfs.File
	written int64
}

func (f *zeroFile) WriteVecAt(bufs [][]byte, off int64) error {
	for _, b := range bufs {
		f.written += int64(bytes.Count(b, []byte{0}))
	}
	return f.File.WriteVecAt(bufs, off)
}

func TestMaxSize(t *testing.T) {
	plan := faultfs.NewPlan()
	p, f := newPager(t, plan, pager.Options{MaxSize: 10*pageSize + 1})
	require.NoError(t, p.EnsureSize(8))
	requireLength(t, f, 10*pageSize)
	require.NoError(t, p.EnsureSize(10))
	writes := plan.Calls(faultfs.WriteVec) + plan.Calls(faultfs.Truncate)
	require.ErrorIs(t, p.EnsureSize(11), pager.ErrMaxSize)
	require.Equal(t, writes, plan.Calls(faultfs.WriteVec)+plan.Calls(faultfs.Truncate), "nothing was tried")
	requireLength(t, f, 10*pageSize)
	require.NoError(t, p.Err())
	require.NoError(t, p.EnsureSize(10))
	require.LessOrEqual(t, p.Stats().Mapped, int64(10*pageSize), "nor is more reserved than can be used")
}

// TestRemap outgrows the mapping again and again. What old Views show of pages
// that nobody wrote since stays (P3).
func TestRemap(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		p := open(t, openFile(nil, os.O_RDWR), pager.Options{Reserve: 4 * pageSize})
		type old struct {
			view *pager.View
			hwm  page.ID
		}
		var views []old
		for hwm := page.ID(4); hwm < 3000; hwm *= 2 {
			require.NoError(t, p.EnsureSize(hwm))
			require.NoError(t, p.Write(hwm-1, [][]byte{fill(byte(hwm%251), 1)}))
			views = append(views, old{p.View(), hwm})
			for _, v := range views {
				for id := page.ID(4); id <= v.hwm; id *= 2 {
					requirePage(t, v.view, id-1, byte(id%251))
				}
			}
		}
		s := p.Stats()
		require.NotZero(t, s.Remaps)
		require.Less(t, s.Remaps, uint64(12), "mappings double")
		require.GreaterOrEqual(t, s.Mapped, s.FileSize)
	})
}

func TestGrowInsideReserve(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		p := open(t, openFile(nil, os.O_RDWR), pager.Options{Reserve: 1 << 20})
		if p.View().Run(0, 1) == nil {
			t.Skip("no mapping beyond the end of a file here")
		}
		first := p.View()
		for hwm := page.ID(4); hwm < 200; hwm++ {
			require.NoError(t, p.EnsureSize(hwm))
			require.NoError(t, p.Write(hwm-1, [][]byte{fill(byte(hwm), 1)}))
			requirePage(t, first, hwm-1, byte(hwm))
		}
		require.Zero(t, p.Stats().Remaps)
	})
}

func TestShrink(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		f := openFile(nil, os.O_RDWR)
		p := open(t, f, pager.Options{})
		require.NoError(t, p.EnsureSize(20))
		require.NoError(t, p.Write(9, [][]byte{fill('a', 2)}))
		p.View().SetVerified(9)
		p.View().SetVerified(10)
		require.NoError(t, p.Shrink(10))
		requireLength(t, f, 10*pageSize)
		require.EqualValues(t, 10*pageSize, p.FileSize())
		require.NoError(t, p.Shrink(15), "no growth")
		requireLength(t, f, 10*pageSize)
		require.Error(t, p.Write(10, [][]byte{fill('b', 1)}))
		require.NoError(t, p.EnsureSize(11))
		requirePage(t, p.View(), 9, 'a')
		requirePage(t, p.View(), 10, 0)
		_, verified := p.View().Page(9)
		require.True(t, verified)
		_, verified = p.View().Page(10)
		require.False(t, verified, "what came back is not what was verified")
	})
}

// TestOtherProcessGrew lets a second pager append pages that the first one does
// not know of, and holds that the first destroys none of them.
func TestOtherProcessGrew(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("a mapped file cannot be cut")
	}
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		a := open(t, openFile(nil, os.O_RDWR), pager.Options{})
		require.NoError(t, a.EnsureSize(4))
		b := open(t, openFile(nil, os.O_RDWR), pager.Options{})
		require.NoError(t, b.EnsureSize(8))
		require.NoError(t, b.Write(7, [][]byte{fill('b', 1)}))
		require.NoError(t, a.EnsureSize(12))
		requirePage(t, a.View(), 7, 'b')
		require.NoError(t, b.Shrink(8))
		require.NoError(t, a.Refresh())
		require.EqualValues(t, 8*pageSize, a.FileSize())
		requirePage(t, a.View(), 7, 'b')
		require.NoError(t, a.EnsureSize(12))
		require.NoError(t, a.Write(11, [][]byte{fill('c', 1)}))
		requirePage(t, a.View(), 11, 'c')
	})
}

// TestReadersWhileGrowing reads pages below a published high-water mark while
// the file grows and its mapping is replaced. The race detector watches the
// pages of the file on the heap.
func TestReadersWhileGrowing(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		p := open(t, openFile(nil, os.O_RDWR), pager.Options{Reserve: 4 * pageSize})
		var hwm atomic.Uint64
		var stop atomic.Bool
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				for id := page.ID(2); !stop.Load(); id++ {
					n := page.ID(hwm.Load())
					if n <= 2 {
						continue
					}
					id = 2 + id%(n-2)
					v := p.View()
					b, verified := v.Page(id)
					if b == nil || b[0] != byte(id) || b[pageSize-1] != byte(id) {
						t.Errorf("page %d is wrong", id)
						return
					}
					if !verified {
						v.SetVerified(id)
					}
					if err := v.Populate(id, 1); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		for n := page.ID(3); n < 1500; n++ {
			require.NoError(t, p.EnsureSize(n))
			p.View().ClearVerified(n-1, 1)
			require.NoError(t, p.Write(n-1, [][]byte{fill(byte(n-1), 1)}))
			hwm.Store(uint64(n))
		}
		stop.Store(true)
		wg.Wait()
	})
}
