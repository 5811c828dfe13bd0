package folio

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// Goal: a record lists what was written since the last flush and is still in use, in
// order. Method: random commits, and a map that remembers the same.
func TestUnsynced(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		var n unsynced
		want := make(map[page.ID]unit)
		for range 100 {
			c := randomCommit(r, want)
			record := n.record(c.freed)
			require.Len(t, record, len(want))
			require.True(t, slices.IsSortedFunc(record, func(a, b meta.Unit) int { return int(a.ID) - int(b.ID) }))
			for _, u := range record {
				require.Equal(t, want[u.ID].sum, u.Sum)
			}
			n.add(c)
			var pages uint64
			for _, u := range c.units {
				want[u.id] = u
			}
			for _, u := range want {
				pages += u.pages
			}
			require.Equal(t, pages, n.pages)
			require.Len(t, n.units, len(want))
		}
	}
}

// randomCommit returns a commit that frees some of the units, which go from the map, and
// writes others.
func randomCommit(r *rand.Rand, units map[page.ID]unit) *commit {
	c := &commit{db: &DB{pageSize: page.MinSize}}
	place := func() page.ID { return page.ID(4 * r.IntN(300)) }
	for range r.IntN(8) {
		e := freelist.Extent{Start: place(), Len: uint64(4 * (1 + r.IntN(3)))}
		if slices.ContainsFunc(c.freed, func(o freelist.Extent) bool { return o.Start < e.End() && e.Start < o.End() }) {
			continue
		}
		c.freed = append(c.freed, e)
		for id := e.Start; id < e.End(); id++ {
			delete(units, id)
		}
	}
	for range r.IntN(6) {
		u := unit{id: place(), pages: uint64(1 + r.IntN(4)), sum: r.Uint64()}
		_, taken := units[u.id]
		if !taken && !slices.ContainsFunc(c.units, func(o unit) bool { return o.id == u.id }) {
			c.units = append(c.units, u)
		}
	}
	c.sortUnits()
	return c
}
