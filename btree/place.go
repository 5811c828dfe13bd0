package btree

// This file is responsible for what happens to a node on its way to the file:
// its final layout, and the references in it, which name dirty pages until a
// commit has decided where everything goes.

import (
	"iter"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/prefetch"
)

// Layout writes the dirty node src as it shall be in the file to dst, another
// buffer of the same size: cells in key order without holes, zeroes between.
func Layout(dst, src page.Page) {
	d, s := node(dst), node(src)
	if s.isLeaf() {
		prefetch.Lines(s) // a large transaction's pages have left the caches
		copyLeaf(d, s)
		if d.bestLeafPrefix() { // a copy in the cache
			return
		}
		h := s.hint()
		if !layoutLeaf(d, 0, cells{s, 0, s.count()}) {
			panic("folio: broken invariant: the cells of a leaf do not fit into a leaf")
		}
		d.setHint(h)
		return
	}
	if s.tidy() {
		copy(d, s)
		return
	}
	if s.bestPrefix() {
		copyBranch(d, s)
		clear(d[page.HeaderSize+s.prefixLen() : s.base()])
		return
	}
	c := s.count() // and memory for all of them at once
	list, arena := make([]entry, 0, c), make([]byte, 0, c*(s.prefixLen()+headSize))
	h := s.hint()
	if !layoutBranch(d, s.level(), s.entries(list, &arena)) {
		panic("folio: broken invariant: the entries of a branch do not fit into a branch")
	}
	d.setHint(h)
}

// Ref is a reference from a node to another page.
type Ref struct {
	ID    page.ID
	Birth page.TxID
	Bytes int  // data bytes of an overflow run; 0: a node
	Flags byte // what a leaf below a child may have; all for other references
}

// Refs calls fn for each reference in p to a page whose id has a bit of mask:
// children, roots of nested buckets, overflow runs. A mask of zero stands for all.
func Refs(p page.Page, mask page.ID, fn func(Ref)) {
	rewrite(node(p), mask, func(r Ref) (page.ID, page.TxID) {
		fn(r)
		return r.ID, r.Birth
	}, false)
}

// ChildIDs are the ids of the children of a branch, as they lie in it. A commit that has
// the branch in its hands anyway can give children other places.
type ChildIDs []byte

// Children returns the ids of the children of p, none if it is a leaf.
func Children(p page.Page) ChildIDs {
	n := node(p)
	if n.isLeaf() {
		return nil
	}
	c, b := n.count(), n.base()
	return ChildIDs(n[branchIDs(b, c):][:8*c])
}

// Len returns how many there are, and At the i-th.
func (c ChildIDs) Len() int         { return len(c) / 8 }
func (c ChildIDs) At(i int) page.ID { return page.ID(le.Uint64(c[8*i:])) }

// Set makes id the i-th.
func (c ChildIDs) Set(i int, id page.ID) { le.PutUint64(c[8*i:], uint64(id)) }

// next returns the first one from i on that has a bit of mask, Len if there is none. A mask
// of zero stands for all. It looks at four at a time, for hardly any has one.
func (c ChildIDs) next(i int, mask page.ID) int {
	if mask == 0 {
		return i
	}
	for ; 8*(i+4) <= len(c); i += 4 {
		four := c[8*i:][:32]
		if page.ID(le.Uint64(four)|le.Uint64(four[8:])|le.Uint64(four[16:])|le.Uint64(four[24:]))&mask != 0 {
			break
		}
	}
	for i < c.Len() && c.At(i)&mask == 0 {
		i++
	}
	return i
}

// ChildBirth returns the transaction that the i-th child of branch p is from.
func ChildBirth(p page.Page, i int) page.TxID { return node(p).childBirth(i) }

// plainRun returns the run that the value of the cell at off is in, which has kl key bytes and
// no flag but FlagValueRun.
func (n node) plainRun(off, kl int) page.ID {
	return page.ID(le.Uint64(n[off+leafCellHeader+kl+offRefID:]))
}

