package btree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// hostile is a Store over pages that pass Verify one by one and contradict each
// other. Nothing that a tree does with them may panic or go on forever.
type hostile struct {
	store
	rnd   *rand.Rand
	pages [][]page.Page // by level
	calls int
}

const hostileWater = 1 << 13 // every id below it is "in the file"

var errTired = errors.New("enough")

func (h *hostile) Read(id page.ID, _ page.TxID) (page.Page, error) {
	if h.calls++; h.calls > 1<<21 {
		panic("a walk does not end")
	}
	level, i := int(id>>8)%32, int(id&0xff)
	if id >= hostileWater || level >= len(h.pages) || len(h.pages[level]) == 0 {
		return nil, fmt.Errorf("page %d: %w", id, page.ErrCorrupt)
	}
	return h.pages[level][i%len(h.pages[level])], nil
}

func (h *hostile) Peek(id page.ID) (page.Page, bool) {
	if h.calls++; h.calls > 1<<21 {
		panic("a walk does not end")
	}
	if p, ok := h.dirty[id]; ok {
		return p, true
	}
	if id%3 == 0 { // "verified before", through another parent
		p, err := h.Read(id, 0)
		return p, err == nil
	}
	return nil, false
}

func (h *hostile) Trust(page.ID) {}

// Run returns some key or value; the beginning is mostly what the stubs say.
func (h *hostile) Run(id page.ID, _ page.TxID, n int) ([]byte, error) {
	if run, ok := h.dirty[id]; ok {
		return btree.RunData(run, n), nil
	}
	if id%16 == 15 {
		return nil, errTired
	}
	if n > 1<<20 {
		n = 1 << 20
	}
	run := bytes.Repeat([]byte{'k'}, n)
	if n > 300 {
		run[280+id%16] += byte(id >> 4 % 8)
	}
	return run, nil
}

func (h *hostile) Touch(id page.ID, birth page.TxID) (page.ID, page.Page, error) {
	if p, ok := h.dirty[id]; ok {
		return id, p, nil
	}
	old, err := h.Read(id, birth)
	if err != nil {
		return 0, nil, err
	}
	to, p := h.Allocate()
	copy(p, old)
	return to, p, nil
}

func (h *hostile) Free(id page.ID, _ int, _ page.TxID) {
	// A page that the tree still refers to elsewhere stays readable here.
	if p, ok := h.dirty[id]; ok && h.rnd.IntN(4) == 0 && len(p) == h.size {
		delete(h.dirty, id)
	}
}

func (h *hostile) Replace(id page.ID, p page.Page) {
	if _, ok := h.dirty[id]; ok {
		h.dirty[id] = p
	}
}

// key returns one of a few keys that are hard to tell apart.
func (h *hostile) key() []byte {
	k := bytes.Repeat([]byte{'k'}, h.rnd.IntN(5)*h.rnd.IntN(3)*h.rnd.IntN(40)+h.rnd.IntN(8))
	k = append(k, pick("k\x00z\xff", h.rnd.Uint64(), h.rnd.Uint64()%6)...)
	return append(k, 'k')[:min(len(k)+1, h.size/8)]
}

func (h *hostile) cell() btree.RawCell {
	c := btree.RawCell{Key: h.key()}
	if h.rnd.IntN(3) == 0 { // a stub of some length
		c.Key = bytes.Repeat([]byte{'k'}, 4+h.rnd.IntN(h.size/16-3)/(1+h.rnd.IntN(2)*50))
		c.Flags |= btree.FlagKeyRun
		c.Ref = btree.KeyRef(h.size/8+1+h.rnd.IntN(3000), page.ID(2+h.rnd.IntN(1000)))
	}
	switch h.rnd.IntN(8) {
	case 0:
		c.Flags |= btree.FlagValueRun
		c.Payload = btree.ValueRef(1+h.rnd.IntN(1<<h.rnd.IntN(20)), page.ID(2+h.rnd.IntN(1000)))
	case 1:
		c.Flags |= btree.FlagBucket
		c.Payload = make([]byte, btree.HeaderSize)
	default:
		c.Payload = make([]byte, h.rnd.IntN(60)*h.rnd.IntN(4))
	}
	return c
}

// build makes the pool of pages, level by level.
func (h *hostile) build(levels int) {
	h.pages = make([][]page.Page, levels)
	for level := range levels {
		for range 1 + h.rnd.IntN(6) {
			list := make([]btree.RawCell, 1+h.rnd.IntN(1+h.rnd.IntN(120)))
			for i := range list {
				c := h.cell()
				if level > 0 {
					h.refer(&c, level)
				}
				list[i] = c
			}
			p := btree.BuildNode(h.size, level, h.rnd.IntN(300), list)
			p.SetHint(h.rnd.Uint32())
			if btree.Verify(p, 5, hostileWater) == nil {
				h.pages[level] = append(h.pages[level], p)
			}
		}
	}
}

