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
	i, exact, ok := w.locate(t, key)
	if !ok {
		// Nothing is made dirty for a key that is not there.
		if i, exact, err = w.seek(t, key); err != nil || !exact {
			return false, err
		}
		if err := w.touchPath(t); err != nil {
			return false, err
		}
	}
	if !exact {
		return false, nil
	}
	f := &w.path[w.depth]
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

// seek makes the path to key, of nodes that may not be written, and looks key up in
// its leaf.
func (w *Writer) seek(t *Tree, key []byte) (i int, exact bool, err error) {
	w.owner = nil
	w.depth = 0
	n, err := t.rootNode()
	if n == nil || err != nil {
		return 0, false, err
	}
	for !n.isLeaf() {
		i, err := n.searchBranch(t.r, key)
		if err != nil {
			return 0, false, err
		}
		w.path[w.depth].i = i
		w.depth++
		if n, err = t.child(n, i); err != nil {
			return 0, false, err
		}
	}
	return n.searchLeaf(t.r, key)
}

// touchPath makes all of the path that seek has made dirty.
func (w *Writer) touchPath(t *Tree) error {
	depth := w.depth
	id, n, err := w.startPath(t)
	if err != nil || w.owner == t {
		return err
	}
	for d := range depth {
		i := w.path[d].i
		w.path[d] = frame{id, n, i}
		if i+1 < n.count() {
			w.fence = d
		}
		if id, n, err = w.touchKnown(n, i); err != nil {
			return err
		}
	}
	w.path[depth] = frame{id: id, n: n}
	w.depth, w.owner = depth, t
	return nil
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
				t.own, t.mine = nil, 0
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
			w.dropEntry(w.path[d-1].n, w.path[d-1].i)
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

// used returns the bytes that the cells or entries of a page take.
func (f *frame) used() int {
	if f.n.isLeaf() {
		return f.n.usedLeafPage()
	}
	return f.n.usedBranch()
}

// dropEntry removes entry i of the branch n, and the run of the separator that
// vanishes with it.
func (w *Writer) dropEntry(n node, i int) { w.dropEntries(n, i, i+1) }

// dropEntries removes the entries [from, to) of the branch n, and the runs of the
// separators that vanish with them.
func (w *Writer) dropEntries(n node, from, to int) {
	last := to
	if from > 0 {
		last = to - 1
	}
	// Entry 0 has no separator; the one that becomes entry 0 loses its own.
	for i := max(from, 1); from < to && i <= min(last, n.count()-1); i++ {
		if _, ref, long := n.sepRest(i); long {
			w.freeKey(ref)
		}
	}
	n.removeEntries(from, to)
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
			w.dropEntry(parent.n, right)
		} else {
			parent.n.removeEntries(right, right+1)
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
		if ln.usedLeafPage()+rn.usedLeafPage() > limit {
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
