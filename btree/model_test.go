package btree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/foliodb/folio/btree"
)

// The model test runs random operations on trees and on sorted slices, and
// compares all that comes back. The trees are nested buckets of a directory, so
// they can be without pages, and are packed into it at every commit.

// op is one operation. Its numbers mean the same in every sequence, so a failing
// sequence can be shrunk by leaving operations out.
type op struct {
	kind    byte
	subject byte
	a, b, c uint64
}

func (o op) String() string {
	return fmt.Sprintf("{%d, %d, %#x, %#x, %#x}", o.kind, o.subject, o.a, o.b, o.c)
}

// config is what a run of the model test depends on, apart from its operations.
type config struct {
	pageSize int
	keys     int    // which keys; see makeKey
	numKeys  uint64 // how many different ones
	values   int    // which values; see makeValue
	pack     int    // bytes up to which a tree lives in the directory; 0: the most
}

type entry struct {
	key, value []byte
	bucket     bool
}

// handed is a slice that a tree handed out, and what it held then.
type handed struct{ slice, copied []byte }

const numSubjects, numCursors = 2, 3

type subject struct {
	name    []byte
	tree    *btree.Tree
	model   []entry
	saved   []entry // as of the last commit
	cursors [numCursors]modelCursor
}

type run struct {
	config
	s        *store
	w        *btree.Writer
	root     btree.Header // committed
	dir      *btree.Tree
	subjects [numSubjects]*subject
	handed   []handed
	seen     bool // the transaction hands slices out
}

// runModel runs ops and returns what went wrong.
func runModel(c config, ops []op) (err error) {
	at := 0
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("operation %d: %v\n%s", at, p, stack())
		}
	}()
	r := &run{config: c, s: newStore(c.pageSize)}
	for i := range r.subjects {
		name := bytes.Repeat([]byte{'a' + byte(i)}, 1+i*9)
		r.subjects[i] = &subject{name: name}
	}
	r.begin(0)
	for i, o := range ops {
		at = i
		r.apply(o)
	}
	at = len(ops)
	r.commit()
	r.begin(1)
	for _, s := range r.subjects {
		r.compareAll(s)
		r.empty(s)
	}
	r.commit()
	if len(r.s.pages) != 1 {
		return fmt.Errorf("%d pages for empty trees", len(r.s.pages))
	}
	return nil
}

func (r *run) begin(mode uint64) {
	r.seen = mode%2 == 1
	if mode%3 == 1 {
		clear(r.s.verified)
	}
	r.w = btree.NewWriter(r.s)
	r.dir = &btree.Tree{}
	r.dir.InitWritable(r.w, r.root, nil)
	for _, s := range r.subjects {
		s.tree = &btree.Tree{}
		payload, flags, err := r.dir.Get(s.name)
		check(err)
		if payload == nil {
			s.tree.InitWritable(r.w, btree.Header{}, nil)
		} else {
			expect(flags == btree.FlagBucket, "flags %d of a bucket", flags)
			s.tree.InitWritable(r.w, btree.DecodeHeader(payload), payload[btree.HeaderSize:])
		}
		for i := range s.cursors {
			s.cursors[i] = modelCursor{}
			s.cursors[i].c.Init(s.tree)
		}
	}
}

func (r *run) commit() {
	r.checkHanded()
	limit := btree.MaxInlineBucket(r.pageSize, 10)
	if r.pack > 0 {
		limit = min(limit, r.pack)
	}
	for _, s := range r.subjects {
		own, err := s.tree.Pack(limit)
		check(err)
		payload := make([]byte, btree.HeaderSize, limit)
		h := s.tree.Header()
		h.Encode(payload)
		expect(h.Root == 0 || own == nil, "an own leaf and a root")
		expect(h.Count == uint64(len(s.model)), "%d keys, expected %d", h.Count, len(s.model))
		expect(btree.HeaderSize+len(own) <= limit, "an own leaf of %d bytes", len(own))
		check(r.dir.PutBucket(s.name, append(payload, own...)))
		s.saved = slices.Clone(s.model)
	}
	if r.seen {
		r.checkHanded()
	}
	_, err := r.dir.Pack(0)
	check(err)
	r.root = r.s.commit(r.dir.Header())
	r.s.checkReachable(r.root)
	r.s.checkSound(r.root)
}

