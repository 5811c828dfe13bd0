package freelist

import (
	"github.com/google/btree"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for sets of extents as trees: long ones, which are few,
// and all of them while a list is loaded, when nothing bounds yet where they are. Rules:
//
//	F1  Extents of a set never overlap.
//	F2  Two neighbours never touch: they would be one extent.

// treeDegree was measured on a million extents: 32 to 128 are alike, less is
// slower.
const treeDegree = 32

// positions is a set of extents ordered by position. The key is the end of an
// extent, so that taking pages from the low end leaves the key as it is.
type positions struct {
	tree *btree.BTreeG[Extent]
}

func newPositions() positions {
	return positions{btree.NewG(treeDegree, func(a, b Extent) bool { return a.End() < b.End() })}
}

// endingAbove returns the lowest extent that ends above id.
func (p positions) endingAbove(id page.ID) (x Extent, ok bool) {
	p.tree.AscendGreaterOrEqual(Extent{Start: id + 1}, func(e Extent) bool {
		x, ok = e, true
		return false
	})
	return x, ok
}

// overlaps tells whether any page of e is in the set.
func (p positions) overlaps(e Extent) bool {
	x, ok := p.endingAbove(e.Start)
	return ok && x.Start < e.End()
}

// end returns the end of the highest extent, or 0.
func (p positions) end() page.ID {
	x, _ := p.tree.Max()
	return x.End()
}

// add puts e, which must not overlap the set (F1), into it.
func (p positions) add(e Extent) {
	var low, high Extent // the neighbours that touch e
	p.tree.AscendGreaterOrEqual(Extent{Start: e.Start}, func(x Extent) bool {
		if x.End() == e.Start {
			low = x
			return true
		}
		if x.Start == e.End() {
			high = x
		}
		return false
	})
	if low.Len > 0 {
		p.tree.Delete(low)
		e = Extent{Start: low.Start, Len: low.Len + e.Len}
	}
	e.Len += high.Len
	p.tree.ReplaceOrInsert(e) // in the place of high, which ends where e does
}

// remove takes e out of the set and reports whether all of it was there. If
// not, nothing changes.
func (p positions) remove(e Extent) bool {
	x, ok := p.endingAbove(e.End() - 1)
	if !ok || x.Start > e.Start {
		return false
	}
	if x.End() > e.End() {
		p.tree.ReplaceOrInsert(Extent{Start: e.End(), Len: uint64(x.End() - e.End())}) // replaces x
	} else {
		p.tree.Delete(x)
	}
	if x.Start < e.Start {
		p.tree.ReplaceOrInsert(Extent{Start: x.Start, Len: uint64(e.Start - x.Start)})
	}
	return true
}
