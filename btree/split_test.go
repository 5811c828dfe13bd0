package btree_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
)

// longestValue is the longest value that lies in a leaf beside a key of keyLen bytes:
// two such cells, each with its entry of 8 bytes, fill a leaf.
func longestValue(size, keyLen int) int { return (size-page.HeaderSize)/2 - 8 - 3 - keyLen }

// TestLongCells puts, grows, shrinks and deletes values about as long as a leaf holds, between
// short ones. Wherever a leaf is split, both halves must have room for what they get.
func TestLongCells(t *testing.T) {
	for _, size := range pageSizes {
		for seed := range uint64(8) {
			t.Run(fmt.Sprintf("%d/%d", size, seed), func(t *testing.T) { longCells(t, size, seed) })
		}
	}
}

func longCells(t *testing.T, size int, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, uint64(size)))
	g, model := newGrown(size), map[string]int{}
	var keys [][]byte
	step := 1 + rnd.IntN(4) // how likely the next key is the neighbour of the last one
	at := rnd.Uint64N(1 << 32)
	for i := range 3000 {
		switch rnd.IntN(step) {
		case 0:
			at = rnd.Uint64N(1 << 32)
		case 1:
			at--
		default:
			at++
		}
		key := binary.BigEndian.AppendUint64(nil, at)[4:]
		if rnd.IntN(4) == 0 {
			key = append(key, bytes.Repeat([]byte{'k'}, rnd.IntN(size/8-8))...)
		}
		if len(keys) > 0 && rnd.IntN(3) == 0 {
			key = keys[rnd.IntN(len(keys))] // it grows, or shrinks
		}
		if rnd.IntN(8) == 0 {
			_, err := g.tree.Delete(key, 0)
			require.NoError(t, err)
			delete(model, string(key))
			continue
		}
		n := longValue(longestValue(size, len(key)), rnd)
		require.NoError(t, g.tree.Put(key, bytes.Repeat([]byte{byte(n)}, n)))
		model[string(key)], keys = n, append(keys, key)
		if i%200 == 0 {
			g.commit()
			g.s.checkSound(g.h)
		}
	}
	g.commit()
	g.s.checkSound(g.h)
	runs := 0
	for key, n := range model {
		v, _, err := g.tree.Get([]byte(key))
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{byte(n)}, n), v)
		if n > longestValue(size, len(key)) {
			runs++
		}
	}
	for _, p := range g.s.pages {
		if page.Page(p).Kind() == page.KindOverflow {
			runs--
		}
	}
	require.Zero(t, runs, "values in runs, and values that are too long for a leaf")
}

// longValue returns the length of a value: mostly about as long as the longest that
// lies in a leaf, or half or a third of it.
func longValue(longest int, rnd *rand.Rand) int {
	switch rnd.IntN(8) {
	case 0:
		return rnd.IntN(20)
	case 1:
		return rnd.IntN(longest + 1)
	case 2:
		return longest/2 - rnd.IntN(12)
	case 3:
		return longest/3 - rnd.IntN(12)
	case 4:
		return longest + 1
	}
	return longest - rnd.IntN(4)
}
