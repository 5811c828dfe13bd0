package freelist_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// withFree returns a list in which the given extents are free.
func withFree(es ...freelist.Extent) *freelist.List {
	l := freelist.New()
	for _, e := range es {
		l.Return(e)
	}
	return l
}

func ext(start page.ID, n uint64) freelist.Extent { return freelist.Extent{Start: start, Len: n} }

func TestListAllocateIsBestFit(t *testing.T) { // F6
	for _, tc := range []struct {
		name   string
		free   []freelist.Extent
		n      uint64
		want   page.ID
		wantOK bool
	}{
		{"nothing free", nil, 1, 0, false},
		{"no pages", []freelist.Extent{ext(5, 1)}, 0, 0, false},
		{"exact", []freelist.Extent{ext(5, 4), ext(20, 2)}, 2, 20, true},
		{"smallest that holds it", []freelist.Extent{ext(5, 9), ext(20, 4)}, 3, 20, true},
		{"lowest among equals", []freelist.Extent{ext(30, 3), ext(10, 3), ext(20, 3)}, 3, 10, true},
		{"too long", []freelist.Extent{ext(5, 4), ext(20, 2)}, 5, 0, false},
		{"neighbours are one extent", []freelist.Extent{ext(5, 2), ext(9, 2), ext(7, 2)}, 6, 5, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := withFree(tc.free...)
			before := l.Free()
			id, ok := l.Allocate(tc.n)
			require.Equal(t, tc.wantOK, ok)
			require.Equal(t, tc.want, id)
			if ok {
				before -= tc.n
			}
			require.Equal(t, before, l.Free())
			require.NoError(t, l.Verify())
		})
	}
}

func TestListAllocateLongest(t *testing.T) { // F22
	l := withFree(ext(5, 3), ext(20, 7), ext(40, 7), ext(60, 2))
	for _, want := range []freelist.Extent{ext(20, 7), ext(40, 7), ext(5, 3), ext(60, 2)} {
		e, ok := l.AllocateLongest(10, 0)
		require.True(t, ok)
		require.Equal(t, want, e)
	}
	_, ok := l.AllocateLongest(10, 0)
	require.False(t, ok)

	e, ok := withFree(ext(20, 7)).AllocateLongest(3, 0)
	require.True(t, ok)
	require.Equal(t, ext(20, 3), e)
}

func TestListAllocateHead(t *testing.T) { // F22
	l := withFree(ext(10, 20), ext(50, 30), ext(90, 20))
	for _, tc := range []struct {
		n    uint64
		want freelist.Extent // empty: refused
	}{
		{31, freelist.Extent{}},
		{8, ext(50, 8)}, // of the longest
		{8, ext(58, 8)}, // behind it, not where it fits best
		{18, ext(10, 18)},
		{2, ext(28, 2)}, // the rest
		{2, ext(90, 2)}, // the lowest of the longest was full
		{19, freelist.Extent{}},
		{3, ext(92, 3)},
	} {
		id, ok := l.AllocateHead(tc.n)
		require.Equal(t, tc.want.Len > 0, ok, "%d", tc.n)
		if ok {
			require.Equal(t, tc.want, ext(id, tc.n))
		}
	}
	for _, want := range []freelist.Extent{ext(95, 9), ext(104, 6), ext(66, 9), ext(75, 5)} {
		e, ok := l.AllocateLongest(9, 5) // first what is at the head
		require.True(t, ok)
		require.Equal(t, want, e)
	}
}

