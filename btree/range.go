package btree

// This file is responsible for deleting many keys at once: a range, or all of a
// tree. Subtrees that go as a whole are freed from their branches: the entries
// say where the leaves are, when they were born, how many keys they hold and
// whether there is anything in them that needs a look.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// DeleteRange removes the keys in [lo, hi), nil being unbounded, and returns how
// many there were. A nested bucket among them is ErrIncompatible, and nothing is
// removed.
func (t *Tree) DeleteRange(lo, hi []byte) (uint64, error) {
	w := t.w
	if w == nil {
		return 0, errReadOnly
	}
	count, err := t.Count(lo, hi)
	if count == 0 || err != nil {
		return 0, err
	}
	n, err := t.rootNode()
	if err != nil {
		return 0, err
	}
	if found, err := t.holdsBucket(n, lo, hi); err != nil {
		return 0, err
	} else if found {
		return 0, ErrIncompatible
	}
	before := t.count
	t.mods++
	if t.root == 0 {
		if err := w.descend(t, lo); err != nil {
			return 0, err
		}
		w.owner = nil
		err := w.cut(t, t.own, lo, hi)
		if t.count = uint64(t.own.count()); t.count == 0 {
			t.own, t.mine = nil, 0
		}
		return before - t.count, err
	}
	w.owner = nil
	id, root, err := w.touchRoot(t)
	if err != nil {
		return 0, err
	}
	if err := w.cut(t, root, lo, hi); err != nil {
		return 0, err
	}
	t.count, _ = root.tally()
	if root.count() == 0 {
		w.s.Free(id, 1, 0)
		t.root, t.birth = 0, 0
		return before, nil
	}
	for _, edge := range [...][]byte{lo, hi} {
		if err := w.repair(t, edge); err != nil {
			return 0, err
		}
	}
	return before - t.count, nil
}

// cut removes the cells in [lo, hi) from the dirty node n and below it. n may end
// up empty.
func (w *Writer) cut(t *Tree, n node, lo, hi []byte) error {
	if n.isLeaf() {
		return w.cutLeaf(n, lo, hi)
	}
	from, to, err := n.childRange(w.s, lo, hi)
	if err != nil {
		return err
	}
	// The children at the edges of the range may lose a part only.
	gone, end := from, to+1 // entries that vanish
	whole, wholeEnd := from, to+1
	if hi != nil || lo != nil && from == to {
		if err := w.cutChild(t, n, to, edgeKey(lo, from == to), hi); err != nil {
			return err
		}
		if wholeEnd--; n.childCount(to) > 0 {
			end--
		}
	}
	if lo != nil && from < to {
		if err := w.cutChild(t, n, from, lo, nil); err != nil {
			return err
		}
		if whole++; n.childCount(from) > 0 {
			gone++
		}
	}
	for i := whole; i < wholeEnd; i++ {
		if err := w.freeChild(t, n, i, nil, nil); err != nil {
			return err
		}
	}
	w.dropEntries(n, gone, end)
	return nil
}

// edgeKey returns the bound of a range for a child: only at its edge it has one.
func edgeKey(bound []byte, edge bool) []byte {
	if edge {
		return bound
	}
	return nil
}

