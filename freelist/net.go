package freelist

// This file is responsible for what remains of pages that were taken and returned again
// and again: a transaction larger than memory does so with millions of them.

import (
	"maps"
	"math/bits"
	"slices"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

// Net returns what remains of what was taken and returned, in any order and as often
// as it may be: the pages taken once more than returned, and those returned once
// more than taken, in order of their place. Its memory is two bits for each page of a
// block of which it has one.
func Net(taken, returned []Extent) (more, less []Extent) {
	if len(returned) == 0 {
		return slices.Clone(taken), nil
	}
	t := tally{}
	for _, e := range taken {
		t.add(e, false)
	}
	for _, e := range returned {
		t.add(e, true)
	}
	for _, at := range slices.Sorted(maps.Keys(t)) {
		for i, c := range t[at] {
			first := at*tallyPages + page.ID(i)*64
			if invariants.Enabled {
				invariants.Check(c.high&^c.low == 0, "a page from %d on was taken twice more than returned, or the other way round", first)
			}
			more = appendRuns(more, first, c.low&^c.high)
			less = appendRuns(less, first, c.low&c.high)
		}
	}
	return more, less
}

// tally counts how often pages were taken, less how often returned, modulo 4. It can be
// 0, 1 or -1 in the end, in binary 00, 01 or 11; by blocks of tallyPages.
type tally map[page.ID]*[tallyPages / 64]struct{ low, high uint64 }

const tallyPages = 1024

func (t tally) add(e Extent, minus bool) {
	for at := e.Start; at < e.End(); {
		block := t[at/tallyPages]
		if block == nil {
			block = new([tallyPages / 64]struct{ low, high uint64 })
			t[at/tallyPages] = block
		}
		for end := min(e.End(), (at|(tallyPages-1))+1); at < end; {
			next := min(end, (at|63)+1)
			mask := ^uint64(0) >> (64 - uint(next-at)) << (at & 63)
			c := &block[at%tallyPages/64]
			carry := c.low
			if minus {
				carry = ^c.low
			}
			c.low ^= mask
			c.high ^= carry & mask
			at = next
		}
	}
}

// appendRuns appends the runs of bits that are set to es, the lowest of which is page
// first. A run that goes on where es ends becomes part of its last extent.
func appendRuns(es []Extent, first page.ID, set uint64) []Extent {
	for at := 0; set>>at != 0; {
		at += bits.TrailingZeros64(set >> at)
		n := bits.TrailingZeros64(^(set >> at))
		e := Extent{Start: first + page.ID(at), Len: uint64(n)}
		if k := len(es) - 1; k >= 0 && es[k].End() == e.Start {
			es[k].Len += e.Len
		} else {
			es = append(es, e)
		}
		at += n
	}
	return es
}