func TestListFreePagesRefusesDamage(t *testing.T) { // F5
	l := withFree(ext(10, 5))
	require.NoError(t, l.FreePages(ext(20, 5), 3, 4))
	before := l.AppendCheckpoint(nil)
	for _, tc := range []struct {
		name         string
		e            freelist.Extent
		birth, death page.TxID
	}{
		{"free", ext(12, 1), 3, 4},
		{"overlaps free below", ext(14, 2), 3, 4},
		{"overlaps free above", ext(9, 2), 3, 4},
		{"covers free", ext(8, 10), 3, 4},
		{"pending", ext(20, 5), 3, 4},
		{"overlaps pending", ext(24, 5), 3, 4},
		{"meta page", ext(1, 1), 3, 4},
		{"no pages", ext(50, 0), 3, 4},
		{"too high", ext(page.MaxID, 1), 3, 4},
		{"too long", ext(50, uint64(page.MaxID)), 3, 4},
		{"overflow", ext(50, ^uint64(0)-40), 3, 4},
		{"died at birth", ext(50, 1), 4, 4},
		{"died before birth", ext(50, 1), 5, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			require.ErrorIs(t, l.FreePages(tc.e, tc.birth, tc.death), page.ErrCorrupt)
			require.Equal(t, before, l.AppendCheckpoint(nil))
			require.Equal(t, uint64(5), l.Free())
			require.Equal(t, uint64(5), l.Pending())
			require.NoError(t, l.Verify())
		})
	}
}

func TestListTrimTail(t *testing.T) {
	l := withFree(ext(10, 5), ext(20, 5))
	for _, tc := range []struct {
		name     string
		hwm      page.ID
		min      uint64
		wantHWM  page.ID
		wantFree uint64
	}{
		{"a page in use at the end", 26, 1, 26, 10},
		{"too few pages", 25, 6, 25, 10},
		{"trims", 25, 5, 20, 5},
		{"nothing more", 20, 1, 20, 5},
	} {
		hwm, e, ok := l.TrimTail(tc.hwm, tc.min)
		require.Equal(t, tc.wantHWM, hwm, tc.name)
		require.Equal(t, tc.wantHWM != tc.hwm, ok, tc.name)
		require.Equal(t, uint64(tc.hwm-hwm), e.Len, tc.name)
		require.Equal(t, tc.wantFree, l.Free(), tc.name)
	}
}

func TestListReleaseRules(t *testing.T) { // F8
	txids := func(ids ...page.TxID) []page.TxID { return ids }
	for _, tc := range []struct {
		name         string
		birth, death page.TxID
		live         []page.TxID
		durable      page.TxID
		want         bool // reusable
	}{
		{"nobody reads", 3, 5, nil, 5, true},
		{"freed by a commit in flight", 3, 5, nil, 4, false},
		{"freed in flight, no reader needs it", 3, 5, txids(7), 4, false},
		{"reader at birth", 3, 5, txids(3), 9, false},
		{"reader between", 3, 5, txids(4), 9, false},
		{"reader at death", 3, 5, txids(5), 9, true},
		{"reader before birth", 3, 5, txids(2), 9, true},
		{"readers around", 3, 5, txids(1, 2, 5, 8), 9, true},
		{"readers around and between", 3, 5, txids(1, 2, 3, 5, 8), 9, false},
		{"two readers at one snapshot", 3, 5, txids(4, 4), 9, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l := freelist.New()
			require.NoError(t, l.FreePages(ext(7, 2), tc.birth, tc.death))
			for range 3 { // repeating a Release changes nothing
				l.Release(tc.live, tc.durable, tc.durable)
				require.NoError(t, l.Verify())
				want := uint64(0)
				if tc.want {
					want = 2
				}
				require.Equal(t, want, l.Free())
				require.Equal(t, 2-want, l.Pending())
			}
			l.Release(nil, 9, 9)
			require.Equal(t, uint64(2), l.Free())
		})
	}
}

func TestListReleaseMovesToOlderReader(t *testing.T) { // F9
	l := freelist.New()
	require.NoError(t, l.FreePages(ext(7, 2), 3, 9))
	require.NoError(t, l.FreePages(ext(17, 1), 6, 9))
	l.Release([]page.TxID{2, 4, 7, 8}, 9, 9)
	require.Equal(t, uint64(3), l.Retained(8))
	l.Release([]page.TxID{2, 4}, 9, 9)
	require.Equal(t, uint64(1), l.Free(), "born after the snapshots that are left")
	require.Equal(t, uint64(2), l.Retained(4))
	require.Zero(t, l.Retained(2))
	l.Release([]page.TxID{2}, 9, 9)
	require.Equal(t, uint64(3), l.Free())
}

