package freelist_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

func deltaOf(txid page.TxID, taken, freed []freelist.Extent) []byte {
	d := freelist.Delta{TxID: txid, Taken: taken, Freed: freed}
	return d.Append(nil)
}

func TestDeltaAppendBytes(t *testing.T) { // the format, F12
	d := freelist.Delta{TxID: 300,
		Taken: []freelist.Extent{ext(9, 1), ext(4, 2), ext(6, 1)},
		Freed: []freelist.Extent{ext(200, 1), ext(2, 1)},
	}
	require.Equal(t, []byte{
		0xac, 0x02, // txid 300
		2, 2, // taken 4-6 and 9, freed 2 and 200
		2<<1 | 1, 1, // 2 pages behind page 2, 3 pages
		1 << 1,     // 1 page behind page 8
		0,          // page 2
		0x88, 0x03, // 196 pages behind page 4
	}, d.Append(nil))
	require.Equal(t, []freelist.Extent{ext(4, 3), ext(9, 1)}, d.Taken)
}

// A commit of one key in a file of 4 GiB takes one extent and frees a path, a
// freelist page and an overflow page here and there.
func TestDeltaOfOneKeyIsSmall(t *testing.T) {
	r := newRand(t)
	for range 1000 {
		d := freelist.Delta{TxID: page.TxID(r.Uint64N(1 << 40)),
			Taken: []freelist.Extent{ext(2+page.ID(r.Uint64N(1<<20)), 5)}}
		for i := range page.ID(5) {
			d.Freed = append(d.Freed, ext(2+page.ID(r.Uint64N(1<<20))*5+i, 1))
		}
		size := d.Size()
		require.LessOrEqual(t, size, 40)
		require.LessOrEqual(t, len(d.Append(nil)), size)
	}
}

// randomExtents returns extents that do not overlap, in random order.
func randomExtents(r *rand.Rand, n int, spread uint64) (es []freelist.Extent) {
	at := page.FirstID
	for range n {
		e := ext(at+page.ID(r.Uint64N(1+r.Uint64N(spread))), 1)
		if r.IntN(2) == 0 {
			e.Len += r.Uint64N(1 + r.Uint64N(spread))
		}
		es = append(es, e)
		at = e.End()
	}
	r.Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
	return es
}

func pagesOf(es []freelist.Extent) map[page.ID]bool {
	m := map[page.ID]bool{}
	for _, e := range es {
		for id := e.Start; id < e.End(); id++ {
			m[id] = true
		}
	}
	return m
}

func TestDeltaRoundTrip(t *testing.T) {
	r := newRand(t)
	for range 500 {
		var b []byte
		var want []freelist.Delta
		for range r.IntN(4) {
			d := freelist.Delta{TxID: page.TxID(r.Uint64() >> r.IntN(64)),
				Taken: randomExtents(r, r.IntN(20), 20), Freed: randomExtents(r, r.IntN(20), 20)}
			want = append(want, freelist.Delta{TxID: d.TxID,
				Taken: slices.Clone(d.Taken), Freed: slices.Clone(d.Freed)})
			size, before := d.Size(), len(b)
			b = d.Append(b)
			require.LessOrEqual(t, len(b)-before, size)
		}
		i := 0
		require.NoError(t, freelist.DecodeDeltas(b, page.MaxID, func(d freelist.Delta) error {
			require.Equal(t, want[i].TxID, d.TxID)
			require.Equal(t, pagesOf(want[i].Taken), pagesOf(d.Taken))
			require.Equal(t, pagesOf(want[i].Freed), pagesOf(d.Freed))
			i++
			return nil
		}))
		require.Equal(t, len(want), i)
	}
}

func TestDeltaSizeIsABound(t *testing.T) {
	r := newRand(t)
	for range 3000 {
		d := freelist.Delta{TxID: page.TxID(r.Uint64() >> r.IntN(64)),
			Taken: randomExtents(r, r.IntN(300), 1<<r.IntN(36)),
			Freed: randomExtents(r, r.IntN(300), 1<<r.IntN(36))}
		size := d.Size()
		require.LessOrEqual(t, len(d.Append(nil)), size)
	}
}

