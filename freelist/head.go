package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for the head: where commits of some size go on writing, one
// behind the other, as log-structured file systems do. An extent is filled from end to
// end that way, and then left alone, so what becomes free in it joins up. If each commit
// took the extent that fits best, they would fill those that are about to become long.
// The head is known in memory only. Rule:
//
//	F22  AllocateHead takes its pages at the head if all of them fit there, or else at the
//	     low end of the longest extent, the lowest among equals. The head is behind what it
//	     took last, or AllocateLongest; where the end of that is returned, there.

// AllocateHead takes n adjacent pages out of the list (F22) and returns the first. It
// returns false, and takes nothing, if no extent holds n pages.
func (l *List) AllocateHead(n uint64) (page.ID, bool) {
	x := l.atHead()
	if n == 0 {
		return 0, false
	}
	if x.Len < n {
		if x = l.longest(); x.Len < n {
			return 0, false
		}
	}
	x.Len = n
	l.takeAt(x)
	return x.Start, true
}

// AllocateLongest takes at most n pages out of the list: what is at the head if that is
// least pages or more, or else the low end of the longest extent, the lowest among
// equals. It serves commits that no single extent can hold, and returns false only if no
// page is free or n is 0.
func (l *List) AllocateLongest(n, least uint64) (Extent, bool) {
	x := l.atHead()
	if x.Len < max(least, 1) {
		x = l.longest()
	}
	if x.Len = min(x.Len, n); x.Len == 0 {
		return Extent{}, false
	}
	l.takeAt(x)
	return x, true
}

// takeAt takes x, and the head is behind it.
func (l *List) takeAt(x Extent) {
	l.free.remove(x)
	l.head = x.End()
}

// atHead returns the free pages from the head on, none if it has met others.
func (l *List) atHead() Extent {
	if l.head < l.zone.limit || !l.free.has(l.head) {
		return Extent{}
	}
	return Extent{Start: l.head, Len: uint64(l.free.around(l.head).End() - l.head)}
}

// longest returns the longest extent, the lowest among equals, or none if there is none.
func (l *List) longest() Extent {
	for length := range l.free.lengths {
		x, _ := l.free.atLeast(length)
		return x
	}
	return Extent{}
}
