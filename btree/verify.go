package btree

// This file is responsible for the border between bytes and nodes: what passes
// Verify can be read by node.go without another check. It runs when a page is
// touched for the first time, on every page of a hostile file as well.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// Verify checks that p is a well-formed node in a file whose pages end at
// highWater: every offset and length lies inside, keys ascend, children and runs
// lie in the file. It does not look at the checksum, and not at other pages.
func Verify(p page.Page, id, highWater page.ID) error {
	v := verifier{n: node(p), lim: limitsFor(len(p)), highWater: highWater}
	detail := v.node(p.Kind())
	if detail == "" {
		return nil
	}
	return page.Corrupt(id, p.Kind(), "%s", detail)
}

type verifier struct {
	n         node
	lim       limits
	highWater page.ID
}

func (v *verifier) node(kind page.Kind) string {
	n := v.n
	switch {
	case len(n) < page.MinSize || len(n) > page.MaxSize:
		return "not a page"
	case kind == page.KindLeaf && n.level() != 0, kind == page.KindBranch && n.level() == 0,
		kind != page.KindLeaf && kind != page.KindBranch, n.level() > MaxLevel:
		return "not a node: kind and level do not match"
	case n.header().RunLen() != 1:
		return "a node of more than one page"
	case n.count() == 0:
		return "an empty node"
	}
	if n.isLeaf() {
		return v.leaf(true)
	}
	return v.branch()
}

// arrays checks that prefix, arrays and cells lie behind each other.
func (v *verifier) arrays(entrySize int) string {
	n := v.n
	if n.prefixLen() > v.lim.inlineKey || base(n.prefixLen())+n.count()*entrySize+n.header().CellBytes() > len(n) {
		return "the arrays reach into the cells"
	}
	return ""
}

// leaf checks a leaf. References to other pages are refused if refs is false, as
// they are in the leaf of a nested bucket.
func (v *verifier) leaf(refs bool) string {
	if d := v.arrays(leafEntrySize); d != "" {
		return d
	}
	n := v.n
	b, c, pl := n.base(), n.count(), n.prefixLen()
	end := len(n) - n.header().CellBytes() // of the cell before
	var last leafCell
	for i := range c {
		off, kl := n.leafSlot(i)
		if off != end || off+leafCellHeader > len(n) {
			return "cells do not lie one behind the other"
		}
		size := leafCellHeader + kl + int(le.Uint16(n[off+1:]))
		if n[off]&FlagKeyRun != 0 {
			size += keyRefSize
		}
		if size > len(n)-off || size > v.lim.cell {
			return "a cell is too long"
		}
		end = off + size
		cell := n.leafCellAt(off, kl)
		if d := v.leafCell(cell, refs); d != "" {
			return d
		}
		if !bytes.HasPrefix(cell.key, n.prefix()) {
			return "a key without the node's prefix"
		}
		if head(cell.key[pl:]) != le.Uint32(n[b+headSize*i:]) {
			return "a head that is not its key's"
		}
		if i > 0 && !inOrder(last.key, cell.key, cell.keyRef != nil) {
			return "keys out of order"
		}
		last = cell
	}
	if end != len(n) {
		return "the cells do not end with the node"
	}
	return ""
}

// inOrder tells whether the key with stub a can be < the key with stub b. What
// only the run of a long key could decide is for Check, which may read other
// pages: a longer stub a that begins with all of b may be before a long b.
func inOrder(a, b []byte, bLong bool) bool {
	m := min(len(a), len(b))
	if c := bytes.Compare(a[:m], b[:m]); c != 0 {
		return c < 0
	}
	return len(a) < len(b) || bLong
}

func (v *verifier) leafCell(c leafCell, refs bool) string {
	switch {
	case c.flags&^flagsKnown != 0, c.flags&FlagBucket != 0 && c.flags&FlagValueRun != 0:
		return "unknown cell flags"
	case c.flags != 0 && !refs:
		return "a nested bucket's own leaf refers to other pages"
	case len(c.key) == 0 || len(c.key) > v.lim.inlineKey:
		return "a key of impossible length"
	}
	if c.flags&FlagKeyRun != 0 {
		if d := v.keyRef(c.keyRef, len(c.key)); d != "" {
			return d
		}
		if v.n.prefixLen()+headSize > len(c.key) {
			return "the prefix covers a whole key stub"
		}
	}
	if c.flags&FlagValueRun != 0 {
		if len(c.payload) != valueRefSize {
			return "a value reference of impossible length"
		}
		n, id, birth := decodeValueRef(c.payload)
		if n <= 0 || n > MaxValueSize || !v.run(id, n) {
			return "a value outside the file"
		}
		if birth > v.n.header().TxID() {
			return "a value younger than its leaf"
		}
	}
	if c.flags&FlagBucket != 0 {
		return v.bucket(c.payload)
	}
	return ""
}

