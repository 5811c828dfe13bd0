package freelist

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
)

// Goal: the bitmap and a slice of booleans agree, around the borders of words and
// chunks above all. Method: stretches of all lengths, up to some chunks, that begin and
// end near such borders, enter and leave by turns; every answer around their ends is
// compared.
func TestBitmap(t *testing.T) { // F20
	const pages = 4 * chunkPages
	r := rand.New(rand.NewPCG(1, 2))
	near := func() page.ID {
		step := []int{64, 128, chunkPages}[r.IntN(3)]
		at := r.IntN(pages/step+1)*step + r.IntN(7) - 3
		return page.ID(min(max(at, int(page.FirstID)), pages-1))
	}
	var m bitmap
	model := make([]bool, pages+200)
	for step := range 3000 {
		a, b := near(), near()
		if step%100 == 0 { // a chunk that has no other pages
			a, b = a&^(chunkPages-1), a|(chunkPages-1)+1
			for id := max(a, page.FirstID); id < b; id++ {
				if !model[id] {
					m.set(Extent{Start: id, Len: 1})
					model[id] = true
				}
			}
			a += page.ID(r.IntN(chunkPages))
		}
		if a == b {
			continue
		}
		a, b = min(a, b), max(a, b)
		if r.IntN(3) > 0 {
			b = min(b, a+page.ID(1+r.IntN(200)))
		}
		now := !model[a]
		end := a
		for ; end < b && model[end] != now; end++ {
			model[end] = now
		}
		e := Extent{Start: a, Len: uint64(end - a)}
		if now {
			m.set(e)
		} else {
			m.clear(e)
		}
		for _, id := range []page.ID{a - 1, a, a + 1, end - 1, end, end + 1, near()} {
			compareBitmap(t, &m, model, id)
		}
	}
	for i, c := range m.chunks {
		part := model[i*chunkPages:][:chunkPages]
		require.Equal(t, !slices.Contains(part, true), c == nil, "chunk %d", i)
		require.Equal(t, !slices.Contains(part, false), c == allFree, "chunk %d", i)
	}
	var want []Extent
	for id, set := range model {
		switch n := len(want) - 1; {
		case !set:
		case n >= 0 && want[n].End() == page.ID(id):
			want[n].Len++
		default:
			want = append(want, Extent{Start: page.ID(id), Len: 1})
		}
	}
	require.Equal(t, want, m.stretches())
	require.Equal(t, chunkPages, allFree.free)
	require.False(t, slices.ContainsFunc(allFree.words[:], func(w uint64) bool { return w != ^uint64(0) }))
}

// TestBitmapSpare: a chunk that is used again has nothing of what it had.
func TestBitmapSpare(t *testing.T) {
	for name, last := range map[string]func(m *bitmap){
		"full":  func(m *bitmap) { m.set(Extent{Start: 1, Len: chunkPages - 1}) },
		"empty": func(m *bitmap) { m.clear(Extent{Start: 0, Len: 1}) },
	} {
		t.Run(name, func(t *testing.T) {
			var m bitmap
			m.set(Extent{Start: 0, Len: 1})
			last(&m)
			m.set(Extent{Start: 2*chunkPages + 70, Len: 3})
			require.Equal(t, 3, m.chunks[2].free)
			require.Equal(t, Extent{Start: 2*chunkPages + 70, Len: 3}, m.stretches()[len(m.stretches())-1])
			require.False(t, m.overlaps(Extent{Start: chunkPages, Len: chunkPages + 70}))
		})
	}
}

// compareBitmap compares what m says about the pages around id.
func compareBitmap(t *testing.T, m *bitmap, model []bool, id page.ID) {
	t.Helper()
	at := int(id)
	require.Equal(t, model[at], m.has(id), "page %d", id)
	below, above := 0, 0
	for below < 64 && at > below && model[at-1-below] {
		below++
	}
	for above < 64 && model[at+above] {
		above++
	}
	require.EqualValues(t, below, m.below(id), "below page %d", id)
	require.EqualValues(t, above, m.above(id), "from page %d on", id)

	next := slices.Index(model[at:], true)
	got, ok := m.next(id, page.MaxID)
	require.Equal(t, next >= 0, ok, "after page %d", id)
	if ok {
		require.EqualValues(t, at+next, got, "after page %d", id)
	}
	for _, n := range []uint64{1, 63, 200} {
		want := slices.Contains(model[at:min(len(model), at+int(n))], true)
		require.Equal(t, want, m.overlaps(Extent{Start: id, Len: n}), "%d pages from page %d on", n, id)
	}
	for _, n := range []int{1, 2, 3, 7, 32, 62, 63} {
		want := uint64(0)
		for i := at &^ 63; i < at&^63+64; i++ {
			begins := model[i] && (i == 0 || !model[i-1])
			if end := slices.Index(model[i:], false); begins && end == n {
				want |= 1 << (i & 63)
			}
		}
		require.Equal(t, want, m.runs(id>>6, uint64(n)), "stretches of %d around page %d", n, id)
	}
	window, free := at&^127, 0
	for _, set := range model[window:][:128] {
		if set {
			free++
		}
	}
	require.Equal(t, free, m.inWindow(id), "around page %d", id)
	last := len(model) - 1
	for last >= 0 && !model[last] {
		last--
	}
	require.EqualValues(t, last+1, m.end())
}

// What is free in one piece takes no memory to speak of, however long it is: a file
// can say that it has any number of free pages.
func TestBitmapOfHugeExtents(t *testing.T) { // F20
	var m bitmap
	e := Extent{Start: page.FirstID, Len: 1 << 32}
	m.set(e)
	require.Equal(t, e.End(), m.end())
	own := 0
	for _, c := range m.chunks {
		if c != nil && c != allFree {
			own++
		}
	}
	require.LessOrEqual(t, own, 2)
	require.Equal(t, []Extent{e}, m.stretches())
	m.clear(e)
	require.Zero(t, m.end())
	_, ok := m.next(page.FirstID, page.MaxID)
	require.False(t, ok)
}