func TestDecodeDeltasReturnsErrorOfCallback(t *testing.T) {
	stop := errors.New("stop")
	b := slices.Concat(deltaOf(1, nil, nil), deltaOf(2, nil, nil))
	calls := 0
	err := freelist.DecodeDeltas(b, 10, func(freelist.Delta) error { calls++; return stop })
	require.Equal(t, stop, err)
	require.Equal(t, 1, calls)
}

func TestDecodeDeltasRefusesDamage(t *testing.T) { // F11, F12
	uv := func(vs ...uint64) (b []byte) {
		for _, v := range vs {
			b = binary.AppendUvarint(b, v)
		}
		return b
	}
	for _, tc := range []struct {
		name  string
		b     []byte
		limit page.ID
	}{
		{"cut in txid", []byte{0x80}, 100},
		{"cut before counts", uv(1), 100},
		{"cut before extents", uv(1, 1, 0), 100},
		{"cut in extents", uv(1, 0, 3, 0, 0), 100},
		{"more extents than bytes", uv(1, 1<<60, 0, 0), 100},
		{"number too large", append(uv(1, 1, 0), bytes.Repeat([]byte{0xff}, 11)...), 100},
		{"number too long", []byte{0x81, 0x00, 0, 0}, 100},
		{"starts at the limit", uv(1, 1, 0, 98<<1), 100},
		{"starts far outside", uv(1, 1, 0, 1<<63), 100},
		{"ends outside", uv(1, 1, 0, 90<<1|1, 7), 100},
		{"length wraps to 0", uv(1, 1, 0, 1, 1<<64-2), 100},
		{"length wraps to 1", uv(1, 1, 0, 1, 1<<64-1), 100},
		{"second starts at the limit", uv(1, 2, 0, 97<<1, 0), 100},
		{"limit below the first page", uv(1, 1, 0, 0), 1},
		{"limit is clamped", uv(1, 1, 0, uint64(page.MaxID)<<1), ^page.ID(0)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := freelist.DecodeDeltas(tc.b, tc.limit, func(freelist.Delta) error { return nil })
			require.ErrorIs(t, err, page.ErrCorrupt)
		})
	}
	require.NoError(t, freelist.DecodeDeltas(uv(1, 1, 0, 90<<1|1, 6), 100, func(d freelist.Delta) error {
		require.Equal(t, []freelist.Extent{ext(92, 8)}, d.Taken)
		return nil
	}))
}

func FuzzDecodeDeltas(f *testing.F) {
	f.Add(deltaOf(300, []freelist.Extent{ext(4, 3)}, []freelist.Extent{ext(2, 1), ext(200, 1)}), uint64(1000))
	f.Add(slices.Concat(deltaOf(1, nil, nil), deltaOf(2, []freelist.Extent{ext(7, 100)}, nil)), uint64(page.MaxID))
	f.Fuzz(func(t *testing.T, b []byte, limit uint64) {
		var again []byte
		err := freelist.DecodeDeltas(b, page.ID(limit), func(d freelist.Delta) error {
			for _, es := range [][]freelist.Extent{d.Taken, d.Freed} {
				last := page.ID(0)
				for _, e := range es {
					require.True(t, e.Start >= page.FirstID && e.Start > last && e.Len > 0)
					require.True(t, e.End() > e.Start && uint64(e.End()) <= limit && e.End() <= page.MaxID)
					last = e.End()
				}
			}
			size, before := d.Size(), len(again)
			again = d.Append(again)
			require.LessOrEqual(t, len(again)-before, size)
			return nil
		})
		if err != nil {
			require.ErrorIs(t, err, page.ErrCorrupt)
			return
		}
		require.Equal(t, len(b), len(again)) // F12
		require.True(t, bytes.Equal(b, again))
	})
}
