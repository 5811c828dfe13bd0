package folio

// This file is responsible for the leaves of a large commit that moves pages (clean.go).
// They do not depend on what is moved, and it takes a while to find and to read that. So
// another goroutine writes them meanwhile, and the device has something to work on: a
// commit of 100 puts takes 6 % less time. What is moved gets the places behind them.

import (
	"slices"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/invariants"
)

// early is the leaves that are written before all places are known: the first ones of the
// commit.
type early struct {
	units  []unit            // in order of their place
	taken  []freelist.Extent // places for them and for those that are moved
	places []freelist.Extent // of these, for those that are moved
	list   *dirtyPage        // the first entry of the list that the units refer to
	job    *job              // nil: it has ended
}

const (
	// earlyLeast is how many leaves are worth it, and earlyMost how many pages the commit
	// may have: of a larger one little is moved against what is changed.
	earlyLeast = 32
	earlyMost  = cleanedMost
)

// beginEarly takes places for the leaves, if there are many, and for the pages that are
// going to be moved, up to budget, and begins to write the leaves. Until endEarly they must
// not change, and their places not become free. With runs it is not done: the places of
// these belong into the leaves. Nor if the file had to grow: that should not depend on
// what may be moved.
func (c *commit) beginEarly(budget int) {
	n := len(c.leaves)
	pages := n + len(c.branches) + budget
	if budget == 0 || n < earlyLeast || pages > earlyMost || len(c.runs) > 0 || c.workers(pages) == 1 {
		return
	}
	end := c.meta.HighWater
	taken := c.takePlaces(uint64(n + budget))
	if c.meta.HighWater > end {
		c.meta.HighWater = end
		c.giveBackAll(slices.DeleteFunc(taken, func(e freelist.Extent) bool { return e.Start >= end }))
		return
	}
	// The units refer to entries of the list, which so has room for what is moved.
	c.s.dirty = slices.Grow(c.s.dirty, budget)
	c.units = nil
	e := &early{taken: taken, places: c.fill(c.leaves, slices.Clone(taken)), list: &c.s.dirty[0]}
	e.units, c.units = inOrder(c.units), nil
	most := stretchBytes / c.db.pageSize
	stretches := c.stretches(e.units, most)
	space := c.db.outputFor(workersMost, min(most, n)*c.db.pageSize)
	e.job = newJob(func() error {
		for _, units := range stretches {
			if err := c.writeStretch(units, space, end); err != nil {
				return err
			}
		}
		return nil
	})
	c.early = e
	if !bugs.On(bugs.EarlyUnwaited) {
		e.job.begin()
	}
}

// has tells whether pages of x were taken for early leaves.
func (e *early) has(x freelist.Extent) bool {
	return e != nil && slices.ContainsFunc(e.taken, func(t freelist.Extent) bool {
		return x.Start < t.End() && t.Start < x.End()
	})
}

// placeEarly gives the leaves behind the early ones the places that there are for them,
// and the others back.
func (c *commit) placeEarly() {
	invariants.Check(c.early.list == &c.s.dirty[0], "the list of dirty pages has moved under early leaves")
	c.giveBackAll(c.fill(c.leaves[len(c.early.units):], c.early.places))
}

// giveBackAll gives back places that were taken one after the other, so that the head is
// where it was before.
func (c *commit) giveBackAll(places []freelist.Extent) {
	for _, e := range slices.Backward(places) {
		c.giveBack(e)
	}
}

// endEarly waits until the early leaves are written, if there are any.
func (c *commit) endEarly() error {
	e := c.early
	if e == nil || e.job == nil {
		return nil
	}
	j := e.job
	e.job = nil
	defer c.db.wrote(e.units)
	return j.wait()
}