func (r *run) rollback() {
	r.checkHanded()
	r.s.rollback()
	for _, s := range r.subjects {
		s.model = slices.Clone(s.saved)
	}
}

func (r *run) checkHanded() {
	for _, h := range r.handed {
		expect(bytes.Equal(h.slice, h.copied), "bytes handed out changed: %.40x, were %.40x", h.slice, h.copied)
	}
	r.handed = r.handed[:0]
}

// hand notes that the test holds b from now on.
func (r *run) hand(b []byte) []byte {
	if r.seen {
		r.s.exposed = true
		r.handed = append(r.handed, handed{b, bytes.Clone(b)})
	}
	return b
}

func (s *subject) find(key []byte) (int, bool) {
	i := sort.Search(len(s.model), func(i int) bool { return bytes.Compare(s.model[i].key, key) >= 0 })
	return i, i < len(s.model) && bytes.Equal(s.model[i].key, key)
}

func (r *run) apply(o op) {
	s := r.subjects[int(o.subject)%numSubjects]
	key := r.makeKey(o.a)
	switch k := o.kind % 64; {
	case k < 26:
		r.put(s, key, r.makeValue(o), o.c%4)
	case k < 28:
		r.putBucket(s, key, o)
	case k < 37:
		r.delete(s, key, o)
	case k < 38:
		r.deleteRange(s, key, r.makeKey(o.b), o.c)
	case k < 42:
		r.get(s, key)
	case k < 44:
		r.rank(s, key, r.makeKey(o.b), o.c)
	case k < 58:
		r.cursor(s, key, o)
	case k < 59:
		r.compareAll(s)
	case k < 60 && o.c%8 == 0:
		r.empty(s)
	case k < 62:
		r.commit()
		r.begin(o.b)
	case k < 63 && o.c%2 == 0:
		r.rollback()
		r.begin(o.b)
	}
}

func (r *run) put(s *subject, key, value []byte, how uint64) {
	i, exact := s.find(key)
	var err error
	if how == 0 {
		var dst []byte
		if dst, err = s.tree.Reserve(key, len(value)); err == nil {
			expect(len(dst) == len(value), "%d bytes reserved, expected %d", len(dst), len(value))
			copy(dst, value)
		}
	} else {
		err = s.tree.Put(key, value)
	}
	s.store(i, exact, entry{key, value, false}, err)
}

func (r *run) putBucket(s *subject, key []byte, o op) {
	i, exact := s.find(key)
	payload := make([]byte, btree.HeaderSize)
	btree.Header{Sequence: o.b}.Encode(payload)
	s.store(i, exact, entry{key, payload, true}, s.tree.PutBucket(key, payload))
}

// store enters e into the model if the tree should have taken it.
func (s *subject) store(i int, exact bool, e entry, err error) {
	switch {
	case exact && s.model[i].bucket != e.bucket:
		expect(errors.Is(err, btree.ErrIncompatible), "error %v for the wrong sort of cell", err)
		return
	case exact:
		s.model[i] = e
	default:
		s.model = slices.Insert(s.model, i, e)
	}
	check(err)
}

func want(bucket bool) byte {
	if bucket {
		return btree.FlagBucket
	}
	return 0
}

func (r *run) delete(s *subject, key []byte, o op) {
	if o.b%4 != 0 && len(s.model) > 0 { // mostly a key that is there
		key = s.model[o.c%uint64(len(s.model))].key
	}
	bucket := o.b%16 == 1
	i, exact := s.find(key)
	if exact && o.b%32 != 1 {
		bucket = s.model[i].bucket
	}
	found, err := s.tree.Delete(key, want(bucket))
	if exact && s.model[i].bucket != bucket {
		expect(errors.Is(err, btree.ErrIncompatible), "error %v for the wrong sort of cell", err)
		return
	}
	check(err)
	expect(found == exact, "Delete found %v, expected %v", found, exact)
	if exact {
		s.model = slices.Delete(slices.Clone(s.model), i, i+1)
	}
}

