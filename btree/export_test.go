package btree

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// RawCell is a leaf cell, or a branch entry with Key as its separator, for tests
// that build nodes which no tree would.
type RawCell struct {
	Key     []byte // all of it, or the stub
	Flags   byte   // of a leaf cell; of an entry, what lies below
	Ref     []byte // key reference or nil
	Payload []byte
	Child   page.ID
	Count   uint64
}

// KeyRef and ValueRef encode references to runs born in 0.
func KeyRef(n int, id page.ID) []byte {
	ref := make([]byte, keyRefSize)
	encodeKeyRef(ref, n, id, 0)
	return ref
}

func ValueRef(n int, id page.ID) []byte {
	ref := make([]byte, valueRefSize)
	encodeValueRef(ref, n, id, 0)
	return ref
}

// BuildNode lays out as many of the cells as fit and pass for ascending, with at
// most prefix bytes of prefix.
func BuildNode(size, level, prefix int, list []RawCell) page.Page {
	dst := make(node, size)
	if level > 0 {
		buildBranch(dst, level, list)
		return page.Page(dst)
	}
	dst.header().Init(page.KindLeaf, 0, 1)
	var last []byte
	for _, c := range list {
		if len(last) > 0 && !inOrder(last, c.Key, c.Ref != nil) {
			continue
		}
		cell := dst.addLeafCell(dst.count(), c.Key, c.Flags, len(c.Payload))
		if cell == nil {
			break
		}
		copy(cell[leafCellHeader+len(c.Key):], c.Ref)
		copy(cell[len(cell)-len(c.Payload):], c.Payload)
		last = c.Key
	}
	out := make(node, size)
	layoutLeaf(out, 0, cells{dst, 0, dst.count()})
	if out.prefixLen() > prefix {
		out.shortenPrefix(prefix)
	}
	return page.Page(out)
}

func buildBranch(dst node, level int, raw []RawCell) {
	var list []entry
	for i, c := range raw {
		e := entry{sep: c.Key, ref: c.Ref, id: c.Child, tally: c.Count | uint64(c.Flags)<<countBits}
		if i > 1 && !inOrder(list[len(list)-1].sep, e.sep, e.ref != nil) {
			continue
		}
		if next := append(list, e); branchSize(next, branchPrefix(next)) <= len(dst) {
			list = next
		}
	}
	layoutBranch(dst, level, list)
}

// ReadAll reads n, which passed Verify, in every way there is.
func ReadAll(r Reader, p page.Page, keys [][]byte) {
	n := node(p)
	_, _ = n.tally()
	_, _, _, _, _ = n.keys(), n.gap(), n.hint(), n.prefix(), n.bestPrefix()
	Refs(p, 0, func(Ref) {})
	for _, key := range keys {
		if n.isLeaf() {
			_, _, _ = n.searchLeaf(r, key)
		} else {
			_, _ = n.searchBranch(r, key)
		}
	}
	for i := range n.count() {
		if n.isLeaf() {
			_, _ = n.leafCellBytes(i)
			c := n.leafCell(i)
			_, _, _ = n.searchLeaf(r, c.key)
			continue
		}
		_, _ = n.searchBranch(r, n.appendSep(nil, i))
		_ = n.countBefore(i)
	}
	dst := page.Page(bytes.Repeat([]byte{0xDB}, len(p)))
	Layout(dst, p)
	if n.isLeaf() {
		_ = n.usedLeaf()
		return
	}
	var arena []byte
	if !layoutBranch(node(dst), n.level(), n.entries(nil, &arena)) {
		panic("the entries of a branch do not fit into a branch")
	}
}

// Untidy makes Layout look at all of branch p.
func Untidy(p page.Page) { node(p).setTidy(false) }

// Key returns the key that the cursor of a writable tree is on, or nil.
func (c *Cursor) Key() []byte {
	if c.pos != onKey {
		return nil
	}
	return c.key
}

// Open returns the read-only tree of h.
func Open(r Reader, h Header, own []byte) *Tree {
	t := &Tree{}
	t.Init(r, h, own)
	return t
}

func (c ChildIDs) Next(i int, mask page.ID) int { return c.next(i, mask) }
