package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for how full the parts of a file are: a commit that
// wants long extents looks for parts with few pages in use, which it can move
// away. Rule:
//
//	F16  A window's count is the number of its pages that are free, once the
//	     space is indexed.

// WindowPages is the length of a window: the file is cut into equal ones.
const WindowPages = 1 << windowBits

const windowBits = 7

// windows counts the free pages of each window.
type windows []uint8

// change adds n, 1 or -1, for each page of e.
func (w *windows) change(e Extent, n int) {
	if last := int((e.End() - 1) >> windowBits); last >= len(*w) {
		*w = append(*w, make(windows, last+1-len(*w))...)
	}
	for at := e.Start; at < e.End(); {
		i := at >> windowBits
		next := min(e.End(), (i+1)<<windowBits)
		(*w)[i] += uint8(n * int(next-at))
		at = next
	}
}

// FreeAround returns how many pages are free in the window that page id is in.
func (l *List) FreeAround(id page.ID) int {
	if i := id >> windowBits; i < page.ID(len(l.free.windows)) {
		return int(l.free.windows[i])
	}
	return 0
}

// InLong returns how many pages the free extents of least pages or more have
// together, but n at most. The cost is at most that of n/least extents.
func (l *List) InLong(least, n uint64) (pages uint64) {
	l.free.sizes.Descend(func(e Extent) bool {
		if e.Len >= least {
			pages = min(n, pages+e.Len)
		}
		return e.Len >= least && pages < n
	})
	return pages
}

// LongestTwo returns how many pages the two longest free extents have together.
func (l *List) LongestTwo() (pages uint64) {
	left := 2
	l.free.sizes.Descend(func(e Extent) bool {
		pages += e.Len
		left--
		return left > 0
	})
	return pages
}
