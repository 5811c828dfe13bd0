package btree

// This file is responsible for splits: where a full node is cut, which separator
// goes up, and how the tree grows in height.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// newCell is a leaf cell on its way into a split.
type newCell struct {
	key, stub, ref []byte
	size           int // of the value in bytes
	payload        int // of the cell in bytes
	flags          byte
	added          uint64 // 1 if the key is new to the tree, 0 if its cell grows
	hint           hint   // of the leaf, with the new cell
}

// split makes the path's leaf two, inserts the cell c where the path says and
// returns the place for its value.
func (w *Writer) split(t *Tree, c newCell) ([]byte, error) {
	w.owner = nil
	d := w.depth
	f := &w.path[d]
	i := f.i
	need := leafCellHeader + len(c.stub) + len(c.ref) + c.payload + leafEntrySize
	h := c.hint
	m, left := splitPoint(f.n, i, need, h)
	growth := c.added == 0 && growing(f.n, i, need, h)
	if growth {
		m, left = growthPoint(f.n, i, need)
		h.asc = max(h.asc, seqStreak)
	}
	sep, err := w.splitSeparator(f.n, m, i, left, c.key, h.desc >= seqStreak)
	if err != nil {
		return nil, err
	}
	rightID, rp := w.s.Allocate()
	rn, ln := node(rp), f.n
	fits := true
	if left || m < f.n.count() {
		ln = node(w.s.Spare())
		fits = layoutLeaf(ln, whenTrue(left, need), cells{f.n, 0, m})
	} else {
		ln.setHint(hint{}) // all cells stay as they are
	}
	fits = fits && layoutLeaf(rn, whenTrue(!left, need), cells{f.n, m, f.n.count()})
	at, to := i-m, rn
	if left {
		at, to = i, ln
	}
	if to.count() == 0 {
		to.inheritPrefix(f.n, c, need)
	}
	to.setHint(hint{uint16(at), h.asc, h.desc})
	if growth && left {
		rn.setHint(hint{0, h.asc, h.desc}) // the pattern will go on there
	}
	var cell []byte
	if fits {
		cell = to.addLeafCell(at, c.stub, c.flags, c.payload)
	}
	if cell == nil {
		panic("folio: broken invariant: half of a split leaf has no room for the new cell")
	}
	copy(cell[leafCellHeader+len(c.stub):], c.ref)
	value := w.payload(cell[len(cell)-c.payload:], c.size, c.flags)
	if left || m < f.n.count() {
		w.s.Replace(f.id, page.Page(ln))
	}
	t.mods++
	t.count += c.added
	inPlace, err := w.insertAbove(t, d, sep, rightID, ln, rn, c)
	if inPlace {
		w.follow(t, left, frame{rightID, rn, at}, ln)
	}
	return value, err
}

// whenTrue returns n, or 0 if cond is false.
func whenTrue(cond bool, n int) int {
	if cond {
		return n
	}
	return 0
}

// follow makes the path, whose leaf was split without another change of its shape,
// lead to the half that got the new cell: the next one mostly goes there as well.
func (w *Writer) follow(t *Tree, left bool, right frame, ln node) {
	d := w.depth
	if left {
		w.path[d].n = ln
		w.fence = d - 1
	} else {
		w.path[d] = right
		w.path[d-1].i++
	}
	w.owner = t
}

// inheritPrefix gives the empty half n of a split the prefix that the keys of the
// old leaf share, as far as c, the cell that will be its first, does too. In a
// sorted load the keys to come share most of it: with the prefix counted as used
// from the start, there is room for it when the leaf is full.
func (n node) inheritPrefix(old node, c newCell, need int) {
	shared := commonPrefix(old.leafKeyStub(0), old.leafKeyStub(old.count()-1))
	pl := min(shared, commonPrefix(usableStub(c.stub, c.flags), old.leafKeyStub(0)))
	if base(pl)+need <= len(n) {
		n.header().SetPrefixLen(pl)
		copy(n[page.HeaderSize:], c.stub[:pl])
	}
}

