package btree

// This file is responsible for deletion: removing a cell, merging nodes that
// have become too empty, and the tree losing height.

import (
	"github.com/foliodb/folio/internal/page"
)

// Delete removes key and returns the flags of what was there; found is false if
// nothing was. want tells what sort of cell may be removed: FlagBucket or 0.
func (t *Tree) Delete(key []byte, want byte) (found bool, err error) {
	w := t.w
	if w == nil {
		return false, errReadOnly
	}
	if !w.reuse(t, key) {
		// Nothing is made dirty for a key that is not there.
		_, _, exact, err := t.seekLeaf(key)
		if err != nil || !exact {
			return false, err
		}
		if err := w.descend(t, key); err != nil {
			return false, err
		}
	}
	f := &w.path[w.depth]
	i, exact, err := f.n.searchLeaf(w.s, key)
	if err != nil || !exact {
		return false, err
	}
	c := f.n.leafCell(i)
	if (c.flags^want)&FlagBucket != 0 {
		return false, ErrIncompatible
	}
	w.freeValue(&c)
	w.freeKey(c.keyRef)
	f.n.removeLeafCell(i)
	w.counted(t, ^uint64(0), 0)
	return true, w.shrink(t)
}

// seekLeaf returns the leaf that key belongs to and its slot there.
func (t *Tree) seekLeaf(key []byte) (node, int, bool, error) {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return nil, 0, false, err
	}
	for !n.isLeaf() {
		i, err := n.searchBranch(t.r, key)
		if err != nil {
			return nil, 0, false, err
		}
		if n, err = t.child(n, i); err != nil {
			return nil, 0, false, err
		}
	}
	i, exact, err := n.searchLeaf(t.r, key)
	return n, i, exact, err
}

// mergeBelow is the fill under which a node looks for a neighbour, and
// mergeUpTo the fill that a merged node may have, so that the next insertion
// does not split it again.
func mergeBelow(pageSize int) int { return pageSize * 2 / 5 }
func mergeUpTo(pageSize int) int  { return pageSize * 7 / 8 }

// shrink repairs the path from the leaf up after cells were removed: empty nodes
// go, underfull ones merge with a neighbour, a root with one child gives way to
// it.
func (w *Writer) shrink(t *Tree) error {
	for d := w.depth; d >= 0; d-- {
		f := &w.path[d]
		if f.id == 0 { // a tree without pages
			if f.n.count() == 0 {
				t.own, t.dirty = nil, false
				w.owner = nil
			}
			return nil
		}
		if f.n.count() == 0 {
			w.owner = nil
			w.s.Free(f.id, 1, 0)
			if d == 0 {
				t.root, t.birth = 0, 0
				return nil
			}
			w.dropEntry(&w.path[d-1], w.path[d-1].i)
			continue
		}
		if d == 0 {
			break
		}
		if f.used() >= mergeBelow(w.lim.pageSize) {
			return nil
		}
		merged, err := w.merge(t, d)
		if err != nil || !merged {
			return err
		}
	}
	return w.lowerRoot(t)
}

func (f *frame) used() int {
	if f.n.isLeaf() {
		return f.n.usedLeaf()
	}
	return f.n.usedBranch()
}

// dropEntry removes entry i of the branch in f, and the runs of the separators
// that vanish with it.
func (w *Writer) dropEntry(f *frame, i int) {
	if i > 0 || f.n.count() > 1 {
		// Entry 0 has no separator; the one that becomes entry 0 loses its own.
		if _, ref, long := f.n.sepRest(max(i, 1)); long {
			w.freeKey(ref)
		}
	}
	f.n.removeEntry(i)
}

// lowerRoot takes roots with a single child away.
func (w *Writer) lowerRoot(t *Tree) error {
	for t.root != 0 {
		n, err := t.rootNode()
		if err != nil {
			return err
		}
		if n.isLeaf() || n.count() > 1 {
			return nil
		}
		w.owner = nil
		old, birth := t.root, t.birth
		child := n.childID(0)
		t.root, t.birth = child, n.childBirth(0)
		w.s.Free(old, 1, birth)
	}
	return nil
}

// merge joins the node at depth d with the neighbour under the same parent that
// it fits together with; false if neither does.
func (w *Writer) merge(t *Tree, d int) (bool, error) {
	f, parent := &w.path[d], &w.path[d-1]
	for _, right := range [...]int{parent.i + 1, parent.i} {
		left := right - 1
		if left < 0 || right >= parent.n.count() {
			continue
		}
		sibling := left + right - parent.i
		n, err := t.child(parent.n, sibling)
		if err != nil {
			return false, err
		}
		if parent.n.childID(sibling) == f.id {
			return false, page.Corrupt(f.id, n.header().Kind(), "referred to twice")
		}
		ln, rn := f.n, n
		if sibling == left {
			ln, rn = n, f.n
		}
		merged := w.mergeNodes(parent.n, right, ln, rn)
		if merged == nil {
			continue
		}
		w.owner = nil
		w.s.Free(parent.n.childID(sibling), 1, parent.n.childBirth(sibling))
		w.s.Replace(f.id, page.Page(merged))
		f.n = merged
		parent.n.setChildID(left, f.id)
		count, flags := merged.tally()
		parent.n.setChildTally(left, count, flags)
		// The separator between the two may live on in a merged branch: its run
		// is freed only when a leaf merge lets it vanish.
		if merged.isLeaf() {
			w.dropEntry(parent, right)
		} else {
			parent.n.removeEntry(right)
		}
		parent.i = left
		return true, nil
	}
	return false, nil
}

// mergeNodes lays ln and rn out as one node in a spare buffer; nil if they are
// too much for one. Their parent's separator at right lies between them.
func (w *Writer) mergeNodes(parent node, right int, ln, rn node) node {
	limit := mergeUpTo(w.lim.pageSize)
	if ln.isLeaf() {
		if ln.usedLeaf()+rn.usedLeaf() > limit {
			return nil
		}
		dst := node(w.s.Spare())
		if !layoutLeaf(dst, 0, cells{ln, 0, ln.count()}, cells{rn, 0, rn.count()}) {
			w.s.Recycle(page.Page(dst))
			return nil
		}
		return dst
	}
	if ln.usedBranch()+rn.usedBranch() > limit {
		return nil
	}
	w.arena = w.arena[:0]
	w.list = ln.entries(w.list[:0], &w.arena)
	m := len(w.list)
	w.list = rn.entries(w.list, &w.arena)
	up := &w.list[m]
	w.sep = parent.appendSep(w.sep[:0], right)
	up.sep = w.sep
	if _, ref, long := parent.sepRest(right); long {
		up.ref = ref
	}
	if branchSize(w.list, branchPrefix(w.list)) > limit {
		return nil
	}
	dst := node(w.s.Spare())
	if !layoutBranch(dst, ln.level(), w.list) {
		w.s.Recycle(page.Page(dst))
		return nil
	}
	return dst
}
