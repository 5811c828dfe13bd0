package freelist

import (
	"iter"
	"math/bits"

	"github.com/google/btree"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for pages that can be handed out. Its bits say which these
// are; what else there is serves to find extents by their length. Most are short:
// random updates leave holes of a page or two. They are counted by length and chunk,
// which costs nothing to keep, and looked for among the bits. Rules:
//
//	F3  An extent of the bits, as long as it can be, is in both trees if it has
//	    longFrom pages or more, and else counted in starts, at its length and the
//	    chunk in which it begins, and in short.
//	F4  The page count is the number of bits.
//	F21 No extent of length n begins in a chunk before lowest[n].

// longFrom is how many pages make an extent long: what can be seen in one word of bits.
const longFrom = 64

// space is a set of pages that can be handed out.
type space struct {
	bitmap
	pages  uint64
	starts []*[longFrom]uint16 // short extents of each chunk, by length
	short  [longFrom]int       // the same in the whole file
	lowest [longFrom]int       // a chunk, F21
	long   positions
	sizes  *btree.BTreeG[Extent] // of long by (Len, Start)
}

func newSpace() space {
	return space{long: newPositions(), sizes: btree.NewG(treeDegree, func(a, b Extent) bool {
		return a.Len < b.Len || a.Len == b.Len && a.Start < b.Start
	})}
}

// extents returns how many extents the pages form.
func (s *space) extents() int {
	n := s.long.tree.Len()
	for _, k := range s.short {
		n += k
	}
	return n
}

// add puts e, of which no page is in the set, into it.
func (s *space) add(e Extent) {
	x := e
	if s.has(e.Start - 1) {
		low := s.around(e.Start - 1)
		s.unindex(low)
		x = Extent{Start: low.Start, Len: low.Len + e.Len}
	}
	if s.has(e.End()) {
		high := s.around(e.End())
		s.unindex(high)
		x.Len += high.Len
	}
	s.set(e)
	s.pages += e.Len
	s.index(x)
}

// remove takes e out of the set and reports whether all of it was there. If
// not, nothing changes.
func (s *space) remove(e Extent) bool {
	if !s.has(e.Start) {
		return false
	}
	x := s.around(e.Start)
	if x.End() < e.End() {
		return false
	}
	s.unindex(x)
	s.clear(e)
	s.pages -= e.Len
	s.index(Extent{Start: x.Start, Len: uint64(e.Start - x.Start)})
	s.index(Extent{Start: e.End(), Len: uint64(x.End() - e.End())})
	return true
}

// around returns the extent that page id, which is in the set, is part of.
func (s *space) around(id page.ID) Extent {
	below, above := s.below(id), s.above(id)
	if below+above >= longFrom {
		x, _ := s.long.endingAbove(id)
		return x
	}
	return Extent{Start: id - page.ID(below), Len: below + above}
}

// from returns the extents that end above id, in order.
func (s *space) from(id page.ID) iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		for {
			var ok bool
			if id, ok = s.next(id, page.MaxID); !ok {
				return
			}
			e := s.around(id)
			if !yield(e) {
				return
			}
			id = e.End()
		}
	}
}

// within returns the parts of e that are in the set.
func (s *space) within(e Extent) (parts []Extent) {
	for x := range s.from(e.Start) {
		if x.Start >= e.End() {
			break
		}
		start := max(x.Start, e.Start)
		parts = append(parts, Extent{Start: start, Len: uint64(min(x.End(), e.End()) - start)})
	}
	return parts
}

// atLeast returns the lowest of the smallest extents with n pages or more.
func (s *space) atLeast(n uint64) (x Extent, ok bool) {
	for n < longFrom {
		if s.short[n] > 0 {
			return s.lowestOf(n), true
		}
		n++
	}
	s.sizes.AscendGreaterOrEqual(Extent{Len: n}, func(e Extent) bool {
		x, ok = e, true
		return false
	})
	return x, ok
}

// lowestOf returns the lowest extent of n pages, a short one. There must be one.
func (s *space) lowestOf(n uint64) Extent {
	i := s.lowest[n]
	for s.starts[i] == nil || s.starts[i][n] == 0 { // of those that exist one has it (F3)
		i++
	}
	s.lowest[n] = i
	for at := range page.ID(chunkWords) {
		at += page.ID(i) * chunkWords
		if w := s.runs(at, n); w != 0 {
			return Extent{Start: at<<6 + page.ID(bits.TrailingZeros64(w)), Len: n}
		}
	}
	panic("folio: broken invariant: a free extent is counted that is not there")
}

// lengths returns the lengths of extents and how many have each, the greatest first.
func (s *space) lengths(yield func(length uint64, n int) bool) {
	more := true
	s.sizes.Descend(func(e Extent) bool {
		more = yield(e.Len, 1)
		return more
	})
	for n := longFrom - 1; n > 0 && more; n-- {
		if s.short[n] > 0 {
			more = yield(uint64(n), s.short[n])
		}
	}
}

// index enters e, unless it is empty, as an extent by its length.
func (s *space) index(e Extent) {
	if e.Len >= longFrom {
		s.long.tree.ReplaceOrInsert(e)
		s.sizes.ReplaceOrInsert(e)
		return
	}
	if e.Len == 0 {
		return
	}
	i := int(e.Start >> chunkBits)
	if i >= len(s.starts) {
		s.starts = append(s.starts, make([]*[longFrom]uint16, i+1-len(s.starts))...)
	}
	if s.starts[i] == nil {
		s.starts[i] = new([longFrom]uint16)
	}
	s.starts[i][e.Len]++
	if s.short[e.Len] == 0 || i < s.lowest[e.Len] {
		s.lowest[e.Len] = i
	}
	s.short[e.Len]++
}

// unindex takes back what index has entered.
func (s *space) unindex(e Extent) {
	if e.Len >= longFrom {
		s.long.tree.Delete(e)
		s.sizes.Delete(e)
		return
	}
	s.starts[e.Start>>chunkBits][e.Len]--
	s.short[e.Len]--
}
