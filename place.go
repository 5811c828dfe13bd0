package folio

// This file is responsible for where in the file a commit's pages go.
//
// A flush costs by the piece, not by the byte: a piece costs as much as ten to twenty
// pages. So a commit, which knows all its pages before it places any, takes few.
//
//   - Branches are replaced after some commits, leaves after hundreds. The beginning
//     of the file, the zone, is for the branches, and for leaves with nested buckets that
//     have changed: written round and round, it is free in long extents again when its
//     turn comes. Nothing in the file tells of it.
//   - Leaves, and runs of few pages, are written at the head, one commit behind the other,
//     in long extents (freelist/head.go). Only a few of them, or a long run, take the
//     extent that fits best, and all do in a file that is mostly free.
//   - If no extent is long enough, leaves go to the end of the file. It would grow for
//     ever that way, so once a good part of it is free, they are cut to the longest
//     extents there are. That these are long is clean.go's business.

import (
	"math"
	"slices"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// place gives every dirty page its place: runs and leaves in key order, so that a scan
// reads the file forward, then branches. A few pages go into one piece
// together; of many, leaves and branches have a piece each if possible, so that the
// branches, which the next commits replace, leave long extents behind.
func (c *commit) place() {
	c.units = slices.Grow(c.units[:0], len(c.leaves)+len(c.runs)+len(c.branches))
	if c.early != nil {
		c.placeEarly()
		c.placeNodes(c.placeInZone(c.branches))
		return
	}
	if c.pages <= apartPages {
		if id, ok := c.takeWhole(c.pages); ok {
			for _, i := range slices.Concat(c.leaves, c.runs, c.branches) {
				id = c.put(i, id)
			}
			return
		}
	}
	for _, i := range c.placeTogether() {
		c.put(i, c.takeRun(c.runPages(i)))
	}
	c.placeNodes(c.placeInZone(c.branches))
}

// setZone makes the zone as large as the tree wants it.
func (c *commit) setZone() {
	used := uint64(c.meta.HighWater) - c.list.Free() - c.list.Pending()
	end := page.ID(used / zonePart)
	if used < zoneFrom {
		end = 0
	}
	if now := c.list.ZoneEnd(); end > now+now/8 || end < now/2 {
		c.list.SetZone(end)
	}
}

const (
	// zonePart is the part of the pages in use that makes the size of the zone.
	// Some sixtieth of the pages are branches, so one comes to be written over
	// when three quarters of them have been replaced since, or more.
	zonePart = 16

	// zoneFrom is how many pages must be in use for a zone, and zoneLeast how
	// short a piece may be in it.
	zoneFrom  = 4096
	zoneLeast = 8
)

// placeInZone gives nodes places in the zone, and returns those it has no room for.
func (c *commit) placeInZone(nodes []int) []int {
	for len(nodes) > 0 {
		e, ok := c.list.AllocateZone(uint64(len(nodes)), zoneLeast)
		if !ok {
			break
		}
		c.taken = append(c.taken, e)
		id := e.Start
		for range e.Len {
			id = c.put(nodes[0], id)
			nodes = nodes[1:]
		}
	}
	return nodes
}

// apartPages is how many pages a commit may have for leaves and branches to go
// into one piece.
const apartPages = 32

// placeNodes gives nodes places, in one piece if possible.
func (c *commit) placeNodes(nodes []int) { c.fill(nodes, c.takePlaces(uint64(len(nodes)))) }

// gatherMost is how many pages a run may have to be placed with others, and moveMost to be
// moved as well, like a leaf. A piece costs as much as ten to twenty pages, so longer runs
// may each have their own. In a commit of more than gatherBelow pages only what is moved is
// placed with others: with that many pieces in the device's queue, what is longer takes
// as long alone, and it fills holes.
const (
	gatherMost  = 16
	moveMost    = 2
	gatherBelow = 2048
)

// placeTogether gives the runs of few pages and the leaves places, in one piece if possible,
// the runs first, for which not every piece is long enough. It returns those that are
// without one. Where the file cannot grow, these are all: they go where they fit best, or
// there would be no long extents left for those that need them.
func (c *commit) placeTogether() (left []int) {
	leaves := uint64(len(c.leaves))
	most, n := uint64(gatherMost), c.gathered+leaves
	if n > gatherBelow {
		most, n = moveMost, c.short+leaves
	}
	if c.full(n) || c.db.pager.Full() {
		most, n = 0, leaves
	}
	places := c.takePlaces(n)
	var short []freelist.Extent
	for _, i := range c.runs {
		n := c.runPages(i)
		if n > most {
			left = append(left, i)
			continue
		}
		for len(places) > 0 && places[0].Len < n {
			short, places = append(short, places[0]), places[1:]
		}
		if len(places) == 0 {
			left = append(left, i)
			continue
		}
		places = c.fill([]int{i}, places)
	}
	c.giveBackAll(c.fill(c.leaves, append(short, places...)))
	return left
}

// runPages returns how many pages run i has.
func (c *commit) runPages(i int) uint64 { return c.s.pagesOf(&c.s.dirty[i]) }

// takePlaces takes n pages for nodes, in one piece if possible.
func (c *commit) takePlaces(n uint64) (places []freelist.Extent) {
	if n == 0 {
		return nil
	}
	if id, ok := c.takeAtHead(n); ok {
		return []freelist.Extent{{Start: id, Len: n}}
	}
	if id, ok := c.takeWhole(n); ok {
		return []freelist.Extent{{Start: id, Len: n}}
	}
	for n > 0 {
		e := c.takePiece(n)
		places = append(places, e)
		n -= e.Len
	}
	return places
}

// fill puts pages in places, where they fit, and returns what is left of them.
func (c *commit) fill(pages []int, places []freelist.Extent) []freelist.Extent {
	for _, i := range pages {
		e := &places[0]
		next := c.put(i, e.Start)
		e.Len -= uint64(next - e.Start)
		if e.Start = next; e.Len == 0 {
			places = places[1:]
		}
	}
	return places
}

// put gives dirty page i the place id, and returns the place behind it.
func (c *commit) put(i int, id page.ID) page.ID {
	d := &c.s.dirty[i]
	n := c.s.pagesOf(d)
	d.id = id
	c.units = append(c.units, unit{id: id, pages: n, dirty: d})
	return id + page.ID(n)
}

const (
	// headLeast is how many nodes are put at the head, and pieceLeast how many pages
	// must be left there to be a piece.
	headLeast  = 12
	pieceLeast = 8

	// Where less than one page of emptyFrom is in use, pages go into the first extent that
	// is long enough, so that the file can be cut at its end.
	emptyFrom = 3
)

// takeAtHead takes n pages in one piece at the head, or where it goes next.
func (c *commit) takeAtHead(n uint64) (page.ID, bool) {
	if n < headLeast || c.mostlyFree() {
		return 0, false
	}
	id, ok := c.list.AllocateHead(n)
	if ok {
		c.taken = append(c.taken, freelist.Extent{Start: id, Len: n})
	}
	return id, ok
}

// mostlyFree tells whether so much of the file is free that it should become shorter.
func (c *commit) mostlyFree() bool {
	hwm := uint64(c.meta.HighWater)
	return (hwm-c.list.Free())*emptyFrom < hwm
}

// takeWhole takes n pages in one piece, from the free space or, when that is
// small against the file, from its end; false if pieces are to be preferred.
func (c *commit) takeWhole(n uint64) (page.ID, bool) {
	if n == 0 {
		return 0, true
	}
	allocate := c.list.Allocate
	if c.mostlyFree() {
		allocate = c.list.AllocateLow
	}
	if id, ok := allocate(n); ok {
		c.taken = append(c.taken, freelist.Extent{Start: id, Len: n})
		return id, true
	}
	free := c.list.Free()
	if free >= n && (c.full(n) || free >= uint64(c.meta.HighWater)/c.growBelow() || c.list.LongestTwo() >= n || !c.canGrow(n)) {
		return 0, false
	}
	return c.grow(n), true
}

// full tells whether the file must not grow by n pages.
func (c *commit) full(n uint64) bool {
	limit := c.db.opts.MaxSize
	return limit > 0 && (int64(c.meta.HighWater)+int64(n))*int64(c.db.pageSize) > limit
}

// canGrow makes the file longer by n pages, if there is room for it. On a full disk what is
// free in the file has to do.
func (c *commit) canGrow(n uint64) bool {
	return c.db.pager.EnsureSize(c.meta.HighWater+page.ID(n)) == nil
}

// takeRun takes n pages that must be in one piece: from the zone rather than from behind
// the end, which may be where the file must not grow.
func (c *commit) takeRun(n uint64) page.ID {
	id, ok := c.takeWhole(n)
	if ok {
		return id
	}
	if e, ok := c.list.AllocateZone(n, n); ok {
		c.taken = append(c.taken, e)
		return e.Start
	}
	return c.grow(n)
}

// growBelow returns the part of the file that may be free, in pieces too small for a
// commit, before commits are cut to pieces: 1/growBelow. So under random updates for
// ever the file is twice as long as what is in it, and each commit moves some 20 % more
// pages than it changes. In a shorter file it would have to move more. With most of the
// pages in runs that are not moved, a quarter makes commits as fast as a half.
func (c *commit) growBelow() uint64 {
	if nodes := uint64(len(c.leaves) + len(c.branches)); c.gathered-c.short > 2*(nodes+c.short) {
		return 4
	}
	return 2
}

// takePiece takes a piece of at most n pages, at the head or the longest there is.
func (c *commit) takePiece(n uint64) freelist.Extent {
	least := uint64(pieceLeast)
	if c.mostlyFree() {
		least = math.MaxUint64
	}
	e, ok := c.list.AllocateLongest(n, least)
	if !ok {
		e, ok = c.list.AllocateZone(n, 1)
	}
	if !ok {
		return freelist.Extent{Start: c.grow(n), Len: n}
	}
	c.taken = append(c.taken, e)
	return e
}

// grow takes n pages behind the high-water mark.
func (c *commit) grow(n uint64) page.ID {
	id := c.meta.HighWater
	c.meta.HighWater += page.ID(n)
	return id
}
