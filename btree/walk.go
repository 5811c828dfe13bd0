package btree

// This file is responsible for looking at trees from outside: sizes for statistics.
// Nothing here is needed to use a tree.

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
