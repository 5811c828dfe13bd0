package folio

// This file is responsible for where in the file a commit's pages go.
//
// A flush costs by the piece, not by the byte: a hundred scattered pages take ten
// times as long as a hundred in one run. So a commit, which knows all its pages
// before it places any, takes one piece if it can. A file whose free space is many
// small holes would grow for ever that way; once a good part of it is free, commits
// are cut to the longest holes there are.

import (
	"slices"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// place gives every dirty page its place: leaves in key order, so that a scan
// reads the file forward, then runs, then branches, which will be replaced sooner
// than leaves. All in one piece if possible, for a flush costs by the piece.
func (c *commit) place() {
	order := slices.Concat(c.leaves, c.runs, c.branches)
	if id, ok := c.takeWhole(c.pages); ok {
		for _, i := range order {
			id = c.put(i, id)
		}
		return
	}
	nodes := uint64(len(c.leaves) + len(c.branches))
	for _, i := range c.runs {
		n := uint64(len(c.s.dirty[i].buf) / c.db.pageSize)
		id, ok := c.takeWhole(n)
		if !ok {
			id = c.grow(n)
		}
		c.put(i, id)
	}
	var piece freelist.Extent
	for _, i := range slices.Concat(c.leaves, c.branches) {
		if piece.Len == 0 {
			piece = c.takePiece(nodes)
		}
		c.put(i, piece.Start)
		piece.Start++
		piece.Len--
		nodes--
	}
}

// put gives dirty page i the place id, and returns the place behind it.
func (c *commit) put(i int, id page.ID) page.ID {
	d := &c.s.dirty[i]
	n := uint64(len(d.buf) / c.db.pageSize)
	d.id = id
	c.units = append(c.units, unit{id: id, pages: n, dirty: i})
	return id + page.ID(n)
}

// takeWhole takes n pages in one piece, from the free space or, when that is
// small against the file, from its end; false if pieces are to be preferred.
func (c *commit) takeWhole(n uint64) (page.ID, bool) {
	if n == 0 {
		return 0, true
	}
	if id, ok := c.list.Allocate(n); ok {
		c.taken = append(c.taken, freelist.Extent{Start: id, Len: n})
		return id, true
	}
	free := c.list.Free()
	limit := c.db.opts.MaxSize
	full := limit > 0 && (int64(c.meta.HighWater)+int64(n))*int64(c.db.pageSize) > limit
	if free >= n && (full || free >= uint64(c.meta.HighWater)/growBelow || c.inTwo(n)) {
		return 0, false
	}
	return c.grow(n), true
}

// growBelow is the part of the file that may be free, in pieces too small for a
// commit, before commits are cut to pieces: 1/growBelow. Random updates for ever,
// 100 to a commit of 200 pages in a million keys, then write 29 pieces a commit;
// with a quarter instead of a half they write 86, with six tenths 17.
const growBelow = 2

// inTwo tells whether the two longest free extents hold n pages together.
func (c *commit) inTwo(n uint64) bool {
	a, ok := c.list.AllocateLongest(n)
	if !ok {
		return false
	}
	b, ok := c.list.AllocateLongest(n - a.Len)
	c.list.Return(a)
	if ok {
		c.list.Return(b)
	}
	return a.Len+b.Len >= n
}

// takePiece takes a piece of at most n pages, the longest there is.
func (c *commit) takePiece(n uint64) freelist.Extent {
	e, ok := c.list.AllocateLongest(n)
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
