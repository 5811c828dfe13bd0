package btree

// This file is responsible for what happens to a node on its way to the file:
// its final layout, and the references in it, which name dirty pages until a
// commit has decided where everything goes.

import (
	"github.com/foliodb/folio/internal/page"
)

// Layout writes the dirty node src as it shall be in the file to dst, another
// buffer of the same size: cells in key order without holes, zeroes between.
func Layout(dst, src page.Page) {
	d, s := node(dst), node(src)
	h := s.hint()
	if s.isLeaf() {
		if !layoutLeaf(d, 0, cells{s, 0, s.count()}) {
			panic("folio: broken invariant: the cells of a leaf do not fit into a leaf")
		}
		d.setHint(h)
		return
	}
	if s.bestPrefix() {
		copyBranch(d, s)
		clear(d[page.HeaderSize+s.prefixLen() : s.base()])
		return
	}
	var arena []byte
	if !layoutBranch(d, s.level(), s.entries(nil, &arena)) {
		panic("folio: broken invariant: the entries of a branch do not fit into a branch")
	}
	d.setHint(h)
}

// Ref is a reference from a node to another page.
type Ref struct {
	ID    page.ID
	Birth page.TxID
	Bytes int // data bytes of an overflow run; 0: a node
}

// Refs calls fn for each reference in p: children, roots of nested buckets,
// overflow runs.
func Refs(p page.Page, fn func(Ref)) {
	rewrite(node(p), func(r Ref) (page.ID, page.TxID) {
		fn(r)
		return r.ID, r.Birth
	}, false)
}

// SetRefs replaces each reference in p by what fn returns for it.
func SetRefs(p page.Page, fn func(Ref) (page.ID, page.TxID)) { rewrite(node(p), fn, true) }

func rewrite(n node, fn func(Ref) (page.ID, page.TxID), write bool) {
	if n.isLeaf() {
		for i := range n.count() {
			if off, _ := n.leafSlot(i); n[off] != 0 {
				rewriteCell(n.leafCell(i), fn, write)
			}
		}
		return
	}
	for i := range n.count() {
		if _, ref, long := n.sepRest(i); long && i > 0 {
			rewriteKey(ref, fn, write)
		}
		id, birth := fn(Ref{ID: n.childID(i), Birth: n.childBirth(i)})
		if write {
			n.setChildID(i, id)
			n.setChildBirth(i, birth)
		}
	}
}

func rewriteKey(ref []byte, fn func(Ref) (page.ID, page.TxID), write bool) {
	size, id, birth := decodeKeyRef(ref)
	id, birth = fn(Ref{id, birth, size})
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
		id, birth = fn(Ref{id, birth, size})
		if write {
			encodeValueRef(c.payload, size, id, birth)
		}
	case c.flags&FlagBucket != 0:
		h := DecodeHeader(c.payload)
		if h.Root == 0 {
			return
		}
		h.Root, h.Birth = fn(Ref{ID: h.Root, Birth: h.Birth})
		if write {
			h.Encode(c.payload)
		}
	}
}
