package folio

// This file is responsible for long free extents, which make a commit one piece.
//
// Random updates leave holes of a page or two all over the file. So a commit that
// finds few long extents cleans, as log-structured file systems do: it moves pages
// out of the windows of the file that are nearly free. A move is a change like any
// other: a copy goes to a new place, and the old one stays until nobody needs it.
// Only children of branches that the commit writes anyway are moved. That costs no
// page but the child, no look for a page's parent, and each window has its turn, as
// branches are changed often.

import (
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

const (
	// reserveCommits and reserveMost are how much of the free space should be in
	// long extents: room for so many commits like this one, or for this one and so
	// many pages. Moving begins with what is missing: a window takes some twenty
	// commits to empty, for that is how long it takes until each branch has had
	// its turn. With room for 4 commits, twice as many pages are moved.
	reserveCommits = 32
	reserveMost    = 8192

	// longExtent is what counts as long, and cleanAbove the free pages of a window
	// above which moving the others is worth it.
	longExtent = freelist.WindowPages / 2
	cleanAbove = freelist.WindowPages / 2

	// cleanLeast is how many pages a commit must have to move others. Smaller ones find
	// places in a few pieces, and would pay more for the moves than for the pieces:
	// groups of some 26 puts, 62 pages, took 34 us a put with 40 moves, and 20 without.
	cleanLeast = 72

	// cleanedMost is how many pages a commit may have with those that it moves if
	// it would have fewer without: its record must fit into the meta page.
	cleanedMost = 400
)

// clean moves pages. They become dirty pages of the commit.
func (c *commit) clean() {
	budget := c.movable()
	if budget == 0 {
		return
	}
	// What was worth moving last time tells what is now; to count first costs as much
	// as all the rest. Bound too low, and the best are not among those that are moved;
	// too high, and there are too few.
	least := min(max(c.db.cleanFrom, cleanAbove+1), freelist.WindowPages)
	left := budget
	for _, i := range c.branches {
		left -= c.moveChildren(c.s.dirty[i].buf, least, left)
	}
	c.pages = c.s.pages
	switch {
	case left == 0:
		c.db.cleanFrom = least + 1
	case 4*left > budget:
		c.db.cleanFrom = least - 1
	}
}

// movable returns how many pages the commit should move: none if there are long
// extents enough, as many as it has itself if there are none. While a reader keeps
// much of what is freed, moving pages would only make the file grow.
func (c *commit) movable() int {
	n := len(c.leaves) + len(c.branches)
	free := c.list.Free()
	if n < cleanLeast || free < 2*uint64(n) || free < 4*c.list.Pending() {
		return 0
	}
	want := uint64(min(reserveCommits*n, reserveMost+n))
	missing := want - c.list.InLong(longExtent, want)
	budget := int(uint64(n) * missing / want)
	if c.s.pages < cleanedMost {
		budget = min(budget, cleanedMost-int(c.s.pages))
	}
	return budget
}

// worth returns how much it is worth to move the child id of a branch: how many of
// the pages around it are free. In the zone, whatever branches are about to be
// written behind should go, and leaves in any case.
func (c *commit) worth(id page.ID, leaf bool) int {
	switch next := c.list.ZoneNext(); {
	case id >= c.list.ZoneEnd():
		return c.list.FreeAround(id)
	case leaf || id >= next && id < next+2*page.ID(len(c.branches)):
		return freelist.WindowPages
	}
	return 0
}

// moveChildren moves those children of dirty branch p that are worth least or more, of
// the first most of them, and returns how many these are.
func (c *commit) moveChildren(p page.Page, least, most int) (n int) {
	leaf := p.Level() == 1
	ids := btree.Children(p)
	for i := 0; i < ids.Len() && n < most; i++ {
		id := ids.At(i)
		if id&dirtyBit != 0 || c.worth(id, leaf) < least {
			continue
		}
		n++
		moved, ok := c.move(id, btree.ChildBirth(p, i))
		switch {
		case !ok:
			continue
		case leaf:
			c.leaves = append(c.leaves, int(moved&^dirtyBit))
		default:
			c.branches = append(c.branches, int(moved&^dirtyBit))
		}
		ids.Set(i, moved)
	}
	return n
}

// move returns a dirty copy of page id, which gets another place, or false if it is not
// in memory, or is not what its parent says: nobody asked for that page. It may be one
// that has never been verified; the copy is going to be trusted.
func (c *commit) move(id page.ID, birth page.TxID) (page.ID, bool) {
	s := c.s
	buf := page.Page(s.buffers.get())
	if !c.db.pager.ReadCached(buf, id) || !c.intact(buf, id, birth) {
		s.buffers.put(buf)
		return 0, false
	}
	s.freed = append(s.freed, freedRun{id, 1, birth})
	return s.add(dirtyPage{buf: buf, moved: true}), true
}

// intact tells whether buf is page id of transaction birth. What this process has
// verified before need only be the same bytes.
func (c *commit) intact(buf page.Page, id page.ID, birth page.TxID) bool {
	if _, verified := c.s.view.Page(id); !verified {
		return verifyPage(buf, id, birth, c.s.fileID, c.s.highWater) == nil
	}
	return buf.TxID() == birth && buf.ComputeChecksum(id, c.s.fileID) == buf.Checksum()
}
