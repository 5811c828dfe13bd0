package btree_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// grown is a tree in a store that is committed now and then.
type grown struct {
	s    *store
	tree btree.Tree
	h    btree.Header
}

func newGrown(size int) *grown {
	g := &grown{s: newStore(size)}
	g.begin()
	return g
}

func (g *grown) begin() {
	g.tree = btree.Tree{}
	g.tree.InitWritable(btree.NewWriter(g.s), g.h, nil)
}

func (g *grown) commit() {
	_, err := g.tree.Pack(0)
	check(err)
	g.h = g.s.commit(g.tree.Header())
	g.begin()
}

// fill commits and returns the part of the leaves that is in use, and the number
// of pages.
func (g *grown) fill() (float64, int) {
	g.commit()
	used, leaves := 0, 0
	for _, p := range g.s.pages {
		p := page.Page(p)
		if p.Kind() != page.KindLeaf {
			continue
		}
		leaves++
		used += page.HeaderSize + p.PrefixLen() + 8*p.Count() + p.CellBytes()
	}
	return float64(used) / float64(leaves*g.s.size), len(g.s.pages)
}

// fillOrder is an order in which keys are put, and what it should come to.
type fillOrder struct {
	name  string
	n     int
	want  float64
	short bool // a quarter of it is enough to tell
	key   func(i int) []byte
}

func fillOrders(n int) []fillOrder {
	rnd := rand.New(rand.NewPCG(1, 2))
	perm := rnd.Perm(n)
	next := map[int]int{}
	return []fillOrder{
		{"ascending", n, 0.95, true, func(i int) []byte { return fmt.Appendf(nil, "key/%014d", i) }},
		{"descending", n, 0.95, true, func(i int) []byte { return fmt.Appendf(nil, "key/%014d", n-i) }},
		{"ascending binary", n, 0.95, true, func(i int) []byte { return append(be64(7), be64(uint64(i))...) }},
		{"random", n, 0.66, true, func(i int) []byte { return fmt.Appendf(nil, "key/%014d", perm[i]) }},
		{"users round robin", 3 * n, 0.9, false, func(i int) []byte { return fmt.Appendf(nil, "user%04d/%010d", i%100, i) }},
		{"users at random", 3 * n, 0.9, false, func(i int) []byte {
			u := rnd.IntN(100)
			next[u]++
			return fmt.Appendf(nil, "user%04d/%010d", u, next[u])
		}},
		{"random, then ascending in the middle", n, 0.85, false, func(i int) []byte {
			if i < n/4 {
				return fmt.Appendf(nil, "key/%014d", perm[i]*1000)
			}
			return fmt.Appendf(nil, "key/%014d", n/2*1000+i)
		}},
		{"random, then descending in the middle", n, 0.85, false, func(i int) []byte {
			if i < n/4 {
				return fmt.Appendf(nil, "key/%014d", perm[i]*1000)
			}
			return fmt.Appendf(nil, "key/%014d", n/2*1000-i)
		}},
	}
}

// TestFill puts keys in typical orders and wants the leaves to be as full as the
// order allows, with no commit, with one after every put and with some.
func TestFill(t *testing.T) {
	for _, every := range [...]int{0, 1, 1000} {
		for _, o := range fillOrders(20000) {
			t.Run(fmt.Sprintf("%s/commit every %d", o.name, every), func(t *testing.T) {
				if every == 1 && !o.short {
					t.Skip("too slow, and a part of it says nothing")
				} else if every == 1 {
					o.n /= 4
				}
				o.test(t, every)
			})
		}
	}
}

func (o *fillOrder) test(t *testing.T, every int) {
	g, value := newGrown(4096), make([]byte, 100)
	for i := range o.n {
		check(g.tree.Put(o.key(i), value))
		if every > 0 && i%every == 0 {
			g.commit()
		}
	}
	fill, pages := g.fill()
	t.Logf("%d keys, %d pages, leaves %.1f%% full", o.n, pages, 100*fill)
	if fill < o.want {
		t.Errorf("leaves are %.1f%% full, expected %.1f%%", 100*fill, 100*o.want)
	}
	g.s.checkSound(g.h)
}

