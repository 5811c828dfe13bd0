package btree_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// seedPages adds pages of real trees, of all sorts, to the corpus.
func seedPages(f *testing.F) {
	s, _ := sampleFile(4096)
	sorts := map[[3]byte]bool{}
	for _, p := range s.pages {
		p := page.Page(p)
		sort := [3]byte{byte(p.Kind()), byte(p.Level()), byte(min(p.PrefixLen(), 1))}
		if p.Kind() == page.KindLeaf {
			btree.Refs(p, 0, func(r btree.Ref) { sort[2] |= 2 })
		}
		if !sorts[sort] {
			sorts[sort] = true
			f.Add([]byte(p), uint64(1))
		}
	}
	for seed := range uint64(20) {
		if h, _ := newHostile(seed); h != nil {
			for _, level := range h.pages {
				for _, p := range level {
					f.Add([]byte(p), seed)
				}
			}
		}
	}
	f.Add(nestedPage(), uint64(3))
}

// nestedPage returns a leaf with small nested buckets in it.
func nestedPage() []byte {
	s := newStore(4096)
	w := btree.NewWriter(s)
	var dir, small btree.Tree
	dir.InitWritable(w, btree.Header{}, nil)
	for i := range 5 {
		small.InitWritable(w, btree.Header{}, nil)
		for j := range i {
			check(small.Put(be64(uint64(j)), []byte("value")))
		}
		own, err := small.Pack(500)
		check(err)
		payload := make([]byte, btree.HeaderSize)
		small.Header().Encode(payload)
		check(dir.PutBucket(be64(uint64(i)), append(payload, own...)))
	}
	h := s.commit(dir.Header())
	return s.pages[h.Root]
}

// FuzzVerify holds Verify to its promise: what passes it can be read and changed
// without a check.
func FuzzVerify(f *testing.F) {
	seedPages(f)
	f.Fuzz(func(t *testing.T, data []byte, seed uint64) {
		p := make(page.Page, 4096)
		copy(p, data)
		if btree.Verify(p, 5, hostileWater) != nil || count(p) > 1<<12 {
			return // or bounded, but not in the time of a test
		}
		abusePage(p, seed)
	})
}

// abusePage does everything with p, as the root of a tree whose other pages, if
// it has any, are hostile too.
func abusePage(p page.Page, seed uint64) {
	h := &hostile{store: *newStore(len(p)), rnd: rand.New(rand.NewPCG(seed, 3))}
	h.exposed = true
	h.build(p.Level())
	h.pages = append(h.pages, []page.Page{p})
	before := bytes.Clone(p)
	keys := [][]byte{nil, {0}, {0xff}, bytes.Repeat([]byte{0xff}, 600)}
	for range 20 {
		keys = append(keys, h.key())
	}
	btree.ReadAll(h, p, keys)
	abuseNested(h, p)
	t := &btree.Tree{}
	root := page.ID(p.Level()<<8 | 2)
	t.InitWritable(btree.NewWriter(h), btree.Header{Root: root, Count: count(p)}, nil)
	var c btree.Cursor
	c.Init(t)
	for range 10 {
		h.calls = 0
		_ = h.read(t, &c)
		if h.write(t) != nil {
			break
		}
		it, err := c.At(h.rnd.Uint64() % (t.Len() + 1))
		if it.Key != nil && err == nil {
			_ = t.Put(it.Key, make([]byte, 2000/(1+h.rnd.IntN(2000))))
			_, _ = c.Delete(0)
		}
	}
	_, _ = t.Pack(900)
	if !bytes.Equal(p, before) {
		panic("a committed page was written to")
	}
}

// abuseNested changes the nested buckets that live in p.
func abuseNested(h *hostile, p page.Page) {
	if p.Level() > 0 {
		return
	}
	var parent btree.Tree
	parent.Init(h, btree.Header{Root: 2, Count: uint64(p.Count())}, nil)
	var c btree.Cursor
	c.Init(&parent)
	w := btree.NewWriter(h)
	for it, err := c.First(); it.Key != nil && err == nil; it, err = c.Next() {
		if it.Flags&btree.FlagBucket == 0 {
			continue
		}
		var t btree.Tree
		t.InitWritable(w, btree.DecodeHeader(it.Value), it.Value[btree.HeaderSize:])
		if t.Header().Root != 0 {
			continue
		}
		var nested btree.Cursor
		nested.Init(&t)
		_ = h.read(&t, &nested)
		for range 3 {
			_ = h.write(&t)
		}
		_, _ = t.Pack(200)
	}
}

// TestVerifyMutations is FuzzVerify without a fuzzer: real pages with a few bytes
// changed.
func TestVerifyMutations(t *testing.T) {
	s, _ := sampleFile(4096)
	pages := [][]byte{nestedPage()}
	for id, p := range s.pages {
		if page.Page(p).Kind() == page.KindBranch || page.Page(p).Kind() == page.KindLeaf && id%40 == 0 {
			pages = append(pages, p)
		}
	}
	passed := 0
	for seed := range uint64(16000) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		p := page.Page(bytes.Clone(pages[rnd.IntN(len(pages))]))
		for range 1 + rnd.IntN(3) {
			at := rnd.IntN(len(p))
			if rnd.IntN(2) == 0 {
				at = page.OffLevel + rnd.IntN(600)
			}
			p[at] = byte(rnd.Uint32()) >> rnd.IntN(8)
		}
		if btree.Verify(p, 5, hostileWater) != nil || count(p) > 1<<12 {
			continue
		}
		passed++
		if passed%4 == 0 {
			abusePage(p, seed)
		}
	}
	if passed < 400 {
		t.Errorf("only %d pages passed", passed)
	}
}

const opSize = 1 + 1 + 2 + 4 + 5

// FuzzOps lets the fuzzer choose the operations of the model test.
func FuzzOps(f *testing.F) {
	for seed := range uint64(8) {
		c, ops := randomRun(seed)
		data := []byte{byte(c.keys), byte(c.values), byte(seed)}
		for _, o := range ops[:min(len(ops), 200)] {
			data = append(data, o.kind, o.subject)
			data = binary.LittleEndian.AppendUint16(data, uint16(o.a))
			data = binary.LittleEndian.AppendUint32(data, uint32(o.b))
			data = append(data, be64(o.c)[:5]...)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 3 || len(data) > 1<<13 {
			return
		}
		c := config{pageSize: 4096, keys: int(data[0]), values: int(data[1]), numKeys: 1 << 10, pack: 64 + int(data[2])*4}
		var ops []op
		for data = data[3:]; len(data) >= opSize; data = data[opSize:] {
			ops = append(ops, op{
				kind: data[0], subject: data[1], a: uint64(binary.LittleEndian.Uint16(data[2:])),
				b: uint64(binary.LittleEndian.Uint32(data[4:])), c: binary.LittleEndian.Uint64(append(data[8:13:13], 0, 0, 0)),
			})
		}
		if err := runModel(c, ops); err != nil {
			t.Fatal(err)
		}
	})
}
