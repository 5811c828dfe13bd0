package freelist_test

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// TestNetAgainstCounts compares Net with a count for each page, of extents that touch,
// overlap and cross the borders of words and blocks.
func TestNetAgainstCounts(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		counts := map[page.ID]int{}
		lists := map[int][]freelist.Extent{}
		span := []int{200, 1100, 5000}[rnd.IntN(3)]
		for range rnd.IntN(200) {
			e := freelist.Extent{Start: page.FirstID + page.ID(rnd.IntN(span)), Len: uint64(1 + rnd.IntN(1+rnd.IntN(span)))}
			by := 2*rnd.IntN(2) - 1
			fits := true
			for id := e.Start; id < e.End(); id++ {
				fits = fits && counts[id] != by
			}
			if !fits {
				continue // nobody takes what is taken
			}
			for id := e.Start; id < e.End(); id++ {
				counts[id] += by
			}
			lists[by] = append(lists[by], e)
		}
		more, less := freelist.Net(lists[1], lists[-1])
		if len(lists[-1]) == 0 {
			more, _ = freelist.Net(lists[1], []freelist.Extent{{Start: page.FirstID}})
		}
		for by, es := range map[int][]freelist.Extent{1: more, -1: less} {
			end := page.ID(0)
			for _, e := range es {
				require.Greater(t, e.Start, end, "in order, and not adjacent; seed %d", seed)
				end = e.End()
				for id := e.Start; id < end; id++ {
					require.Equal(t, by, counts[id], "page %d, seed %d", id, seed)
					delete(counts, id)
				}
			}
		}
		for id, n := range counts {
			require.Zero(t, n, "page %d, seed %d", id, seed)
		}
	}
}
