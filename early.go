package folio

// This file is responsible for the leaves of a large commit that moves pages (clean.go).
// They do not depend on what is moved, and it takes a while to find and to read that. So
// another goroutine writes them meanwhile, and the device has something to work on: a
// commit of 100 puts takes 6 % less time. What is moved gets the places behind them.

import (
	"slices"

	"github.com/foliodb/folio/freelist"
)

// early is the leaves that are written before all places are known.
type early struct {
	leaves int               // how many: the first ones of the commit
	units  []unit            // in order of their place
	taken  []freelist.Extent // places for them and for those that are moved
	places []freelist.Extent // of these, for those that are moved
	job    *job              // nil: it has ended
}

const (
	// earlyLeast is how many leaves are worth it, and earlyPages how many pages of the
	// commit.
	earlyLeast = 32
	earlyPages = 2 * workerPages
)

// beginEarly begins to write the leaves, if there are many, and up to budget pages are
// going to be moved. Until endEarly they must not change, nor the list of dirty pages
// move, nor their places become free. With runs it is not done: the places of these belong
// into the leaves.
func (c *commit) beginEarly(budget int) error {
	n := len(c.leaves)
	pages := n + len(c.branches) + budget
	if budget == 0 || n < earlyLeast || pages < earlyPages || len(c.runs) > 0 {
		return nil
	}
	c.s.dirty = slices.Grow(c.s.dirty, budget)
	e := &early{leaves: n}
	c.units = nil
	e.taken = c.takePlaces(uint64(n + budget))
	e.places = c.fill(c.leaves, slices.Clone(e.taken))
	e.units, c.units = inOrder(c.units), nil
	limit := c.meta.HighWater
	if err := c.db.pager.EnsureSize(limit); err != nil {
		return err
	}
	most := stretchBytes / c.db.pageSize
	stretches := c.stretches(e.units, most)
	space := c.db.outputFor(workersMost, min(most, n)*c.db.pageSize)
	e.job = newJob(func() error {
		for _, units := range stretches {
			if err := c.writeStretch(units, space, limit); err != nil {
				return err
			}
		}
		return nil
	})
	c.early = e
	if c.workers(pages) == 1 {
		return c.endEarly()
	}
	e.job.begin()
	return nil
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
	left := c.fill(c.leaves[c.early.leaves:], c.early.places)
	for _, e := range slices.Backward(left) {
		if e.End() == c.meta.HighWater {
			c.meta.HighWater = e.Start
		} else {
			c.giveBack(e)
		}
	}
}

// endEarly waits until the early leaves are written, if there are any.
func (c *commit) endEarly() error {
	e := c.early
	if e == nil || e.job == nil {
		return nil
	}
	err := e.job.wait()
	e.job = nil
	c.db.wrote(e.units)
	return err
}
