package btree_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// heap is a Store whose pages are all dirty and never committed.
type heap struct {
	pages [][]byte
	spare [][]byte
}

func (h *heap) Peek(id page.ID) (page.Page, bool)               { return h.pages[id], true }
func (h *heap) Read(id page.ID, _ page.TxID) (page.Page, error) { return h.pages[id], nil }
func (h *heap) Run(id page.ID, _ page.TxID, n int) ([]byte, error) {
	return btree.RunData(h.pages[id], n), nil
}
func (h *heap) Ahead(page.ID, int)           {}
func (h *heap) Trust(page.ID)                {}
func (h *heap) PageSize() int                { return 4096 }
func (h *heap) Exposed() bool                { return false }
func (h *heap) Free(page.ID, int, page.TxID) {}
func (h *heap) Recycle(p page.Page)          { h.spare = append(h.spare, p) }
func (h *heap) Touch(id page.ID, _ page.TxID) (page.ID, page.Page, error) {
	return id, h.pages[id], nil
}

func (h *heap) Allocate() (page.ID, page.Page) {
	p := h.Spare()
	h.pages = append(h.pages, p)
	return page.ID(len(h.pages) - 1), p
}

func (h *heap) AllocateRun(n int) (page.ID, []byte) {
	run := make([]byte, btree.RunPages(n, 4096)*4096)
	h.pages = append(h.pages, run)
	return page.ID(len(h.pages) - 1), btree.InitRun(run, n, 4096)
}

func (h *heap) Spare() page.Page {
	if n := len(h.spare); n > 0 {
		p := h.spare[n-1]
		h.spare = h.spare[:n-1]
		return p
	}
	return make([]byte, 4096)
}

func (h *heap) Replace(id page.ID, p page.Page) {
	h.spare = append(h.spare, h.pages[id])
	h.pages[id] = p
}

// arena is a Reader like a mapped file: pages in one piece of memory, and a bit
// for each that was verified.
type arena struct {
	mem      []byte
	verified []uint64
	tree     btree.Tree
}

func (a *arena) Peek(id page.ID) (page.Page, bool) {
	if id >= page.ID(len(a.verified)*64) || a.verified[id/64]>>(id%64)&1 == 0 {
		return nil, false
	}
	return a.mem[id*4096 : id*4096+4096 : id*4096+4096], true
}

func (a *arena) Read(id page.ID, _ page.TxID) (page.Page, error) {
	p := page.Page(a.mem[id*4096:][:4096])
	if err := btree.Verify(p, id, page.ID(len(a.mem)/4096)); err != nil {
		return nil, err
	}
	return p, nil
}

func (a *arena) Trust(id page.ID) { a.verified[id/64] |= 1 << (id % 64) }

func (a *arena) Run(page.ID, page.TxID, int) ([]byte, error) { return nil, page.ErrCorrupt }
func (a *arena) Ahead(page.ID, int)                          {}

// newArena lays the tree t of h, without runs, out as a file would have it.
func newArena(h *heap, t *btree.Tree) *arena {
	a := &arena{mem: make([]byte, (len(h.pages)+2)*4096), verified: make([]uint64, len(h.pages)/64+1)}
	next := page.FirstID
	var place func(r btree.Ref) (page.ID, page.TxID)
	place = func(r btree.Ref) (page.ID, page.TxID) {
		id := next
		next++
		dst := page.Page(a.mem[id*4096:][:4096])
		btree.Layout(dst, h.pages[r.ID])
		btree.SetRefs(dst, 0, place)
		return id, 0
	}
	head := t.Header()
	head.Root, head.Birth = place(btree.Ref{ID: head.Root})
	a.tree.Init(a, head, nil)
	return a
}

func benchKey(dst []byte, i uint64) []byte { return fmt.Appendf(dst[:0], "user%012d", hash(i)%1e12) }

const benchKeys = 1_000_000

var benchArena *arena