// refer makes c an entry for some page one level below.
func (h *hostile) refer(c *btree.RawCell, level int) {
	below := h.pages[level-1]
	i := h.rnd.IntN(256)
	c.Child, c.Count, c.Payload = page.ID((level-1)<<8|i), 1, nil
	if c.Child < page.FirstID {
		c.Child = page.FirstID
	}
	c.Flags &= btree.FlagBucket | btree.FlagKeyRun
	if len(below) > 0 && h.rnd.IntN(30) > 0 {
		c.Count = count(below[int(c.Child&0xff)%len(below)])
	}
}

// count returns how many keys a node says are below it.
func count(p page.Page) uint64 {
	if p.Level() == 0 {
		return uint64(p.Count())
	}
	var sum uint64
	for i := range p.Count() {
		sum += binary.LittleEndian.Uint64(p[counts(p)+8*i:]) << 8 >> 8
	}
	return sum
}

// newHostile returns a store for seed and a tree in it, or nil.
func newHostile(seed uint64) (*hostile, *btree.Tree) {
	h := &hostile{store: *newStore(4096), rnd: rand.New(rand.NewPCG(seed, 2))}
	h.exposed = true
	levels := 1 + h.rnd.IntN(4)
	if h.rnd.IntN(20) == 0 {
		levels = btree.MaxLevel + 1
	}
	h.build(levels)
	if len(h.pages[levels-1]) == 0 {
		return nil, nil
	}
	root := page.ID((levels-1)<<8 | 2)
	p, _ := h.Read(root, 0)
	t := &btree.Tree{}
	t.InitWritable(btree.NewWriter(h), btree.Header{Root: root, Count: count(p)}, nil)
	return h, t
}

// abuse runs operations on a hostile tree and stops after an error, as a
// transaction does, but reads on.
func abuse(seed uint64) {
	h, t := newHostile(seed)
	if h == nil {
		return
	}
	if t.Len() > 1<<14 {
		return // bounded, but not in the time of a test
	}
	var c btree.Cursor
	c.Init(t)
	for range 60 {
		h.calls = 0
		_ = h.read(t, &c)
		if h.write(t) != nil {
			break
		}
	}
	for _, p := range h.dirty {
		if p := page.Page(p); p.Kind() != page.KindOverflow && p.Count() > 0 {
			btree.Layout(make(page.Page, len(p)), p)
			btree.Refs(p, 0, func(btree.Ref) {})
		}
	}
	_, _ = t.Pack(500)
}

func (h *hostile) read(t *btree.Tree, c *btree.Cursor) error {
	_, _, err := t.Get(h.key())
	_, err2 := t.Count(h.key(), h.key())
	_, err3 := c.Seek(h.key())
	_, err4 := c.At(h.rnd.Uint64() % (t.Len() + 1))
	err = errors.Join(err, err2, err3, err4)
	for it, err := c.Seek(h.key()); it.Key != nil && err == nil && h.rnd.IntN(50) > 0; it, err = c.Next() {
	}
	for range 5 {
		_, err2 = c.Prev()
	}
	return errors.Join(err, err2)
}

func (h *hostile) write(t *btree.Tree) (err error) {
	for range 20 {
		switch k := h.rnd.IntN(32); {
		case k < 10:
			err = t.Put(h.key(), make([]byte, h.rnd.IntN(300)))
		case k < 14:
			err = t.Put(append(bytes.Repeat([]byte{'k'}, 600), h.key()...), make([]byte, h.rnd.IntN(2000)))
		case k < 16:
			err = t.PutBucket(h.key(), make([]byte, btree.HeaderSize))
		case k < 28:
			_, err = t.Delete(h.key(), byte(h.rnd.IntN(2)*btree.FlagBucket))
		case k < 30:
			_, err = t.DeleteRange(h.key(), h.key())
		case k < 31 && h.rnd.IntN(20) == 0:
			budget := uint64(1000)
			err = t.FreeAll(func([]byte) error { return nil }, &budget)
		}
		if err != nil && !errors.Is(err, btree.ErrIncompatible) {
			return err
		}
	}
	return nil
}

// TestHostile abuses trees whose pages contradict each other.
func TestHostile(t *testing.T) {
	n := uint64(600)
	if testing.Short() {
		n = 200
	}
	end := time.Now().Add(*longFlag)
	for seed := uint64(0); seed < n || time.Now().Before(end); seed++ {
		runHostile(t, seed)
	}
}

func runHostile(t *testing.T, seed uint64) {
	t.Helper()
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("seed %d: %v\n%s", seed, p, stack())
		}
	}()
	abuse(seed)
}
