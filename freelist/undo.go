package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for commits that fail.

// Forget undoes every FreePages of transaction death, whose commit has failed:
// its pages are part of the tree again. It must come before a Release that takes
// death for durable.
func (l *List) Forget(death page.TxID) {
	p := &l.pending
	i, ok := findBin(p.waiting, death)
	if !ok {
		return
	}
	for _, e := range p.waiting[i].entries {
		p.leave(e.Extent)
	}
	p.waiting = append(p.waiting[:i], p.waiting[i+1:]...)
}

// Withdraw takes pages out of the list that Return has put there, for a commit that
// has failed or gone back: they are behind the high-water mark again, or still in use.
func (l *List) Withdraw(e Extent) {
	low, high := l.zone.cut(e)
	if low.Len > 0 && !l.zone.remove(low) || high.Len > 0 && !l.free.remove(high) {
		panic("folio: broken invariant: withdrawn pages were not free")
	}
}