// splitPoint decides how a leaf is split for a new cell of need bytes, entry
// included, at slot i: slots from m on go right, and left tells which half gets
// the new cell. Ascending and descending insertions leave the side that is done
// full: at the leaf's end the new cell begins a leaf, and what is in the way of a
// run in the middle goes to one of its own. Others leave both halves half full.
//
// Both halves fit, for no cell is longer than half a leaf: a cut nearest to the middle is
// at most half a cell away from it, and together the cells are at most a leaf and a half.
func splitPoint(n node, i, need int, h hint) (m int, left bool) {
	c := n.count()
	room := len(n) - page.HeaderSize
	before, behind := sizeOf(n, 0, i), sizeOf(n, i, c)
	switch {
	case h.asc >= seqStreak && behind > tailMoves(room) && before+need <= room:
		return i, true
	case h.asc >= seqStreak && behind+need <= room:
		return i, false
	case h.desc >= seqStreak && i > 0 && before > tailMoves(room) && behind+need <= room:
		return i, false
	case h.desc >= seqStreak && i < c && before+need <= room:
		return i, true
	}
	half := (n.usedLeaf() + need) / 2
	acc := 0
	for j := range c {
		if j == i {
			if acc+need/2 > half {
				return j, false
			}
			acc += need
			left = true
		}
		cell, _ := n.leafCellBytes(j)
		size := len(cell) + leafEntrySize
		if acc+size/2 > half && (j > 0 || left) {
			return j, left
		}
		acc += size
	}
	return c, left
}

// growing tells whether the cells of n grow in their order, and the one at slot i, to
// need bytes, is in the middle of that or the first of many: those behind it are
// smaller.
func growing(n node, i, need int, h hint) bool {
	behind := n.count() - i
	return h.asc >= seqStreak || int(h.asc) >= i && sizeOf(n, i, n.count())*4 < behind*need*3
}

// growthPoint is splitPoint for a cell that grows to need bytes, as the ones before it,
// if there are any, have done: those behind it will do so, too. The left half gets as many of them as it
// will have room for then.
func growthPoint(n node, i, need int) (m int, left bool) {
	acc := sizeOf(n, 0, i) + need
	room := len(n) - page.HeaderSize
	if acc > room {
		return i, false
	}
	for m = i; m < n.count()-1; m++ {
		if acc += max(need, sizeOf(n, m, m+1)); acc > room {
			break
		}
	}
	return m, true
}

// tailMoves is the size up to which what is in the way of a run moves along with
// it: every leaf of the run lacks as much, but none is left with as little.
func tailMoves(room int) int { return room / 16 }

func sizeOf(n node, from, to int) int {
	size, _ := cells{n, from, to}.measure()
	return size + (to-from)*leafEntrySize
}

// splitSeparator returns the shortest separator of the halves of a split in
// which key is inserted at slot i of n, left or right of m. For insertions that
// descend it is the lowest of these, so that the next ones belong to the right
// half, too.
func (w *Writer) splitSeparator(n node, m, i int, left bool, key []byte, low bool) ([]byte, error) {
	a, b := key, key
	var err error
	if !(left && i == m) { // the last key of the left half is an old one
		if a, err = w.wholeKey(n, m-1); err != nil {
			return nil, err
		}
	}
	if left || i != m { // the first key of the right half is an old one
		if b, err = w.wholeKey(n, m); err != nil {
			return nil, err
		}
	}
	return w.separator(a, b, low)
}

// separator returns a shortest key that is > a and <= b, the lowest or the
// highest. Only in a damaged file a is not < b.
func (w *Writer) separator(a, b []byte, low bool) ([]byte, error) {
	same := commonPrefix(a, b)
	if same == len(b) || same < len(a) && a[same] > b[same] {
		return nil, page.Corrupt(w.path[w.depth].id, page.KindLeaf, "keys out of order")
	}
	w.sep = append(w.sep[:0], b[:same+1]...)
	if low && same < len(a) {
		w.sep[same] = a[same] + 1
	} else if low {
		w.sep[same] = 0
	}
	return w.sep, nil
}

func (w *Writer) wholeKey(n node, i int) ([]byte, error) {
	c := n.leafCell(i)
	if c.keyRef == nil {
		return c.key, nil
	}
	return keyRun(w.s, c.keyRef, c.key)
}