func (v *verifier) keyRef(ref []byte, stub int) string {
	n, id, birth := decodeKeyRef(ref)
	if n > MaxKeySize || n <= v.lim.inlineKey || stub > v.lim.stubKey {
		return "a key reference of impossible length"
	}
	if !v.run(id, n) {
		return "a key outside the file"
	}
	if birth > v.n.header().TxID() {
		return "a key younger than its node"
	}
	return ""
}

// run tells whether a run of n data bytes at id lies in the file.
func (v *verifier) run(id page.ID, n int) bool {
	pages := page.ID(RunPages(n, v.lim.pageSize))
	return id >= page.FirstID && id < v.highWater && pages <= v.highWater-id
}

// bucket checks the payload of a nested bucket.
func (v *verifier) bucket(b []byte) string {
	if len(b) < HeaderSize {
		return "a bucket header of impossible length"
	}
	h := DecodeHeader(b)
	own := b[HeaderSize:]
	if h.Root != 0 {
		if len(own) != 0 || h.Root < page.FirstID || h.Root >= v.highWater {
			return "a bucket outside the file"
		}
		if h.Count == 0 || h.Count > v.maxKeys() || h.Birth > v.n.header().TxID() {
			return "a bucket with an impossible header"
		}
		return ""
	}
	if len(own) == 0 {
		if h.Count != 0 {
			return "a bucket without a tree but with keys"
		}
		return ""
	}
	if len(own) < page.HeaderSize {
		return "a bucket's leaf of impossible length"
	}
	p := page.Page(own)
	if p.Kind() != page.KindLeaf || p.Level() != 0 || p.Count() == 0 || uint64(p.Count()) != h.Count {
		return "a bucket's leaf is not a leaf"
	}
	in := verifier{n: node(own), lim: v.lim, highWater: v.highWater}
	return in.leaf(false)
}

// maxKeys is more than the file can hold. It bounds what walks may meet.
func (v *verifier) maxKeys() uint64 {
	return uint64(v.highWater) * uint64(v.lim.pageSize/(leafEntrySize+leafCellHeader+1))
}

func (v *verifier) branch() string {
	if d := v.arrays(branchEntrySize); d != "" {
		return d
	}
	n := v.n
	b, c := n.base(), n.count()
	end := len(n) - n.header().CellBytes() // of the cell before
	var keys uint64
	for i := range c {
		if d := v.child(i); d != "" {
			return d
		}
		// Bounded in each step, so it cannot overflow.
		if keys += n.childCount(i); keys > v.maxKeys() {
			return "more keys than the file can hold"
		}
		off, length, long := n.branchSlot(i)
		if i == 0 {
			if length != 0 || long || le.Uint32(n[b:]) != 0 {
				return "the first child has a separator"
			}
			continue
		}
		size := max(length-headSize, 0)
		if long {
			size += keyRefSize
		}
		if size > 0 {
			if off < end || size > len(n)-off {
				return "a separator lies outside the cell area or over another one"
			}
			end = off + size
		}
		if d := v.separator(i, length, long); d != "" {
			return d
		}
	}
	return v.separatorOrder()
}

func (v *verifier) child(i int) string {
	n := v.n
	if id := n.childID(i); id < page.FirstID || id >= v.highWater {
		return "a child outside the file"
	}
	if n.childBirth(i) > n.header().TxID() {
		return "a child younger than its parent"
	}
	if n.childCount(i) == 0 || n.childFlags(i)&^flagsKnown != 0 {
		return "a child with an impossible tally"
	}
	return ""
}

// separator checks separator i >= 1, whose bytes are known to lie in the node.
func (v *verifier) separator(i, length int, long bool) string {
	n := v.n
	stub := n.prefixLen() + length
	if h := le.Uint32(n[n.base()+headSize*i:]); length < headSize && h<<(8*length) != 0 {
		return "a head that goes on behind its separator"
	}
	if !long {
		if stub == 0 || stub > v.lim.inlineKey {
			return "a separator of impossible length"
		}
		return ""
	}
	if length < headSize {
		return "the prefix covers a whole separator stub"
	}
	_, ref, _ := n.sepRest(i)
	return v.keyRef(ref, stub)
}

func (v *verifier) separatorOrder() string {
	n := v.n
	var a, b []byte
	heads := n[n.base():]
	for i := 2; i < n.count(); i++ {
		h, before := le.Uint32(heads[headSize*i:]), le.Uint32(heads[headSize*(i-1):])
		if before < h {
			continue
		}
		a, b = n.appendSuffix(a[:0], i-1), n.appendSuffix(b[:0], i)
		if _, _, long := n.branchSlot(i); !inOrder(a, b, long) {
			return "separators out of order"
		}
	}
	return ""
}
