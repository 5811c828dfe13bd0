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