// A reader that stays while every page of the tree is replaced many times must
// cost the pages of its snapshot and no more, and each Release must look only at
// what moves.
func TestListLongReaderUnderChurn(t *testing.T) {
	const pages, rounds, snapshot = 1000, 50, page.TxID(10)
	l, hwm := freelist.New(), page.FirstID
	type owned struct {
		id    page.ID
		birth page.TxID
	}
	var tree []owned
	alloc := func(txid page.TxID) {
		id, ok := l.Allocate(1)
		if !ok {
			id, hwm = hwm, hwm+1
		}
		tree = append(tree, owned{id, txid})
	}
	for range pages {
		alloc(snapshot)
	}
	live := []page.TxID{snapshot}
	for txid := snapshot + 1; txid < snapshot+rounds; txid++ {
		old := slices.Clone(tree)
		tree = tree[:0]
		for _, p := range old {
			alloc(txid)
			require.NoError(t, l.FreePages(ext(p.id, 1), p.birth, txid))
		}
		require.LessOrEqual(t, l.Touched(map[uint64]bool{uint64(snapshot): true}, uint64(txid)), pages)
		l.Release(live, txid, txid)
		require.Zero(t, l.Touched(map[uint64]bool{uint64(snapshot): true}, uint64(txid)))
		require.Equal(t, uint64(pages), l.Retained(snapshot))
	}
	require.Equal(t, page.FirstID+3*pages, hwm, "the snapshot, the newest state, and one to fall back to")
	l.Release(nil, snapshot+rounds, snapshot+rounds)
	require.Zero(t, l.Pending())
	require.Equal(t, uint64(2*pages), l.Free())
}

func TestListReleaseRepeatedIsCheap(t *testing.T) {
	l := freelist.New()
	for i := range page.ID(1000) {
		require.NoError(t, l.FreePages(ext(2+2*i, 1), 3, 5))
	}
	live := []page.TxID{1, 4, 5}
	l.Release(live, 5, 5)
	require.Zero(t, testing.AllocsPerRun(100, func() { l.Release(live, 5, 5) }))
}

func BenchmarkListAllocateFree(b *testing.B) {
	for _, n := range []int{1e3, 1e6} {
		b.Run(fmt.Sprintf("extents=%.0e", float64(n)), func(b *testing.B) {
			l := freelist.New()
			for i := range n {
				l.Return(ext(page.FirstID+page.ID(20*i), 1+uint64(i)%16))
			}
			txid := page.TxID(10)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				n := 1 + uint64(i)%4
				id, _ := l.Allocate(n)
				if err := l.FreePages(ext(id, n), txid-1, txid); err != nil {
					b.Fatal(err)
				}
				if i%8 == 7 {
					l.Release(nil, txid, txid)
					txid++
				}
			}
		})
	}
}

// A reader that holds a million pages must not make commits slower.
func BenchmarkListReleaseBesideLongReader(b *testing.B) {
	l := freelist.New()
	for i := range page.ID(1e6) {
		if err := l.FreePages(ext(2+2*i, 1), 3, 5); err != nil {
			b.Fatal(err)
		}
	}
	live := []page.TxID{4}
	l.Release(live, 5, 5)
	b.ReportAllocs()
	for b.Loop() {
		l.Release(live, 5, 5)
	}
}

// The end of a reader that held many pages stops the writer for this long.
func BenchmarkListReleaseOfLongReader(b *testing.B) {
	const n = 100_000
	order := newRand(b).Perm(n)
	for b.Loop() {
		b.StopTimer()
		l := freelist.New()
		for _, i := range order {
			if err := l.FreePages(ext(page.FirstID+page.ID(3*i), 2), 3, 5); err != nil {
				b.Fatal(err)
			}
		}
		l.Release([]page.TxID{4}, 5, 5)
		b.StartTimer()
		l.Release(nil, 5, 5)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/extent")
}

func TestListAllocateZoneLooksAtSome(t *testing.T) {
	for before, want := range map[int]bool{freelist.ZoneLook - 1: true, freelist.ZoneLook: false} {
		l := freelist.New()
		l.SetZone(10_000)
		for i := range page.ID(before) {
			l.Return(ext(10+2*i, 1))
		}
		l.Return(ext(9000, 2))
		e, ok := l.AllocateZone(2, 2)
		require.Equal(t, want, ok)
		if ok {
			require.Equal(t, ext(9000, 2), e)
		}
	}
}
