package freelist_test

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

func TestLoadRules(t *testing.T) { // F14, F15
	es := func(e ...freelist.Extent) []freelist.Extent { return append([]freelist.Extent{}, e...) }
	checkpoint := withFree(ext(10, 5), ext(20, 5)).AppendCheckpoint(nil)
	for _, tc := range []struct {
		name       string
		checkpoint []byte
		deltas     [][]byte
		limit      page.ID
		want       []freelist.Extent // nil: damaged
	}{
		{"nothing", nil, nil, 2, es()},
		{"checkpoint", checkpoint, nil, 25, es(ext(10, 5), ext(20, 5))},
		{"checkpoint above limit", checkpoint, nil, 24, nil},
		{"checkpoint cut off", checkpoint[:len(checkpoint)-1], nil, 25, nil},
		{"checkpoint with a tail", append(slices.Clone(checkpoint), 0), nil, 25, nil},
		{"taken from the middle", checkpoint, [][]byte{deltaOf(1, es(ext(12, 2)), nil)}, 25, es(ext(10, 2), ext(14, 1), ext(20, 5))},
		{"taken whole", checkpoint, [][]byte{deltaOf(1, es(ext(10, 5)), nil)}, 25, es(ext(20, 5))},
		{"taken but in use", checkpoint, [][]byte{deltaOf(1, es(ext(15, 1)), nil)}, 25, nil},
		{"taken in part in use", checkpoint, [][]byte{deltaOf(1, es(ext(14, 2)), nil)}, 25, nil},
		{"taken twice", checkpoint, [][]byte{deltaOf(1, es(ext(12, 1)), nil), deltaOf(2, es(ext(12, 1)), nil)}, 25, nil},
		{"taken above all", checkpoint, [][]byte{deltaOf(1, es(ext(90, 1)), nil)}, 25, nil},
		{"freed between", checkpoint, [][]byte{deltaOf(1, nil, es(ext(15, 5)))}, 25, es(ext(10, 15))},
		{"freed but free", checkpoint, [][]byte{deltaOf(1, nil, es(ext(9, 2)))}, 25, nil},
		{"freed twice", checkpoint, [][]byte{deltaOf(1, nil, es(ext(8, 1))), deltaOf(2, nil, es(ext(8, 1)))}, 25, nil},
		{"taken and freed by one group", checkpoint, [][]byte{deltaOf(1, es(ext(12, 1)), es(ext(12, 1)))}, 25, es(ext(10, 5), ext(20, 5))},
		{"trimmed", checkpoint, [][]byte{deltaOf(1, es(ext(20, 5)), nil)}, 20, es(ext(10, 5))},
		{"trimmed, grown and freed", checkpoint, [][]byte{slices.Concat(deltaOf(1, es(ext(20, 5)), nil), deltaOf(2, nil, es(ext(22, 1))))}, 23, es(ext(10, 5), ext(22, 1))},
		{"freed above limit", checkpoint, [][]byte{deltaOf(1, nil, es(ext(30, 1)))}, 25, nil},
		{"same transaction twice", nil, [][]byte{deltaOf(3, nil, es(ext(5, 1))), deltaOf(3, nil, es(ext(6, 1)))}, 25, es(ext(5, 2))},
		{"out of order", nil, [][]byte{deltaOf(3, nil, nil), deltaOf(2, nil, nil)}, 25, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := freelist.Load(tc.checkpoint, tc.deltas, tc.limit)
			if tc.want == nil {
				require.ErrorIs(t, err, page.ErrCorrupt)
				require.Nil(t, l)
				return
			}
			require.NoError(t, err)
			require.NoError(t, l.Verify())
			require.ElementsMatch(t, tc.want, slices.Collect(l.All()))
			require.Zero(t, l.Pending())
		})
	}
}

func TestCheckpointMergesFreeAndPending(t *testing.T) { // F14
	l := withFree(ext(10, 5), ext(20, 5))
	require.NoError(t, l.FreePages(ext(15, 3), 1, 2))
	require.NoError(t, l.FreePages(ext(18, 2), 1, 2))
	require.NoError(t, l.FreePages(ext(3, 1), 1, 2))
	require.Equal(t, []freelist.Extent{ext(3, 1), ext(10, 15)}, slices.Collect(l.All()))
	require.Equal(t, []byte{2, 1 << 1, 5<<1 | 1, 13}, l.AppendCheckpoint(nil))
}