// TestFillAfterDeletes wants trees to shrink with their keys.
func TestFillAfterDeletes(t *testing.T) {
	const n = 20000
	perm := rand.New(rand.NewPCG(3, 4)).Perm(n)
	g := newGrown(4096)
	for _, i := range perm {
		check(g.tree.Put(fmt.Appendf(nil, "key/%014d", i), make([]byte, 100)))
	}
	g.commit()
	for j, i := range perm {
		if j == n*9/10 {
			fill, pages := g.fill()
			t.Logf("%d pages, leaves %.1f%% full", pages, 100*fill)
			if fill < 0.4 {
				t.Errorf("leaves are %.1f%% full", 100*fill)
			}
			g.s.checkSound(g.h)
		}
		found, err := g.tree.Delete(fmt.Appendf(nil, "key/%014d", i), 0)
		if !found || err != nil {
			t.Fatalf("Delete: %v, %v", found, err)
		}
	}
	if g.commit(); len(g.s.pages) != 0 || g.h.Root != 0 {
		t.Errorf("an empty tree has %d pages and root %d", len(g.s.pages), g.h.Root)
	}
}

// TestDeleteRangeReads wants a range to go without a look at most of its leaves.
func TestDeleteRangeReads(t *testing.T) {
	g := newGrown(4096)
	for i := range 50000 {
		check(g.tree.Put(sampleKey(i), make([]byte, 100)))
	}
	g.commit()
	g.s.reads = 0
	n, err := g.tree.DeleteRange(sampleKey(100), sampleKey(49900))
	if n != 49800 || err != nil {
		t.Fatalf("DeleteRange: %d, %v", n, err)
	}
	if g.s.reads > 100 {
		t.Errorf("%d nodes read", g.s.reads)
	}
	g.commit()
	g.s.checkSound(g.h)
	if len(g.s.pages) > 10 {
		t.Errorf("%d pages left", len(g.s.pages))
	}
}

// TestSplitSpoiledPrefix fills branches with separators that are only small
// thanks to their prefix, and then puts keys that do not have it on either side,
// and in the middle a separator too long for the branch.
func TestSplitSpoiledPrefix(t *testing.T) {
	prefix := bytes.Repeat([]byte{'m'}, 480)
	edges := map[string]func(i int) []byte{
		"before": func(i int) []byte { return fmt.Appendf(nil, "a%05d", 99999-i) },
		"behind": func(i int) []byte { return fmt.Appendf(nil, "z%05d", i) },
		"long": func(i int) []byte {
			key := append(bytes.Clone(prefix), be64(5000)[4:]...)
			return append(append(key, bytes.Repeat([]byte{'l'}, 1000)...), byte(i>>8), byte(i))
		},
	}
	for name, key := range edges {
		t.Run(name, func(t *testing.T) {
			g := newGrown(4096)
			for i := range 10000 {
				check(g.tree.Put(append(bytes.Clone(prefix), be64(uint64(i))[4:]...), make([]byte, 200)))
			}
			g.commit()
			for i := range 2000 {
				check(g.tree.Put(key(i), make([]byte, 300)))
				if i%50 == 0 {
					g.commit()
				}
			}
			g.commit()
			g.s.checkSound(g.h)
		})
	}
}

// TestPutDeleteLast puts and deletes at the end of a leaf until its hint says
// that insertions descend, which is no place to split at.
func TestPutDeleteLast(t *testing.T) {
	g := newGrown(4096)
	for i := range 33 {
		check(g.tree.Put(sampleKey(i), make([]byte, 100)))
	}
	for range 5 {
		check(g.tree.Put(sampleKey(100), nil))
		_, err := g.tree.Delete(sampleKey(100), 0)
		check(err)
	}
	check(g.tree.Put(sampleKey(100), make([]byte, 600)))
	g.commit()
	g.s.checkSound(g.h)
}

// TestFillOfGrowingCells puts short values first, all of them, and longer ones in key
// order then, as a transaction does with the buckets that it has made.
func TestFillOfGrowingCells(t *testing.T) {
	const n = 4000
	ascending := make([]int, n)
	for i := range ascending {
		ascending[i] = i
	}
	orders := map[string][]int{"ascending": ascending, "random": rand.New(rand.NewPCG(1, 2)).Perm(n)}
	for name, order := range orders {
		for _, long := range []int{100, 150, 300, 600} {
			t.Run(fmt.Sprintf("%s, %d bytes", name, long), func(t *testing.T) {
				g := newGrown(4096)
				for _, i := range order {
					check(g.tree.Put(fmt.Appendf(nil, "bucket%08d", i), make([]byte, 32)))
				}
				for i := range n {
					check(g.tree.Put(fmt.Appendf(nil, "bucket%08d", i), make([]byte, long)))
				}
				if fill, pages := g.fill(); fill < 0.7 {
					t.Errorf("leaves are %.3f full, %d pages", fill, pages)
				}
			})
		}
	}
}