func benchTree(b *testing.B) *arena {
	if benchArena == nil {
		h := &heap{pages: make([][]byte, page.FirstID)}
		var t btree.Tree
		t.InitWritable(btree.NewWriter(h), btree.Header{}, nil)
		value := make([]byte, 100)
		for i := range uint64(benchKeys) {
			check(t.Put(benchKey(nil, i), value))
		}
		_, err := t.Pack(0)
		check(err)
		benchArena = newArena(h, &t)
		for i := range uint64(benchKeys) {
			v, _, err := benchArena.tree.Get(benchKey(nil, i))
			expect(err == nil && v != nil, "key %d: %v", i, err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	return benchArena
}

func BenchmarkGet(b *testing.B) {
	a := benchTree(b)
	keys := make([][]byte, 1<<16)
	for i := range keys {
		keys[i] = benchKey(nil, rand.Uint64N(benchKeys))
	}
	b.ResetTimer()
	for i := range b.N {
		if v, _, err := a.tree.Get(keys[i&(1<<16-1)]); v == nil || err != nil {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkGetHot looks the same 64 keys up, whose pages are in the processor's
// caches.
func BenchmarkGetMany(b *testing.B) {
	a := benchTree(b)
	keys := make([][]byte, 1<<16)
	for i := range keys {
		keys[i] = benchKey(nil, rand.Uint64N(benchKeys))
	}
	const n = 64
	b.ResetTimer()
	for i := 0; i < b.N; i += n {
		from := i & (1<<16 - 1)
		err := a.tree.GetMany(keys[from:from+n], func(_ int, v []byte, _ byte) {
			if v == nil {
				b.Fatal("missing")
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkGetHot(b *testing.B) {
	a := benchTree(b)
	keys := make([][]byte, 64)
	for i := range keys {
		keys[i] = benchKey(nil, uint64(i))
	}
	b.ResetTimer()
	for i := range b.N {
		if v, _, err := a.tree.Get(keys[i&63]); v == nil || err != nil {
			b.Fatal(v, err)
		}
	}
}

// BenchmarkScan reports the time of one step.
func BenchmarkScan(b *testing.B) {
	a := benchTree(b)
	var c btree.Cursor
	c.Init(&a.tree)
	it, err := c.First()
	for range b.N {
		if err != nil {
			b.Fatal(err)
		}
		if it, err = c.Next(); it.Key == nil {
			it, err = c.First()
		}
	}
}

func BenchmarkSeek(b *testing.B) {
	a := benchTree(b)
	var c btree.Cursor
	c.Init(&a.tree)
	key := make([]byte, 0, 16)
	for i := range b.N {
		key = benchKey(key, uint64(i)*7919%benchKeys)
		if _, err := c.Seek(key); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPutSorted(b *testing.B) {
	benchPut(b, func(i int) uint64 { return uint64(i) })
}

func BenchmarkPutRandom(b *testing.B) {
	benchPut(b, func(i int) uint64 { return hash(uint64(i)) })
}

func benchPut(b *testing.B, key func(i int) uint64) {
	b.ReportAllocs()
	h := &heap{pages: make([][]byte, page.FirstID)}
	var t btree.Tree
	t.InitWritable(btree.NewWriter(h), btree.Header{}, nil)
	value, k := make([]byte, 100), make([]byte, 0, 16)
	for i := range b.N {
		k = append(append(k[:0], "prefix--"...), be64(key(i))...)
		if err := t.Put(k, value); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLayout lays out leaves that were packed before a cell was added to
// them, as after a transaction of scattered puts; they are in no cache.
func BenchmarkLayout(b *testing.B) {
	h := &heap{pages: make([][]byte, page.FirstID)}
	w := btree.NewWriter(h)
	var t btree.Tree
	t.InitWritable(w, btree.Header{}, nil)
	const keys = 400_000
	put := func(i int) {
		check(t.Put(benchKey(nil, uint64(i)), make([]byte, 100)))
	}
	for i := range keys {
		put(i)
	}
	mem := make([]byte, len(h.pages)*4096)
	var leaves []page.Page
	for i := int(page.FirstID); i < len(h.pages); i++ {
		dst := page.Page(mem[i*4096:][:4096])
		btree.Layout(dst, h.pages[i])
		h.pages[i] = dst
		if dst.Kind() == page.KindLeaf {
			leaves = append(leaves, dst)
		}
	}
	w.Forget()
	for i := range keys / 25 {
		put(keys + i)
	}
	rand.Shuffle(len(leaves), func(i, j int) { leaves[i], leaves[j] = leaves[j], leaves[i] })
	dst := make(page.Page, 4096)
	b.ResetTimer()
	for i := range b.N {
		btree.Layout(dst, leaves[i%len(leaves)])
	}
}
