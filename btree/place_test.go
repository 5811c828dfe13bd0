package btree_test

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// TestChildIDsNext: which child is the next whose id has a bit, from wherever one begins to
// look, and however many there are.
func TestChildIDsNext(t *testing.T) {
	const mask = page.ID(1) << 63
	r := rand.New(rand.NewPCG(1, 1))
	for n := range 40 {
		for _, every := range []int{1, 2, 9, 1000} {
			ids := make(btree.ChildIDs, 8*n)
			for i := range n {
				binary.LittleEndian.PutUint64(ids[8*i:], r.Uint64()>>1)
				if r.IntN(every) == 0 {
					ids.Set(i, ids.At(i)|mask)
				}
			}
			for from := range n + 1 {
				want := from
				for want < n && ids.At(want)&mask == 0 {
					want++
				}
				require.Equal(t, want, ids.Next(from, mask), "of %d, from %d", n, from)
				require.Equal(t, from, ids.Next(from, 0), "all of %d, from %d", n, from)
			}
		}
	}
}