// The root reserves the pages of a checkpoint between the bound and the append,
// and that must not make the bound wrong.
func TestCheckpointBoundSurvivesAllocation(t *testing.T) {
	r := newRand(t)
	for range 300 {
		l := freelist.New()
		for i, e := range randomExtents(r, 1+r.IntN(400), 1<<r.IntN(20)) {
			if i%3 == 0 {
				require.NoError(t, l.FreePages(e, 1, 2))
			} else {
				l.Return(e)
			}
		}
		bound := l.CheckpointBound()
		require.LessOrEqual(t, len(l.AppendCheckpoint(nil)), bound)
		for range 20 {
			l.Allocate(1 + r.Uint64N(10))
			if es := slices.Collect(l.All()); len(es) > 0 {
				l.TrimTail(es[len(es)-1].End(), 1)
			}
			require.LessOrEqual(t, l.CheckpointBound(), bound)
		}
		l.Release(nil, 2, 2)
		require.LessOrEqual(t, l.CheckpointBound(), bound)
		require.LessOrEqual(t, len(l.AppendCheckpoint(nil)), bound)
	}
}

func FuzzLoad(f *testing.F) {
	l := withFree(ext(10, 5), ext(20, 5))
	f.Add(l.AppendCheckpoint(nil), deltaOf(1, []freelist.Extent{ext(12, 2)}, []freelist.Extent{ext(3, 1)}), []byte{}, uint64(25))
	f.Add([]byte{}, deltaOf(1, nil, []freelist.Extent{ext(3, 9)}), deltaOf(2, []freelist.Extent{ext(4, 1)}, nil), uint64(1<<40))
	f.Fuzz(func(t *testing.T, checkpoint, d1, d2 []byte, limit uint64) {
		l, err := freelist.Load(checkpoint, [][]byte{d1, d2}, page.ID(limit))
		if err != nil {
			require.ErrorIs(t, err, page.ErrCorrupt)
			return
		}
		require.NoError(t, l.Verify())
		bound := l.CheckpointBound()
		again := l.AppendCheckpoint(nil)
		require.LessOrEqual(t, len(again), bound)
		m, err := freelist.Load(again, nil, page.ID(limit))
		require.NoError(t, err)
		require.Equal(t, slices.Collect(l.All()), slices.Collect(m.All()))
	})
}

func BenchmarkLoad(b *testing.B) {
	l := freelist.New()
	for i := range page.ID(200_000) {
		l.Return(ext(2+20*i, 1+uint64(i*7919%16)))
	}
	checkpoint := l.AppendCheckpoint(nil)
	b.Run("extents=2e5", func(b *testing.B) {
		for b.Loop() {
			if _, err := freelist.Load(checkpoint, nil, page.MaxID); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		var buf []byte
		for b.Loop() {
			buf = l.AppendCheckpoint(buf[:0])
		}
		b.ReportMetric(float64(len(buf))/200_000, "B/extent")
	})
}

func TestHoldRules(t *testing.T) { // F19
	one := []freelist.Extent{ext(5, 1)}
	thrice := [][]byte{slices.Concat(deltaOf(10, nil, one), deltaOf(20, one, nil), deltaOf(30, nil, one))}
	checkpoint := withFree(ext(5, 1)).AppendCheckpoint(nil)
	for _, tc := range []struct {
		name       string
		checkpoint []byte
		by         page.TxID // checkpoint
		deltas     [][]byte
		live       []page.TxID // when the list is loaded
		later      []page.TxID
		held       bool // later
	}{
		{"freed after the snapshot", nil, 0, thrice, []page.TxID{9}, []page.TxID{9}, true},
		{"freed by the transaction after it", nil, 0, thrice, []page.TxID{29}, []page.TxID{29}, true},
		{"freed by the snapshot itself", nil, 0, thrice, []page.TxID{30}, []page.TxID{30}, false},
		{"freed twice, the newer reader stays", nil, 0, thrice, []page.TxID{9, 25}, []page.TxID{25}, true},
		{"freed twice, the older reader stays", nil, 0, thrice, []page.TxID{9, 25}, []page.TxID{9}, true},
		{"nobody stays", nil, 0, thrice, []page.TxID{9, 25}, nil, false},
		{"a checkpoint after the snapshot", checkpoint, 10, nil, []page.TxID{9}, []page.TxID{9}, true},
		{"the snapshot of the checkpoint", checkpoint, 10, nil, []page.TxID{10}, []page.TxID{10}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			l, err := freelist.Load(tc.checkpoint, tc.deltas, 10)
			require.NoError(t, err)
			require.NoError(t, l.HoldSince(tc.live[0], tc.by, tc.deltas))
			l.Release(tc.later, 30, 30)
			require.NoError(t, l.Verify())
			require.Equal(t, tc.held, l.Free() == 0)
		})
	}
}
