package freelist

import (
	"slices"

	"github.com/google/btree"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for sets of extents in memory: ordered by position,
// and, where pages are handed out, by size. Rules:
//
//	F1  Extents of a set never overlap.
//	F2  In a space, two neighbours never touch: they would be one extent.
//	F3  Both trees of a space hold the same extents.
//	F4  The page counts are the sums of the lengths.

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

// endingAt returns the extent that ends exactly at id.
func (p positions) endingAt(id page.ID) (Extent, bool) {
	return p.tree.Get(Extent{Start: id})
}

// overlaps tells whether any page of e is in the set.
func (p positions) overlaps(e Extent) bool {
	x, ok := p.endingAbove(e.Start)
	return ok && x.Start < e.End()
}

// within returns the parts of e that are in the set.
func (p positions) within(e Extent) (parts []Extent) {
	p.tree.AscendGreaterOrEqual(Extent{Start: e.Start + 1}, func(x Extent) bool {
		if x.Start >= e.End() {
			return false
		}
		start := max(x.Start, e.Start)
		parts = append(parts, Extent{Start: start, Len: uint64(min(x.End(), e.End()) - start)})
		return true
	})
	return parts
}

// end returns the end of the highest extent, or 0.
func (p positions) end() page.ID {
	x, _ := p.tree.Max()
	return x.End()
}

// space is a set of pages that can be handed out.
type space struct {
	positions
	sizes   *btree.BTreeG[Extent] // by (Len, Start); nil until indexSizes
	pages   uint64
	windows windows
}

func newSpace() space { return space{positions: newPositions()} }

// indexSizes builds the order by size, which a space needs before pages are
// handed out. Filling the set first and indexing once is cheaper than keeping
// both orders while it changes.
func (s *space) indexSizes() {
	s.sizes = btree.NewG(treeDegree, func(a, b Extent) bool {
		return a.Len < b.Len || a.Len == b.Len && a.Start < b.Start
	})
	// Few lengths are common to most extents, so this beats sorting.
	byLen := make(map[uint64][]Extent)
	s.tree.Ascend(func(e Extent) bool {
		s.windows.change(e, 1)
		byLen[e.Len] = append(byLen[e.Len], e)
		return true
	})
	lens := make([]uint64, 0, len(byLen))
	for n := range byLen {
		lens = append(lens, n)
	}
	slices.Sort(lens)
	for _, n := range lens {
		for _, e := range byLen[n] {
			s.sizes.ReplaceOrInsert(e)
		}
	}
}

// add puts e, which must not overlap the set (F1), into it.
func (s *space) add(e Extent) {
	s.pages += e.Len
	if s.sizes != nil {
		s.windows.change(e, 1)
	}
	low, high := s.neighbours(e)
	if low.Len > 0 {
		s.tree.Delete(low)
		s.unindex(low)
		e = Extent{Start: low.Start, Len: low.Len + e.Len}
	}
	if high.Len > 0 {
		s.unindex(high) // in the tree, e takes its place: it ends where high did
		e.Len += high.Len
	}
	s.tree.ReplaceOrInsert(e)
	s.index(e)
}

// neighbours returns the extents that touch e, which is not in the set, from below
// and from above.
func (s *space) neighbours(e Extent) (low, high Extent) {
	s.tree.AscendGreaterOrEqual(Extent{Start: e.Start}, func(x Extent) bool {
		if x.End() == e.Start {
			low = x
			return true
		}
		if x.Start == e.End() {
			high = x
		}
		return false
	})
	return low, high
}

// remove takes e out of the set and reports whether all of it was there. If
// not, nothing changes.
func (s *space) remove(e Extent) bool {
	x, ok := s.endingAbove(e.End() - 1)
	if !ok || x.Start > e.Start {
		return false
	}
	s.unindex(x)
	if x.End() > e.End() {
		high := Extent{Start: e.End(), Len: uint64(x.End() - e.End())}
		s.tree.ReplaceOrInsert(high) // replaces x
		s.index(high)
	} else {
		s.tree.Delete(x)
	}
	if x.Start < e.Start {
		low := Extent{Start: x.Start, Len: uint64(e.Start - x.Start)}
		s.tree.ReplaceOrInsert(low)
		s.index(low)
	}
	s.pages -= e.Len
	if s.sizes != nil {
		s.windows.change(e, -1)
	}
	return true
}

// atLeast returns the lowest of the smallest extents with n pages or more.
func (s *space) atLeast(n uint64) (x Extent, ok bool) {
	s.sizes.AscendGreaterOrEqual(Extent{Len: n}, func(e Extent) bool {
		x, ok = e, true
		return false
	})
	return x, ok
}

func (s *space) index(e Extent) {
	if s.sizes != nil {
		s.sizes.ReplaceOrInsert(e)
	}
}

func (s *space) unindex(e Extent) {
	if s.sizes != nil {
		s.sizes.Delete(e)
	}
}
