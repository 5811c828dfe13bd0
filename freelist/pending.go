package freelist

import (
	"cmp"
	"slices"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for pages that left the tree and cannot be reused
// yet. Rules:
//
//	F8   A pending extent with a birth and a death becomes free when no snapshot
//	     s with birth <= s < death is needed: by a reader, as the newest published
//	     one, which readers can still take, or as the newest durable one, to which
//	     recovery goes back.
//	F9   An extent waits in the bin of its death until that is published. From
//	     then on it hangs in the bin of the newest snapshot that needs it: one
//	     reason is enough, and looking at one bin finds all that waits for it. So
//	     a Release looks at what it moves, never at all that is pending.
//	F10  Bins are sorted by key and never empty.

// entry is a pending extent: part of every snapshot s with birth <= s < death.
type entry struct {
	Extent
	birth, death page.TxID
}

// bin holds the entries that wait for one thing.
type bin struct {
	key     page.TxID
	entries []entry
	pages   uint64
}

type pending struct {
	bitmap
	waiting  []*bin // by death, which is not known to be published
	held     []*bin // by the newest snapshot that needs the entries
	spare    []*bin // empty ones
	needed   []page.TxID
	unneeded []Extent
	extents  int
	pages    uint64
	end      page.ID // no extent ends above it
}

func (p *pending) enter(e Extent) {
	p.set(e)
	p.extents++
	p.pages += e.Len
	p.end = max(p.end, e.End())
}

func (p *pending) leave(e Extent) {
	p.clear(e)
	p.extents--
	p.pages -= e.Len
}

// FreePages takes note that e, pages of a committed state written by transaction
// birth, is no part of the tree from transaction death on. They stay pending at
// least until the next Release.
//
// The extent comes from the file. If it cannot exist, if any page of it is free
// or pending already, or if it died before it was born, the file is damaged:
// the error wraps page.ErrCorrupt and the list is unchanged.
func (l *List) FreePages(e Extent, birth, death page.TxID) error {
	switch {
	case !e.valid():
		return page.Corrupt(e.Start, 0, "%d pages from here cannot be in a file", e.Len)
	case birth >= death:
		return page.Corrupt(e.Start, 0, "written by transaction %d, freed by %d", birth, death)
	case l.AnyFree(e):
		return page.Corrupt(e.Start, 0, "%d pages from here freed by transaction %d, but some are free", e.Len, death)
	case l.pending.overlaps(e):
		return page.Corrupt(e.Start, 0, "%d pages from here freed by transaction %d, but some were freed before", e.Len, death)
	}
	l.pending.enter(e)
	l.pending.waiting = l.pending.hang(l.pending.waiting, death, entry{Extent: e, birth: birth, death: death})
	return nil
}

// Release makes pages reusable that nothing needs any more (F8): live are the
// snapshots that readers hold, ascending; durable is the newest transaction that
// is durable, the state that recovery falls back to while the next commit is in
// flight; published is the newest that readers see, the same or a newer one. It
// does not keep live. The cost is that of the extents that move, plus the number of
// snapshots; when nothing changed since the last call, nothing moves.
//
// durable and published never fall, a snapshot taken later is never older than
// published, and the next durable one is not either.
func (l *List) Release(live []page.TxID, durable, published page.TxID) {
	if invariants.Enabled {
		invariants.Check(slices.IsSorted(live), "F8: the live snapshots are not sorted")
		invariants.Check(durable <= published, "F8: transaction %d is durable, but only %d published", durable, published)
	}
	p := &l.pending
	p.needed = append(append(p.needed[:0], live...), durable, published)
	slices.Sort(p.needed)
	live = p.needed
	due := 0
	for due < len(p.waiting) && p.waiting[due].key <= published {
		due++
	}
	moving := slices.Clone(p.waiting[:due])
	p.waiting = slices.Delete(p.waiting, 0, due)

	kept, rest := p.held[:0], live
	for _, b := range p.held {
		for len(rest) > 0 && rest[0] < b.key {
			rest = rest[1:]
		}
		if len(rest) > 0 && rest[0] == b.key {
			kept = append(kept, b)
		} else {
			moving = append(moving, b)
		}
	}
	clear(p.held[len(kept):])
	p.held = kept

	p.unneeded = p.unneeded[:0]
	for _, b := range moving {
		for _, e := range b.entries {
			// live[i-1] is the newest snapshot before the death.
			if i, _ := slices.BinarySearch(live, e.death); i > 0 && live[i-1] >= e.birth {
				p.held = p.hang(p.held, live[i-1], e)
			} else {
				p.unneeded = append(p.unneeded, e.Extent)
			}
		}
		p.recycle(b)
	}
	l.reuse(p.unneeded)
	if cap(p.unneeded) > spareEntries {
		p.unneeded = nil
	}
}

// Retained returns the number of pages that hang on snapshot s (F9). For the
// oldest live snapshot these are the pages that become reusable when it ends, unless
// it is the durable one; for a newer one, some may be needed by an older snapshot too.
func (l *List) Retained(s page.TxID) uint64 {
	i, ok := findBin(l.pending.held, s)
	if !ok {
		return 0
	}
	return l.pending.held[i].pages
}

// reuse makes pending extents free. In order of position they find their
// neighbours in the cache, and those that touch enter the set as one.
func (l *List) reuse(es []Extent) {
	sortByStart(es)
	for _, e := range es {
		l.pending.leave(e)
	}
	for _, e := range join(es) {
		l.add(e)
	}
}

// hang adds e to the bin with the given key, which it makes if need be.
func (p *pending) hang(bins []*bin, key page.TxID, e entry) []*bin {
	i, ok := findBin(bins, key)
	if !ok {
		bins = slices.Insert(bins, i, p.newBin(key))
	}
	bins[i].entries = append(bins[i].entries, e)
	bins[i].pages += e.Len
	return bins
}

// spareBins is how many empty bins are kept, and spareEntries how many entries one of them
// may have room for: each commit fills a bin and empties another.
const (
	spareBins    = 4
	spareEntries = 4096
)

// newBin returns an empty bin.
func (p *pending) newBin(key page.TxID) *bin {
	n := len(p.spare) - 1
	if n < 0 {
		return &bin{key: key, entries: make([]entry, 0, 8)}
	}
	b := p.spare[n]
	b.key, p.spare = key, p.spare[:n]
	return b
}

// recycle keeps b, which nothing waits in any more, for newBin.
func (p *pending) recycle(b *bin) {
	if len(p.spare) < spareBins && cap(b.entries) <= spareEntries {
		*b = bin{entries: b.entries[:0]}
		p.spare = append(p.spare, b)
	}
}

// findBin returns the place of the bin with the given key, and whether it exists.
func findBin(bins []*bin, key page.TxID) (int, bool) {
	return slices.BinarySearchFunc(bins, key, func(b *bin, key page.TxID) int {
		return cmp.Compare(b.key, key)
	})
}
