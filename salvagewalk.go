package folio

// This file is responsible for walking trees of a damaged file and copying what is
// in them: from the root down, and, with what is found by scanning, below any node.

import (
	"bytes"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// nodeRef is a node, and what its parent knows of it.
type nodeRef struct {
	id    page.ID
	birth page.TxID
	level int // -1: any
	count uint64
	flags byte
}

const (
	levelRun  = -2 // of a lostNode that is none: a value, a key, a bucket
	levelRoot = -1 // of the root of a tree, whose level nobody knows

	allFlags = btree.FlagBucket | btree.FlagKeyRun | btree.FlagValueRun
)

// lostNode is something that could not be read.
type lostNode struct {
	SalvageLoss
	birth page.TxID
	level int
	tree  uint32
	fit   bool // the orphans have been looked at for it
}

// countMax is more keys than any file holds. Counts of hostile nodes are cut to it, so
// that sums of them do not overflow.
const countMax = 1 << 36

// lose notes a loss.
func (s *salvager) lose(l *lostNode) {
	l.Keys = min(l.Keys, countMax)
	s.lost = append(s.lost, l)
}

// walk copies a tree, or a part of one, into the current bucket of the new file. If
// loss is set, it is a part that was lost, found by scanning.
type walk struct {
	s      *salvager
	tree   uint32
	loss   *lostNode
	lo, hi []byte // of the loss: keys outside were elsewhere
	old    bool   // what it finds may be out of date, and what it does not find is no loss
	nested bool   // below a bucket of the tree that the loss is in
	copied uint64 // keys
}

// node copies what is below r. The keys there are in [lo, hi). The error is one of
// the new file: damage is noted.
func (w *walk) node(r nodeRef, lo, hi []byte) error {
	s := w.s
	p := s.page()
	defer s.recycle(p)
	if err := w.claim(p, r, lo, hi); err != nil {
		w.lostNode(r, lo, hi, err)
		return nil
	}
	w.missing(p, r, lo, hi)
	if p.Level() > 0 {
		return w.branch(p, r, lo, hi)
	}
	for i := range p.Count() {
		if err := w.cell(btree.LeafCell(p, i)); err != nil {
			return err
		}
	}
	return nil
}

// page returns a buffer for a page, and recycle takes it back.
func (s *salvager) page() page.Page {
	if n := len(s.spare); n > 0 {
		p := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return p
	}
	return make(page.Page, s.in.pageSize)
}

func (s *salvager) recycle(p page.Page) { s.spare = append(s.spare, p) }

// claim reads r, whose keys are in [lo, hi), into p, and makes sure that nobody else
// does.
func (w *walk) claim(p page.Page, r nodeRef, lo, hi []byte) error {
	s := w.s
	s.goOn()
	if s.claimed.has(r.id) {
		return page.Corrupt(r.id, 0, "referred to twice")
	}
	if err := s.in.node(p, r.id, r.birth); err != nil {
		return err
	}
	if r.level >= 0 && p.Level() != r.level {
		return page.Corrupt(r.id, p.Kind(), "level %d below level %d", p.Level(), r.level+1)
	}
	if err := w.astray(p, r.id, lo, hi); err != nil {
		return err // what is below it is left to whom it belongs to
	}
	s.claimed.set(r.id)
	s.owner.set(r.id, w.tree)
	if s.copied++; s.copied%256 == 0 {
		s.progress("copying", s.copied, uint64(s.in.pages))
	}
	return nil
}

// strict tells whether nodes must be what their parents say. What fills a gap is
// compared with the gap: its keys key by key, and how many they are.
func (w *walk) strict() bool { return w.loss == nil || w.nested }

// astray returns an error if p has keys that belong elsewhere. They can be of another
// bucket, and as no lookup finds them here, they are not taken for its own.
func (w *walk) astray(p page.Page, id page.ID, lo, hi []byte) error {
	if !w.strict() {
		return nil
	}
	var last []byte
	for i := min(p.Level(), 1); i < p.Count(); i++ { // the first child has no separator
		key := w.s.keyAt(p, i)
		if key == nil {
			continue
		}
		if last != nil && bytes.Compare(last, key) >= 0 || bytes.Compare(key, lo) < 0 || hi != nil && bytes.Compare(key, hi) >= 0 {
			return page.Corrupt(id, p.Kind(), "keys out of order, or outside the node's bounds")
		}
		last = key
	}
	return nil
}

// keyAt returns key or separator i of p, or nil if that cannot be read.
func (s *salvager) keyAt(p page.Page, i int) []byte {
	var key []byte
	var run btree.Ref
	if p.Level() > 0 {
		c := btree.BranchChild(p, i)
		key, run = c.Sep, c.SepRun
	} else {
		c := btree.LeafCell(p, i)
		key, run = c.Key, c.KeyRun
	}
	if run.Bytes == 0 {
		return key
	}
	long, err := s.in.data(run)
	if err != nil {
		return nil
	}
	return bytes.Clone(long)
}

// missing notes that there are not as many keys in p as its parent has counted.
func (w *walk) missing(p page.Page, r nodeRef, lo, hi []byte) {
	n, _ := btree.Tally(p)
	if !w.strict() || n == r.count {
		return
	}
	err := page.Corrupt(r.id, p.Kind(), "%d keys, expected %d", n, r.count)
	if n > r.count {
		n, r.level = r.count, levelRun // there is nothing to look for
	}
	r.count -= n
	w.lostNode(r, lo, hi, err)
}

// lostNode notes that r cannot be read.
func (w *walk) lostNode(r nodeRef, lo, hi []byte, err error) {
	if w.old {
		return
	}
	w.lessLost(r.count)
	w.s.lose(&lostNode{
		SalvageLoss: SalvageLoss{
			Bucket: w.s.path(), Lo: bytes.Clone(lo), Hi: bytes.Clone(hi), Page: int(r.id), Keys: r.count,
			Buckets: r.flags&btree.FlagBucket != 0, Err: err,
		},
		birth: r.birth, level: r.level, tree: w.tree,
	})
}

// lostKey notes that the value or the bucket at key cannot be read, or that the rest
// of key cannot.
func (w *walk) lostKey(key []byte, flags byte, id page.ID, err error) {
	if w.old {
		return
	}
	w.lessLost(1)
	w.s.lose(&lostNode{
		SalvageLoss: SalvageLoss{
			Bucket: w.s.path(), Lo: bytes.Clone(key), Hi: append(bytes.Clone(key), 0), Page: int(id), Keys: 1,
			Buckets: flags&btree.FlagBucket != 0, Err: err,
		},
		level: levelRun, tree: w.tree,
	})
}

// lessLost takes n keys out of the loss that is being made good: they become one of
// their own.
func (w *walk) lessLost(n uint64) {
	if w.loss != nil && !w.nested {
		w.loss.Keys -= min(w.loss.Keys, n)
	}
}

// path returns a copy of the path of the current bucket.
func (s *salvager) path() [][]byte { return append([][]byte{}, s.out.path...) }

// branch copies what is below the children of p.
func (w *walk) branch(p page.Page, r nodeRef, lo, hi []byte) error {
	from := lo
	for i := range p.Count() {
		c := btree.BranchChild(p, i)
		to, next := hi, hi
		if i+1 < p.Count() {
			sibling := btree.BranchChild(p, i+1)
			to, next = w.separator(&sibling, hi)
		}
		if err := w.node(nodeRef{c.ID, c.Birth, p.Level() - 1, c.Count, c.Flags}, from, to); err != nil {
			return err
		}
		from = next
	}
	return nil
}

// separator returns what the keys before c are below, and what those in c are not below:
// the separator of c. If the rest of a long one is lost, its beginning is below all of
// c's keys, but not above all of those before.
func (w *walk) separator(c *btree.Child, hi []byte) (to, from []byte) {
	if c.SepRun.Bytes == 0 {
		return c.Sep, c.Sep
	}
	if long, err := w.run(c.SepRun); err == nil {
		sep := bytes.Clone(long)
		return sep, sep
	}
	return hi, c.Sep
}

// run returns the data of a run, which nobody else may have.
func (w *walk) run(r btree.Ref) ([]byte, error) {
	s := w.s
	n := page.ID(btree.RunPages(r.Bytes, s.in.pageSize))
	for id := r.ID; id < min(r.ID+n, s.in.pages); id++ {
		if s.claimed.has(id) {
			return nil, page.Corrupt(r.ID, page.KindOverflow, "referred to twice")
		}
	}
	data, err := s.in.data(r)
	if err != nil {
		return nil, err
	}
	for id := r.ID; id < r.ID+n; id++ {
		s.claimed.set(id)
	}
	return data, nil
}

// cell copies a cell of a leaf.
func (w *walk) cell(c btree.Cell) error {
	key := c.Key
	if c.KeyRun.Bytes > 0 {
		long, err := w.run(c.KeyRun)
		if err == nil && !bytes.HasPrefix(long, key) {
			err = page.Corrupt(c.KeyRun.ID, page.KindOverflow, "another key than the one that refers to it")
		}
		if err != nil {
			w.lostKey(key, c.Flags, c.KeyRun.ID, err)
			return nil
		}
		key = bytes.Clone(long)
	}
	if skip, err := w.skips(key); skip || err != nil {
		return err
	}
	err := w.copyCell(key, c)
	if refused(err) {
		w.lostKey(key, c.Flags, 0, err)
		return nil
	}
	return err
}

// skips tells whether key is not what is looked for.
func (w *walk) skips(key []byte) (bool, error) {
	if w.loss == nil {
		return false, nil
	}
	if !w.nested && (bytes.Compare(key, w.lo) < 0 || w.hi != nil && bytes.Compare(key, w.hi) >= 0) {
		return true, nil
	}
	there, _, err := w.s.out.lookup(key)
	return there, err
}

func (w *walk) copyCell(key []byte, c btree.Cell) error {
	if c.Flags&btree.FlagBucket != 0 {
		return w.bucket(key, c.Value)
	}
	value := c.Value
	if c.ValueRun.Bytes > 0 {
		var err error
		if value, err = w.run(c.ValueRun); err != nil {
			w.lostKey(key, c.Flags, c.ValueRun.ID, err)
			return nil
		}
	}
	if err := w.s.out.put(key, value); err != nil {
		return err
	}
	w.count()
	return nil
}

// count counts a key.
func (w *walk) count() {
	w.copied++
	if w.loss != nil && !w.nested {
		w.loss.Found++
	}
}

// bucket copies the nested bucket name.
func (w *walk) bucket(name, payload []byte) error {
	s := w.s
	h := btree.DecodeHeader(payload)
	in := walk{s: s, tree: s.newTree(), loss: w.loss, old: w.old, nested: w.loss != nil}
	root := nodeRef{id: h.Root, birth: h.Birth, level: levelRoot, count: h.Count, flags: allFlags}
	if now, ok := s.successors[root.key()]; ok {
		root, in.old = now, in.old && !s.exact && now.birth < s.meta.TxID
	}
	if in.old && root.id != 0 && !s.readable(root) {
		return nil // no reason to make a bucket
	}
	if err := s.out.enter(name); err != nil {
		return err
	}
	defer s.out.leave()
	w.count()
	if err := s.out.sequence(h.Sequence); err != nil {
		return err
	}
	if root.id != 0 {
		return in.node(root, nil, nil)
	}
	own := page.Page(payload[btree.HeaderSize:])
	for i := 0; len(own) > 0 && i < own.Count(); i++ {
		if err := in.cell(btree.LeafCell(own, i)); err != nil {
			return err
		}
	}
	return nil
}

// readable tells whether r is there, and not used elsewhere.
func (s *salvager) readable(r nodeRef) bool {
	p := s.page()
	defer s.recycle(p)
	return !s.claimed.has(r.id) && s.in.node(p, r.id, r.birth) == nil
}

// nodeKey identifies a version of a page.
type nodeKey struct {
	id    page.ID
	birth page.TxID
}

func (r *nodeRef) key() nodeKey { return nodeKey{r.id, r.birth} }

// fill copies what is below r, which was found by scanning, into the gap l.
func (s *salvager) fillGap(l *lostNode, r nodeRef, old bool) error {
	before := s.out.path
	s.out.goTo(l.Bucket)
	defer s.out.goTo(before)
	w := walk{s: s, tree: l.tree, loss: l, lo: l.Lo, hi: l.Hi, old: old}
	return w.node(r, slices.Clone(l.Lo), slices.Clone(l.Hi))
}
