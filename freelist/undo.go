package freelist

import (
	"cmp"
	"slices"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

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

// Net returns what remains of what was taken and returned, in any order and as often
// as it may be: the pages taken once more than returned, and those returned once
// more than taken. It may sort its arguments.
func Net(taken, returned []Extent) (more, less []Extent) {
	if len(returned) == 0 {
		return slices.Clone(taken), nil
	}
	type step struct {
		at    page.ID
		delta int
	}
	steps := make([]step, 0, 2*(len(taken)+len(returned)))
	for _, e := range taken {
		steps = append(steps, step{e.Start, 1}, step{e.End(), -1})
	}
	for _, e := range returned {
		steps = append(steps, step{e.Start, -1}, step{e.End(), 1})
	}
	slices.SortFunc(steps, func(a, b step) int { return cmp.Compare(a.at, b.at) })
	level := 0
	for i, s := range steps {
		level += s.delta
		if level == 0 || i+1 == len(steps) || steps[i+1].at == s.at {
			continue
		}
		if invariants.Enabled {
			invariants.Check(level == 1 || level == -1, "page %d taken %d times more than returned", s.at, level)
		}
		e := Extent{Start: s.at, Len: uint64(steps[i+1].at - s.at)}
		if level > 0 {
			more = append(more, e)
		} else {
			less = append(less, e)
		}
	}
	return more, less
}