// insertAbove enters the split of the node at depth d, now ln and the new page
// rightID with rn, into its parent, and counts the new cell on the way up. It tells
// whether the nodes above are the ones that they were.
func (w *Writer) insertAbove(t *Tree, d int, sep []byte, rightID page.ID, ln, rn node, c newCell) (inPlace bool, err error) {
	e := entry{sep: sep, id: rightID}
	if len(sep) > w.lim.inlineKey {
		e.ref = w.newKeyRun(sep)
		e.sep = sep[:w.lim.stubKey]
	}
	for {
		lcount, lflags := ln.tally()
		rcount, rflags := rn.tally()
		e.tally = rcount | uint64(rflags)<<countBits
		if d == 0 {
			return false, w.newRoot(t, ln, e)
		}
		d--
		f := &w.path[d]
		f.n.setChildTally(f.i, lcount, lflags)
		if f.n.insertEntry(f.i+1, e) {
			f.n.setHint(f.n.hint().inserted(f.i + 1))
			inPlace = d == w.depth-1
			break
		}
		w.arena = w.arena[:0]
		w.list = f.n.entries(w.list[:0], &w.arena)
		w.list = append(w.list, entry{})
		copy(w.list[f.i+2:], w.list[f.i+1:])
		w.list[f.i+1] = e
		h := f.n.hint().inserted(f.i + 1)
		dst := node(w.s.Spare())
		if layoutBranch(dst, f.n.level(), w.list) {
			dst.setHint(h)
			w.s.Replace(f.id, page.Page(dst))
			break
		}
		e, ln, rn = w.splitBranch(f, dst, h)
	}
	for d--; d >= 0; d-- {
		f := &w.path[d]
		f.n.addTally(f.i, c.added, c.flags)
	}
	return inPlace, nil
}

// splitBranch lays w.list, too much for one branch, out as two: in dst, which
// becomes the page of f, and in a new one. It returns the new one's entry.
func (w *Writer) splitBranch(f *frame, dst node, h hint) (entry, node, node) {
	list := w.list
	m := branchSplitPoint(list, int(h.last), h, len(dst))
	id, rp := w.s.Allocate()
	level := f.n.level()
	if !layoutBranch(dst, level, list[:m]) || !layoutBranch(node(rp), level, list[m:]) {
		panic("folio: broken invariant: half of a split branch does not fit into a page")
	}
	if int(h.last) >= m {
		node(rp).setHint(hint{h.last - uint16(m), h.asc, h.desc})
	} else {
		dst.setHint(h)
	}
	w.s.Replace(f.id, page.Page(dst))
	// The separator goes up in memory that the next level's decoding does not
	// overwrite.
	e := entry{id: id, sep: bytes.Clone(list[m].sep), ref: bytes.Clone(list[m].ref)}
	return e, dst, node(rp)
}

// branchSplitPoint decides which entry begins the right half, so that both fit
// into room bytes; i is the new one.
func branchSplitPoint(list []entry, i int, h hint, room int) int {
	last := len(list) - 1
	if h.asc >= seqStreak && i == last || h.desc >= seqStreak && i == 1 {
		return i
	}
	m := branchMiddle(list)
	_, lfits := fitPrefix(list[:m], room)
	_, rfits := fitPrefix(list[m:], room)
	if !lfits || !rfits {
		// The new separator spoils the prefix of its half. The others did fit
		// with theirs, so they do when the new one goes up.
		return i
	}
	return m
}

// branchMiddle returns where a list of entries has half of its bytes before it.
func branchMiddle(list []entry) int {
	pl := branchPrefix(list)
	total := branchSize(list, pl) - base(pl)
	acc := 0
	for j, e := range list {
		size := branchEntrySize + max(len(e.sep)-pl-headSize, 0) + len(e.ref)
		if j > 0 && acc+size/2 >= total/2 {
			return j
		}
		acc += size
	}
	return len(list) - 1
}

// newRoot puts a branch above the old root, whose left half is ln.
func (w *Writer) newRoot(t *Tree, ln node, e entry) error {
	if ln.level() >= MaxLevel {
		return page.Corrupt(t.root, page.KindBranch, "the tree is too high")
	}
	lcount, lflags := ln.tally()
	id, p := w.s.Allocate()
	list := [...]entry{{id: t.root, birth: t.birth, tally: lcount | uint64(lflags)<<countBits}, e}
	if !layoutBranch(node(p), ln.level()+1, list[:]) {
		panic("folio: broken invariant: two entries do not fit into a branch")
	}
	t.root = id
	return nil
}
