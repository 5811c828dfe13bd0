package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for how long and how dense the free space is: a commit
// that wants long extents asks whether there are some, and looks for parts of the
// file with few pages in use, which it can move away.

// WindowPages is the length of a window: the file is cut into equal ones.
const WindowPages = 128

// FreeAround returns how many pages are free in the window that page id is in, if that
// is behind the zone.
func (l *List) FreeAround(id page.ID) int { return l.free.inWindow(id) }

// InLong returns how many pages the free extents of least pages or more have
// together, but n at most. The cost is at most that of n/least extents.
func (l *List) InLong(least, n uint64) (pages uint64) {
	for length, k := range l.free.lengths {
		if length < least || pages >= n {
			break
		}
		pages = min(n, pages+length*uint64(k))
	}
	return pages
}

// LongestTwo returns how many pages the two longest free extents have together.
func (l *List) LongestTwo() (pages uint64) {
	left := 2
	for length, k := range l.free.lengths {
		k = min(k, left)
		pages += length * uint64(k)
		if left -= k; left == 0 {
			break
		}
	}
	return pages
}
