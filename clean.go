package folio

// This file is responsible for long free extents, which make a commit one piece.
//
// Random updates leave holes of a page or two all over the file. So a commit that
// finds few long extents cleans, as log-structured file systems do: it moves pages
// out of the windows of the file that are nearly free. A move is a change like any
// other: a copy goes to a new place, and the old one stays until nobody needs it.
// Only children of branches that the commit writes anyway are moved, and runs of its leaves
// (move.go). That costs no page but the child, no look for a page's parent, and each window
// has its turn, as branches are changed often.

import (
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

const (
	// reservePart is how much of the file should be free in long extents, and
	// reserveMost how many pages at most. Moving begins with what is missing: a window
	// takes a while to empty, until each branch has had its turn several times, and
	// what is in a hurry moves more.
	reservePart = 16
	reserveMost = 1 << 16

	// longExtent is what counts as long, and cleanAbove the free pages of a window
	// above which moving the others is worth it.
	longExtent = freelist.WindowPages / 2
	cleanAbove = freelist.WindowPages / 2

	// cleanLeast is how many pages a commit must have to move others. Smaller ones, if
	// there are no runs among them, go into one piece, wherever there is room.
	cleanLeast = apartPages + 1

	// hurry is how many times its own pages a commit may move if there are no long extents.
	// Meanwhile others make holes, so the fewer are moved at a time, the more must be in all:
	// at most as many as its own take three to four times as long. Where half of what should be
	// there is, the hurry is over, or moves would come in waves, which takes 4 % more.
	hurry = 4

	// cleanedMost is how many pages a commit may have with those that it moves if
	// it would have fewer without: its record must fit into the meta page. Of large
	// pages it is what recordMax allows, with linkMost for the free space.
	cleanedMost = 400
	linkMost    = 4
)

// clean moves at most budget pages. They become dirty pages of the commit.
func (c *commit) clean(budget int) {
	if budget == 0 {
		return
	}
	// What was worth moving last time tells what is now; to count first costs as much
	// as all the rest. Bound too low, and the best are not among those that are moved;
	// too high, and there are too few.
	least := min(max(c.db.cleanFrom, cleanAbove+1), freelist.WindowPages)
	moves, left := c.findRuns(budget, least)
	moves, left = c.findNodes(moves, left, least)
	switch {
	case left == 0:
		c.db.cleanFrom = least + 1
	case 4*left > budget:
		c.db.cleanFrom = least - 1
	}
	c.readMoves(moves)
	c.move(moves)
}

// movable returns how many pages the commit should move: none if there are long
// extents enough; if there are none, as many as it has itself, or hurry times as many if
// it is not large and all before it is flushed. Of a file that is mostly free all that is free should be long, so that
// its end becomes free. While a reader keeps much of what is freed, moving pages would
// only make the file grow. Half of what the commit itself leaves free stays free, or it
// could fail for its moves where the file must not grow.
func (c *commit) movable() int {
	n := len(c.leaves) + len(c.branches) + int(c.short)
	free := c.list.Free()
	spare := free - min(free, c.pages)
	if n < cleanLeast || spare < uint64(n) || free < 4*c.list.Pending() {
		return 0
	}
	want := uint64(c.meta.HighWater) / reservePart
	if c.mostlyFree() {
		want = free
	}
	want = max(min(want, reserveMost), 2*uint64(n))
	missing := want - c.list.InLong(longExtent, want)
	budget := uint64(n) * missing / want
	most := min(cleanedMost, recordMax/uint64(c.db.pageSize)-linkMost)
	unsynced := c.db.unsynced.pages // which the record lists as well
	if before := c.s.pages + unsynced; before < most {
		if half := want / 2; missing > half && unsynced == 0 {
			budget = budget * (half + (hurry-1)*(missing-half)) / half
		}
		budget = min(budget, most-before)
	}
	return int(min(budget, spare/2))
}

// young returns how many transactions old pages must be to be moved: so many that as many
// pages as are free have been written since. What is younger may be changed soon anyway.
// And where pages are moved without effect, they are not moved again and again: a window
// becomes empty when a branch above each of its pages has been changed, and of the branches
// of many small buckets some have not been for long.
func (c *commit) young() page.TxID {
	each := c.txid - c.base.meta.TxID
	return each * page.TxID(c.list.Free()/max(c.pages, 1))
}

// inTheWay tells whether page id, which is in the zone, is what the branches of this commit
// are about to be written behind.
func (c *commit) inTheWay(id page.ID) bool {
	next := c.list.ZoneNext()
	return id >= next && id < next+2*page.ID(len(c.branches))
}

// findNodes adds to moves at most budget children of dirty branches that are worth it: those
// with least free pages or more around them, and leaves in the zone, unless they are young; and
// what is in the way there. It looks at some thousand for a few dozen moves. It returns what is
// left of the budget.
func (c *commit) findNodes(moves []move, budget, least int) ([]move, int) {
	moves = slices.Grow(moves, budget)
	zone, young := c.list.ZoneEnd(), c.young()
	for _, b := range c.branches {
		p := page.Page(c.s.dirty[b].buf)
		leaf, ids := p.Level() == 1, btree.Children(p)
		for i := range ids.Len() {
			id := ids.At(i) // of a dirty one it is behind all windows
			inZone := id < zone
			if !inZone && c.list.FreeAround(id) < least {
				continue
			}
			birth := btree.ChildBirth(p, i)
			if old := c.txid-birth > young; inZone && !(leaf && old) && !c.inTheWay(id) || !inZone && !old {
				continue
			}
			if budget == 0 {
				return moves, 0
			}
			budget--
			moves = append(moves, move{parent: p, at: i, id: id, birth: birth, copy: c.s.buffers.get()})
		}
	}
	return moves, budget
}

// findRuns does the same for the values of dirty leaves that are in runs of few pages. Where
// leaves are written early it finds none: they must not change.
func (c *commit) findRuns(budget, least int) (moves []move, left int) {
	if c.early != nil {
		return nil, budget
	}
	zone, young := c.list.ZoneEnd(), c.young()
	for _, l := range c.holders {
		p := page.Page(c.s.dirty[l].buf)
		for i, r := range btree.ValueRuns(p) {
			n := btree.RunPages(r.Bytes, c.db.pageSize)
			if n > moveMost || r.ID >= zone && c.list.FreeAround(r.ID) < least || c.txid-r.Birth <= young {
				continue
			}
			if budget < n {
				return moves, 0
			}
			budget -= n
			moves = append(moves, move{parent: p, at: i, id: r.ID, birth: r.Birth, bytes: r.Bytes, copy: c.s.bufferFor(n)})
		}
	}
	return moves, budget
}
