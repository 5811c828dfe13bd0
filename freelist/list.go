package freelist

import (
	"iter"
	"slices"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for handing out pages and taking them back. Rules:
//
//	F5  A page is free, pending or neither, and in one extent only.
//	F6  Allocate is best fit: the smallest extent that holds the run, the lowest
//	    among equals, from its low end. So low addresses fill up, and the end of
//	    the file becomes free. AllocateLow is first fit, for holes near the end keep the
//	    file long. It looks at the LowLook lowest extents; of the others it takes the
//	    longest, or the one that fits best if that is lower. AllocateHead and
//	    AllocateLongest go elsewhere: head.go.
//	F7  What one of the Allocates or TrimTail took is not in the list, until Return or
//	    FreePages puts it back.

// List is the set of pages of a file that no tree uses. The zero value is not
// ready; see Load. Its methods must not be called concurrently, but for those that
// look at it only.
type List struct {
	free    space
	zone    zone
	head    page.ID // see AllocateHead
	pending pending
}

func empty() *List {
	return &List{free: newSpace(), zone: zone{space: newSpace()}}
}

// Free returns the number of pages that can be reused now.
func (l *List) Free() uint64 { return l.free.pages + l.zone.pages }

// Pending returns the number of pages that were freed but that a snapshot or
// the recovery fallback still needs.
func (l *List) Pending() uint64 { return l.pending.pages }

// Extents returns the number of extents that the reusable pages form.
func (l *List) Extents() int { return l.free.extents() + l.zone.extents() }

// All returns every free and pending extent as it is now, merged and ascending.
func (l *List) All() iter.Seq[Extent] { return slices.Values(l.merged()) }

// Allocate takes n adjacent pages out of the list (F6) and returns the first.
// It returns false, and takes nothing, if no extent holds n pages.
func (l *List) Allocate(n uint64) (page.ID, bool) {
	if n == 0 {
		return 0, false
	}
	x, ok := l.free.atLeast(n)
	if !ok {
		return 0, false
	}
	l.free.remove(Extent{Start: x.Start, Len: n})
	return x.Start, true
}

// LowLook is how many extents AllocateLow looks at.
const LowLook = 64

// AllocateLow is Allocate for a file that should become shorter.
func (l *List) AllocateLow(n uint64) (page.ID, bool) {
	if n == 0 {
		return 0, false
	}
	look := LowLook
	for x := range l.free.from(page.FirstID) {
		if x.Len >= n {
			l.free.remove(Extent{Start: x.Start, Len: n})
			return x.Start, true
		}
		if look--; look == 0 {
			break
		}
	}
	if x := l.longest(); x.Len >= n {
		if fit, _ := l.free.atLeast(n); x.Start < fit.Start {
			l.free.remove(Extent{Start: x.Start, Len: n})
			return x.Start, true
		}
	}
	return l.Allocate(n)
}

// Return puts back pages that an allocation took, of a commit that has failed or does
// not need them any more. They may be part of what was allocated. The head goes back over
// them if they end there.
func (l *List) Return(e Extent) {
	if e.Len == 0 {
		return
	}
	if invariants.Enabled {
		invariants.Check(e.valid(), "F7: returned extent %+v cannot exist", e)
		invariants.Check(!l.AnyFree(e) && !l.pending.overlaps(e),
			"F7: returned extent %+v was not allocated", e)
	}
	if l.head == e.End() {
		l.head = e.Start
	}
	l.add(e)
}

// add makes e free.
func (l *List) add(e Extent) {
	low, high := l.zone.cut(e)
	if low.Len > 0 {
		l.zone.add(low)
	}
	if high.Len > 0 {
		l.free.add(high)
	}
}

// AnyFree tells whether any page of e is free.
func (l *List) AnyFree(e Extent) bool {
	return e.End() > l.zone.limit && l.free.overlaps(e) || e.Start < l.zone.limit && l.zone.overlaps(e)
}

// TrimTail removes the reusable extent that ends at the high-water mark hwm, if
// there is one of at least min pages, and returns it with the new high-water
// mark. The commit that lowers the mark records the extent as taken.
func (l *List) TrimTail(hwm page.ID, min uint64) (page.ID, Extent, bool) {
	if !l.free.has(hwm - 1) {
		return hwm, Extent{}, false
	}
	x := l.free.around(hwm - 1)
	if x.Len < min {
		return hwm, Extent{}, false
	}
	l.free.remove(x)
	return x.Start, x, true
}