// ValueRuns returns the runs that values of leaf p are in, with the cell of each, but for
// those with long keys.
func ValueRuns(p page.Page) iter.Seq2[int, Ref] {
	return func(yield func(i int, r Ref) bool) {
		n := node(p)
		c := n.count()
		slots := n[leafSlots(n.base(), c):]
		for i := range c {
			v := le.Uint32(slots[slotSize*i:])
			off, kl := int(v&0xffff), int(v>>16)
			if n[off] != FlagValueRun {
				continue
			}
			size, id, birth := decodeValueRef(n[off+leafCellHeader+kl:])
			if !yield(i, Ref{id, birth, size, flagsKnown}) {
				return
			}
		}
	}
}

// SetValueRun makes cell i of leaf p, a dirty one whose value is in a run, refer to run id
// instead, which has the same bytes.
func SetValueRun(p page.Page, i int, id page.ID) {
	ref := node(p).leafCell(i).payload
	size, _, birth := decodeValueRef(ref)
	encodeValueRef(ref, size, id, birth)
}

// SetRefs replaces each reference in p to a page whose id has a bit of mask by what
// fn returns for it. A mask of zero stands for all.
func SetRefs(p page.Page, mask page.ID, fn func(Ref) (page.ID, page.TxID)) {
	rewrite(node(p), mask, fn, true)
}

func rewrite(n node, mask page.ID, fn func(Ref) (page.ID, page.TxID), write bool) {
	only := func(r Ref) (page.ID, page.TxID) {
		if mask != 0 && r.ID&mask == 0 {
			return r.ID, r.Birth
		}
		return fn(r)
	}
	c, b := n.count(), n.base()
	if n.isLeaf() {
		slots := n[leafSlots(b, c):]
		for i := range c {
			v := le.Uint32(slots[slotSize*i:])
			off, kl := int(v&0xffff), int(v>>16)
			switch f := n[off]; {
			case f == 0:
			case f == FlagValueRun && mask != 0 && n.plainRun(off, kl)&mask == 0: // as most are
			default:
				rewriteCell(n.leafCellAt(off, kl), only, write)
			}
		}
		return
	}
	if slots := n[branchSlots(b, c):][:slotSize*c]; anyRun(slots) {
		for i := 1; i < c; i++ {
			if _, ref, long := n.sepRest(i); long {
				rewriteKey(ref, only, write)
			}
		}
	}
	// Most children of a branch that goes to the file are there already, so this
	// looks at one array and little else.
	ids := Children(page.Page(n))
	for i := ids.next(0, mask); i < c; i = ids.next(i+1, mask) {
		id, birth := fn(Ref{ID: ids.At(i), Birth: n.childBirth(i), Flags: n.childFlags(i)})
		if write {
			n.setChildID(i, id)
			n.setChildBirth(i, birth)
		}
	}
}

// anyRun tells whether any of the slots of a branch may have a separator with a run:
// hardly any has, and of all at once that is soon found out.
func anyRun(slots []byte) bool {
	var all uint64
	for ; len(slots) >= 2*slotSize; slots = slots[2*slotSize:] {
		all |= le.Uint64(slots)
	}
	if len(slots) > 0 {
		all |= uint64(le.Uint32(slots))
	}
	return (all|all>>32)>>16&sepRunBit != 0
}

func rewriteKey(ref []byte, fn func(Ref) (page.ID, page.TxID), write bool) {
	size, id, birth := decodeKeyRef(ref)
	id, birth = fn(Ref{id, birth, size, flagsKnown})
	if write {
		encodeKeyRef(ref, size, id, birth)
	}
}

func rewriteCell(c leafCell, fn func(Ref) (page.ID, page.TxID), write bool) {
	if c.flags&FlagKeyRun != 0 {
		rewriteKey(c.keyRef, fn, write)
	}
	switch {
	case c.flags&FlagValueRun != 0:
		size, id, birth := decodeValueRef(c.payload)
		id, birth = fn(Ref{id, birth, size, flagsKnown})
		if write {
			encodeValueRef(c.payload, size, id, birth)
		}
	case c.flags&FlagBucket != 0:
		h := DecodeHeader(c.payload)
		if h.Root == 0 {
			return
		}
		h.Root, h.Birth = fn(Ref{ID: h.Root, Birth: h.Birth, Flags: flagsKnown})
		if write {
			h.Encode(c.payload)
		}
	}
}