// childRange returns the first and the last child that can hold keys in [lo, hi).
func (n node) childRange(r Reader, lo, hi []byte) (from, to int, err error) {
	to = n.count() - 1
	if lo != nil {
		if from, err = n.searchBranch(r, lo); err != nil {
			return 0, 0, err
		}
	}
	if hi != nil {
		if to, err = n.searchBranch(r, hi); err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}

func (n node) slotRange(r Reader, lo, hi []byte) (from, to int, err error) {
	to = n.count()
	if lo != nil {
		if from, _, err = n.searchLeaf(r, lo); err != nil {
			return 0, 0, err
		}
	}
	if hi != nil {
		if to, _, err = n.searchLeaf(r, hi); err != nil {
			return 0, 0, err
		}
	}
	return from, to, nil
}

func (w *Writer) cutLeaf(n node, lo, hi []byte) error {
	from, to, err := n.slotRange(w.s, lo, hi)
	if err != nil {
		return err
	}
	for i := to - 1; i >= from; i-- {
		c := n.leafCell(i)
		w.freeValue(&c)
		w.freeKey(c.keyRef)
		n.removeLeafCell(i)
	}
	return nil
}

// cutChild cuts [lo, hi) out of child i of n.
func (w *Writer) cutChild(t *Tree, n node, i int, lo, hi []byte) error {
	id, c, err := w.touchChild(t, n, i)
	if err != nil {
		return err
	}
	if err := w.cut(t, c, lo, hi); err != nil {
		return err
	}
	count, flags := c.tally()
	n.setChildTally(i, count, flags)
	if count == 0 {
		w.s.Free(id, 1, 0)
	}
	return nil
}

// freeChild frees child i of n and all below it. Leaves without runs and buckets
// are not read. Nested buckets are given to bucket. budget, if there is one, is
// the number of pages that may be freed before the file must be damaged.
func (w *Writer) freeChild(t *Tree, n node, i int, bucket func(payload []byte) error, budget *uint64) error {
	id, birth := n.childID(i), n.childBirth(i)
	if n.level() > 1 || n.childFlags(i) != 0 {
		c, err := t.walkChild(n, i)
		if err != nil {
			return err
		}
		if err := w.freeBelow(t, c, bucket, budget); err != nil {
			return err
		}
	}
	return w.freeNode(id, birth, budget)
}

func (w *Writer) freeNode(id page.ID, birth page.TxID, budget *uint64) error {
	if budget != nil {
		if *budget == 0 {
			return page.Corrupt(id, 0, "more pages to free than the file has")
		}
		*budget--
	}
	w.s.Free(id, 1, birth)
	return nil
}

// freeBelow frees all that n refers to.
func (w *Writer) freeBelow(t *Tree, n node, bucket func(payload []byte) error, budget *uint64) error {
	for i := range n.count() {
		if !n.isLeaf() {
			if _, ref, long := n.sepRest(i); long && i > 0 {
				w.freeKey(ref)
			}
			if err := w.freeChild(t, n, i, bucket, budget); err != nil {
				return err
			}
			continue
		}
		c := n.leafCell(i)
		w.freeValue(&c)
		w.freeKey(c.keyRef)
		if c.flags&FlagBucket != 0 && bucket != nil {
			if err := bucket(c.payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// FreeAll frees every page of t and empties it. The payloads of nested buckets
// are given to bucket, which frees them. budget bounds the pages to be freed and
// is counted down.
func (t *Tree) FreeAll(bucket func(payload []byte) error, budget *uint64) error {
	w := t.w
	if w == nil {
		return errReadOnly
	}
	w.owner = nil
	n, err := t.rootNode()
	if err != nil {
		return err
	}
	if t.root != 0 {
		if err := w.freeBelow(t, n, bucket, budget); err != nil {
			return err
		}
		if err := w.freeNode(t.root, t.birth, budget); err != nil {
			return err
		}
	}
	t.root, t.birth, t.count, t.own, t.mine = 0, 0, 0, nil, 0
	t.mods++
	return nil
}

// holdsBucket tells whether a nested bucket lies in [lo, hi) below n. Only nodes
// whose flags admit it are read.
func (t *Tree) holdsBucket(n node, lo, hi []byte) (bool, error) {
	if n.isLeaf() {
		from, to, err := n.slotRange(t.r, lo, hi)
		if err != nil {
			return false, err
		}
		for i := from; i < to; i++ {
			if off, _ := n.leafSlot(i); n[off]&FlagBucket != 0 {
				return true, nil
			}
		}
		return false, nil
	}
	from, to, err := n.childRange(t.r, lo, hi)
	if err != nil {
		return false, err
	}
	for i := from; i <= to; i++ {
		if n.childFlags(i)&FlagBucket == 0 {
			continue
		}
		c, err := t.walkChild(n, i)
		if err != nil {
			return false, err
		}
		found, err := t.holdsBucket(c, edgeKey(lo, i == from), edgeKey(hi, i == to))
		if found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// BucketFrom returns the name and the payload of the first nested bucket of t that is
// not before from, nil if there is none. Only nodes whose flags admit one are read.
func (t *Tree) BucketFrom(from []byte) (name, payload []byte, err error) {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return nil, nil, err
	}
	name, payload, err = t.firstBucket(n, from)
	if err == nil && name != nil && bytes.Compare(name, from) < 0 {
		return nil, nil, errDisorder // who asks for the next one and the next would never come to an end
	}
	return name, payload, err
}

// firstBucket is BucketFrom for what is below n; nil is unbounded.
func (t *Tree) firstBucket(n node, lo []byte) (name, payload []byte, err error) {
	if n.isLeaf() {
		from, to, err := n.slotRange(t.r, lo, nil)
		if err != nil {
			return nil, nil, err
		}
		for i := from; i < to; i++ {
			if off, _ := n.leafSlot(i); n[off]&FlagBucket != 0 {
				c := n.leafCell(i)
				name, err := t.key(&c)
				return name, c.payload, err
			}
		}
		return nil, nil, nil
	}
	from, to, err := n.childRange(t.r, lo, nil)
	if err != nil {
		return nil, nil, err
	}
	for i := from; i <= to; i++ {
		if n.childFlags(i)&FlagBucket == 0 {
			continue
		}
		c, err := t.walkChild(n, i)
		if err != nil {
			return nil, nil, err
		}
		name, payload, err := t.firstBucket(c, edgeKey(lo, i == from))
		if name != nil || err != nil {
			return name, payload, err
		}
	}
	return nil, nil, nil
}

// Buckets calls fn with the payload of each nested bucket of t, until fn returns an
// error, which it returns. Only nodes whose flags admit one are read.
func (t *Tree) Buckets(fn func(payload []byte) error) error {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return err
	}
	return t.bucketsBelow(n, fn)
}

func (t *Tree) bucketsBelow(n node, fn func(payload []byte) error) error {
	for i := range n.count() {
		if n.isLeaf() {
			if c := n.leafCell(i); c.flags&FlagBucket != 0 {
				if err := fn(c.payload); err != nil {
					return err
				}
			}
			continue
		}
		if n.childFlags(i)&FlagBucket == 0 {
			continue
		}
		c, err := t.walkChild(n, i)
		if err != nil {
			return err
		}
		if err := t.bucketsBelow(c, fn); err != nil {
			return err
		}
	}
	return nil
}

// repair merges the underfull nodes on the way to key, or to the tree's edge if
// key is nil.
func (w *Writer) repair(t *Tree, key []byte) error {
	if key == nil || t.root == 0 {
		return w.lowerRoot(t)
	}
	if err := w.descend(t, key); err != nil {
		return err
	}
	w.owner = nil
	for d := w.depth; d > 0; d-- {
		if w.path[d].used() < mergeBelow(w.lim.pageSize) {
			if _, err := w.merge(t, d); err != nil {
				return err
			}
		}
	}
	return w.lowerRoot(t)
}
