package folio

// This file is responsible for the public view of pages: for kvctl, page maps and
// the curious.

import (
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// PageInfo describes a page.
type PageInfo struct {
	ID            int
	Type          string // "meta", "branch", "leaf", "overflow", "freelist" or "free"
	Count         int    // cells of a node
	OverflowCount int    // further pages of the run that begins here
	Level         int    // of a node above the leaves
	TxID          int    // that wrote it
	Used          int    // bytes of a node, its header included
	PrefixLen     int    // bytes shared by the keys of a node
	Err           error  // what is wrong with it, if anything
}

// Page describes page id as the file holds it now; nil if there is no such page.
// The page need not belong to the transaction's snapshot; if it is free, or inside
// of a run, its description is of leftovers. The error is of reading it; damage is
// in PageInfo.Err.
func (tx *Tx) Page(id int) (*PageInfo, error) {
	if tx.db == nil {
		return nil, ErrTxClosed
	}
	m := &tx.snap.meta
	if id < 0 || page.ID(id) >= m.HighWater {
		return nil, nil
	}
	info := &PageInfo{ID: id, Type: "meta"}
	if id < page.NumMetas {
		return info, nil
	}
	p := make(page.Page, tx.db.pageSize)
	if err := tx.db.pager.ReadAt(p, page.ID(id)); err != nil {
		return nil, err
	}
	info.Type = p.Kind().String()
	info.Level, info.TxID = p.Level(), int(p.TxID())
	if n := p.RunLen(); n > 1 {
		info.OverflowCount = int(n) - 1
	}
	switch p.Kind() {
	case page.KindBranch, page.KindLeaf:
		if p.ComputeChecksum(page.ID(id), m.FileID) != p.Checksum() {
			info.Err = page.Corrupt(page.ID(id), p.Kind(), "wrong checksum")
		} else if info.Err = btree.Verify(p, page.ID(id), m.HighWater); info.Err == nil {
			info.Count, info.PrefixLen, info.Used = p.Count(), p.PrefixLen(), btree.Used(p)
		}
	case page.KindOverflow, page.KindFreelist:
	default:
		info.Err = page.Corrupt(page.ID(id), 0, "no page of a known kind")
	}
	return info, nil
}

// Root returns the page of the root of the bucket's tree, for Tx.Page: 0 if the tree
// is in the leaf of the bucket's parent, or has been changed and has no place in the
// file yet.
func (b *Bucket) Root() int {
	id := b.tree.Header().Root
	if b.usable() != nil || id&dirtyBit != 0 {
		return 0
	}
	return int(id)
}
