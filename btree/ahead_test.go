package btree_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// TestAhead: lookups and short ranges ask for nothing but what they read, scans and walks do.
func TestAhead(t *testing.T) {
	g := newGrown(4096)
	for i := range 3000 {
		check(g.tree.Put(be64(uint64(i)), make([]byte, 300))) // 12 to a leaf
	}
	check(g.tree.Put(be64(1000), make([]byte, 5000)))
	g.commit()
	asked := func(fn func(t *btree.Tree, c *btree.Cursor)) int {
		clear(g.s.verified)
		g.s.aheads = 0
		var c btree.Cursor
		c.Init(&g.tree)
		fn(&g.tree, &c)
		return g.s.aheads
	}
	steps := func(c *btree.Cursor, n int, step func() (btree.Item, error)) {
		for range n {
			it, err := step()
			check(err)
			expect(it.Key != nil, "the end")
		}
	}
	require.Zero(t, asked(func(t *btree.Tree, _ *btree.Cursor) {
		for i := range 100 {
			_, _, err := t.Get(be64(uint64(30 * i)))
			check(err)
		}
	}))
	require.Zero(t, asked(func(t *btree.Tree, c *btree.Cursor) {
		for i := range uint64(20) {
			_, err := c.Seek(be64(100 * i))
			check(err)
			steps(c, 60, c.Next)
			_, err = c.Seek(be64(100*i + 90))
			check(err)
			steps(c, 60, c.Prev)
		}
	}))
	require.Positive(t, asked(func(t *btree.Tree, c *btree.Cursor) {
		_, err := c.First()
		check(err)
		steps(c, 200, c.Next)
	}))
	require.Positive(t, asked(func(t *btree.Tree, c *btree.Cursor) {
		_, err := c.Last()
		check(err)
		steps(c, 200, c.Prev)
	}))
	require.Positive(t, asked(func(t *btree.Tree, _ *btree.Cursor) {
		check(t.Walk(&btree.Walker{
			Node: func(page.ID, page.Page, int) error { return nil },
			Run:  func(page.ID, int, page.Kind) error { return nil },
		}))
	}))
}