func (r *run) deleteRange(s *subject, lo, hi []byte, c uint64) {
	from, _ := s.find(lo)
	to, _ := s.find(hi)
	if c%8 == 0 {
		lo, from = nil, 0
	}
	if c%8 == 1 {
		hi, to = nil, len(s.model)
	}
	if c%4 == 3 && len(s.model) > 0 && lo != nil && hi != nil { // a short range
		to = min(from+int(c>>8%64), len(s.model)-1)
		hi = s.model[to].key
	}
	to = max(from, to)
	for _, e := range s.model[from:to] {
		if e.bucket {
			_, err := s.tree.DeleteRange(lo, hi)
			expect(errors.Is(err, btree.ErrIncompatible), "error %v for a range with a bucket", err)
			return
		}
	}
	n, err := s.tree.DeleteRange(lo, hi)
	check(err)
	expect(n == uint64(to-from), "%d keys deleted, expected %d", n, to-from)
	s.model = slices.Delete(slices.Clone(s.model), from, to)
}

func (r *run) empty(s *subject) {
	buckets, budget := 0, uint64(1<<20)
	check(s.tree.FreeAll(func(payload []byte) error {
		expect(len(payload) == btree.HeaderSize, "a bucket of %d bytes", len(payload))
		buckets++
		return nil
	}, &budget))
	for _, e := range s.model {
		if e.bucket {
			buckets--
		}
	}
	expect(buckets == 0, "%d buckets too many were freed", buckets)
	expect(s.tree.Len() == 0, "%d keys left", s.tree.Len())
	s.model = nil
}

func (r *run) get(s *subject, key []byte) {
	v, flags, err := s.tree.Get(key)
	check(err)
	i, exact := s.find(key)
	if !exact {
		expect(v == nil, "a value for a key that is not there")
		return
	}
	r.compare(s.model[i], btree.Item{Key: key, Value: v, Flags: flags})
	r.hand(v)
}

func (r *run) compare(e entry, it btree.Item) {
	expect(bytes.Equal(e.key, it.Key), "key %.60x, expected %.60x", it.Key, e.key)
	expect(it.Value != nil && bytes.Equal(e.value, it.Value), "%d bytes %.40x for key %.60x, expected %d bytes %.40x",
		len(it.Value), it.Value, e.key, len(e.value), e.value)
	expect(e.bucket == (it.Flags&btree.FlagBucket != 0), "flags %d", it.Flags)
}

func (r *run) rank(s *subject, lo, hi []byte, c uint64) {
	from, _ := s.find(lo)
	to, _ := s.find(hi)
	n, err := s.tree.Rank(lo)
	check(err)
	expect(n == uint64(from), "rank %d, expected %d", n, from)
	if c%4 == 0 {
		hi, to = nil, len(s.model)
	}
	n, err = s.tree.Count(lo, hi)
	check(err)
	expect(n == uint64(max(to-from, 0)), "count %d, expected %d", n, max(to-from, 0))
	var cur btree.Cursor
	cur.Init(s.tree)
	i := c % uint64(len(s.model)+1)
	it, err := cur.At(i)
	check(err)
	if i == uint64(len(s.model)) {
		expect(it.Key == nil, "a key behind the last")
		return
	}
	r.compare(s.model[i], it)
}

// compareAll scans the tree in both directions.
func (r *run) compareAll(s *subject) {
	expect(s.tree.Len() == uint64(len(s.model)), "%d keys, expected %d", s.tree.Len(), len(s.model))
	var cur btree.Cursor
	cur.Init(s.tree)
	it, err := cur.First()
	for _, e := range s.model {
		check(err)
		r.compare(e, it)
		r.hand(it.Key)
		r.hand(it.Value)
		it, err = cur.Next()
	}
	expect(err == nil && it.Key == nil, "%v, key %.60x behind the last", err, it.Key)
	it, err = cur.Last()
	for i := len(s.model) - 1; i >= 0; i-- {
		check(err)
		r.compare(s.model[i], it)
		it, err = cur.Prev()
	}
	expect(err == nil && it.Key == nil, "%v, key %.60x before the first", err, it.Key)

}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func expect(ok bool, format string, args ...any) {
	if !ok {
		broken(format, args...)
	}
}

func hash(x uint64) uint64 {
	x ^= x >> 31
	x *= 0x9E3779B97F4A7C15
	x ^= x >> 29
	x *= 0xBF58476D1CE4E5B9
	return x ^ x>>32
}

func be64(x uint64) []byte { return binary.BigEndian.AppendUint64(nil, x) }
