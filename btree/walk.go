package btree

// This file is responsible for looking at trees and nodes from outside: sizes for
// statistics, and the cells of one node for inspection. Nothing here is needed to
// use a tree.

import (
	"github.com/foliodb/folio/internal/page"
)

// Walker says what Walk does with what it meets.
type Walker struct {
	// Node is called for each node, before what is below it. id is 0 for the leaf
	// of a tree without pages; depth is 1 for the root.
	Node func(id page.ID, n page.Page, depth int) error
	// Run is called for each overflow run that a node of the given kind refers
	// to: a run of size data bytes.
	Run func(id page.ID, size int, from page.Kind) error
	// Bucket is called for each nested bucket; walking it is up to the caller.
	Bucket func(name, payload []byte) error
}

// Walk visits every node of t. It reads no overflow run but those of long keys
// of nested buckets. It ends with the first error, its own or the Walker's.
func (t *Tree) Walk(w *Walker) error {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return err
	}
	return t.walk(w, n, t.root, 1)
}

func (t *Tree) walk(w *Walker, n node, id page.ID, depth int) error {
	if err := w.Node(id, page.Page(n), depth); err != nil {
		return err
	}
	if n.isLeaf() {
		return t.walkLeaf(w, n)
	}
	for i := range n.count() {
		if _, ref, long := n.sepRest(i); long && i > 0 {
			size, run, _ := decodeKeyRef(ref)
			if err := w.Run(run, size, page.KindBranch); err != nil {
				return err
			}
		}
		c, err := t.walkChild(n, i)
		if err != nil {
			return err
		}
		if err := t.walk(w, c, n.childID(i), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) walkLeaf(w *Walker, n node) error {
	if _, flags := n.tally(); flags == 0 {
		return nil
	}
	for i := range n.count() {
		c := n.leafCell(i)
		if c.keyRef != nil {
			size, run, _ := decodeKeyRef(c.keyRef)
			if err := w.Run(run, size, page.KindLeaf); err != nil {
				return err
			}
		}
		if c.flags&FlagValueRun != 0 {
			size, run, _ := decodeValueRef(c.payload)
			if err := w.Run(run, size, page.KindLeaf); err != nil {
				return err
			}
		}
		if c.flags&FlagBucket != 0 {
			name, err := t.key(&c)
			if err != nil {
				return err
			}
			if err := w.Bucket(name, c.payload); err != nil {
				return err
			}
		}
	}
	return nil
}

// Used returns how many bytes of the verified node p are in use.
func Used(p page.Page) int {
	n := node(p)
	if n.isLeaf() {
		return n.base() + n.usedLeaf()
	}
	return n.base() + n.usedBranch()
}

// CellInfo describes a cell of a node. Its slices are parts of the node, but for
// the keys of a branch.
type CellInfo struct {
	// Key is the key of a leaf cell, or the separator of a branch cell, as far
	// as the node holds it. The first separator of a branch is empty: there are
	// no bounds below it.
	Key    []byte
	KeyLen int     // of all of it
	KeyRun page.ID // where all of it is, if not in the node

	// Of a leaf cell:
	Flags    byte
	Value    []byte  // in the node; nil if it is in a run, or a bucket
	ValueLen int     // of all of it; of a bucket, the bytes that it takes here
	ValueRun page.ID // where it is, if not in the node
	Bucket   *Header // of a nested bucket

	// Of a branch cell:
	Child      page.ID
	ChildBirth page.TxID
	ChildKeys  uint64
	ChildFlags byte
}

// Cells returns the cells of p, a node that has passed Verify.
func Cells(p page.Page) []CellInfo {
	n := node(p)
	cells := make([]CellInfo, n.count())
	for i := range cells {
		if n.isLeaf() {
			cells[i] = n.leafCellInfo(i)
		} else {
			cells[i] = n.branchCellInfo(i)
		}
	}
	return cells
}

func (n node) leafCellInfo(i int) CellInfo {
	c := n.leafCell(i)
	info := CellInfo{Key: c.key, KeyLen: len(c.key), Flags: c.flags, ValueLen: len(c.payload)}
	if c.keyRef != nil {
		info.KeyLen, info.KeyRun, _ = decodeKeyRef(c.keyRef)
	}
	switch {
	case c.flags&FlagBucket != 0:
		h := DecodeHeader(c.payload)
		info.Bucket = &h
	case c.flags&FlagValueRun != 0:
		info.ValueLen, info.ValueRun, _ = decodeValueRef(c.payload)
	default:
		info.Value = c.payload
	}
	return info
}

func (n node) branchCellInfo(i int) CellInfo {
	info := CellInfo{
		Child:      n.childID(i),
		ChildBirth: n.childBirth(i),
		ChildKeys:  n.childCount(i),
		ChildFlags: n.childFlags(i),
	}
	if i == 0 {
		return info
	}
	info.Key = n.appendSep(nil, i)
	info.KeyLen = len(info.Key)
	if _, ref, long := n.sepRest(i); long {
		info.KeyLen, info.KeyRun, _ = decodeKeyRef(ref)
	}
	return info
}
