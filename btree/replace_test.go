package btree_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// TestReplaceRun: a long value takes the place of another one by the reference in the cell
// that is there. The leaf does not get another cell for it, which a full one has no room for.
func TestReplaceRun(t *testing.T) {
	s := newStore(4096)
	var tree btree.Tree
	tree.InitWritable(btree.NewWriter(s), btree.Header{}, nil)
	const keys = 40
	put := func(fill byte, size int) {
		for i := range keys {
			require.NoError(t, tree.Put(binary.BigEndian.AppendUint32(nil, uint32(i)), bytes.Repeat([]byte{fill}, size)))
		}
	}
	used := func() int { return page.Page(s.dirty[tree.Header().Root]).CellBytes() }
	put('a', 3000)
	before := used()
	put('b', 5000)
	put('c', 2500)
	require.Equal(t, before, used())
	require.Len(t, s.dirty, 1+keys, "the runs of what was replaced are still there")
	for i := range keys {
		v, _, err := tree.Get(binary.BigEndian.AppendUint32(nil, uint32(i)))
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{'c'}, 2500), v)
	}
	put('d', 100) // into the leaves
	require.Less(t, len(s.dirty), keys)
}
