package btree

// This file is responsible for trees without pages: small nested buckets whose
// only leaf lives in their parent's leaf, behind the Header. To be changed, the
// leaf is copied to a buffer of its own, which starts small, because a million
// such buckets may be open in one transaction.

import (
	"github.com/foliodb/folio/internal/page"
)

const firstOwnSize = 256

// ownLeaf makes the own leaf of t, a tree without pages, ours to write.
func (w *Writer) ownLeaf(t *Tree) {
	if t.mine == w.version {
		return
	}
	old := t.own
	t.own = make(node, max(firstOwnSize, (len(old)+firstOwnSize)&^(firstOwnSize-1)))
	t.mine = w.version
	w.copyOwn(t.own, old, 0)
}

// copyOwn lays out the cells of old in dst.
func (w *Writer) copyOwn(dst, old node, reserve int) bool {
	if old == nil {
		dst.header().Init(page.KindLeaf, 0, 1)
		return true
	}
	h := old.hint()
	ok := layoutLeaf(dst, reserve, cells{old, 0, old.count()})
	dst.setHint(h)
	return ok
}

// growOwn gives the own leaf of t, on the path, room for need more bytes. Beyond
// a quarter of a page the tree gets a page.
func (w *Writer) growOwn(t *Tree, need int) bool {
	f := &w.path[0]
	old := t.own
	for size := len(old); size <= w.lim.bucket; size *= 2 {
		dst := make(node, size)
		if w.copyOwn(dst, old, need) {
			t.own, f.n = dst, dst
			return true
		}
	}
	return w.promote(t, need)
}

// promote moves the own leaf of t, on the path, to a page of its own, with need
// bytes free.
func (w *Writer) promote(t *Tree, need int) bool {
	id, p := w.s.Allocate()
	ok := w.copyOwn(node(p), t.own, need)
	t.root, t.birth = id, 0
	t.own, t.mine = nil, 0
	w.path[0].id, w.path[0].n = id, node(p)
	return ok
}

// Pack moves the only leaf of t out of its page if it and the Header take at
// most limit bytes together, and refer to no other page; and into a page if they
// take more. It returns the leaf in its final layout, which follows the Header in
// the parent's leaf; nil if the tree keeps its pages or is empty. When it returns
// a leaf or the tree is empty, the Header's Root is 0.
func (t *Tree) Pack(limit int) ([]byte, error) {
	if t.root != 0 && t.count > uint64(limit) {
		return nil, nil
	}
	n, err := t.rootNode()
	if n == nil || err != nil || !n.isLeaf() {
		return nil, err
	}
	room := limit - HeaderSize - page.HeaderSize - n.usedLeaf()
	if _, flags := n.tally(); flags != 0 || room < 0 {
		if t.root == 0 {
			t.w.owner = nil
			t.w.promote(t, 0)
			t.mods++
		}
		return nil, nil
	}
	// As much of the prefix as still fits: it costs bytes in every such bucket.
	pl := 0
	if n.count() > 1 {
		pl = min(prefixOf([]cells{{n, 0, n.count()}}, 0), room&^3)
	}
	dst := make(node, base(pl)+n.usedLeaf())
	if !layoutLeaf(dst, 0, cells{n, 0, n.count()}) {
		return nil, nil
	}
	if t.root != 0 {
		t.w.s.Free(t.root, 1, t.birth)
	}
	t.w.owner = nil
	t.mods++
	t.root, t.birth = 0, 0
	t.own, t.mine = dst, t.w.version
	return dst, nil
}
