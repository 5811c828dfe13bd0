package folio

// This file is responsible for C1: the pages of a commit get their final bytes and
// go to the file.

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

const (
	// stretchBytes is how much is laid out before it is written, by one call: the device
	// works on it while the rest is laid out. With half of it a commit of 245 pages takes
	// 9 % longer, and with twice as much 6 %.
	stretchBytes = 256 << 10

	// cutAlign is where adjacent pages had better be cut: the system keeps a file in
	// memory in pieces of about that size, and does not begin to write one that it is
	// writing already. So what is cut in the middle of one becomes a write of its own,
	// at the end. Cut at multiples, a commit of 245 pages takes a twelfth less time.
	cutAlign = 64 << 10

	// startMin is how many bytes the device begins with at once even if the commit need not
	// be durable: so much is a bulk load.
	startMin = 64 << 10
)

// stretches cuts units, which are in order of their place, into what is written by
// one call each: neighbours, of which most nodes at most are laid out first.
func (c *commit) stretches(units []unit, most int) (all [][]unit) {
	for _, piece := range adjacent(units) {
		for len(piece) > 0 {
			k := c.cut(piece, most)
			all = append(all, piece[:k])
			piece = piece[k:]
		}
	}
	return all
}

// cut returns how many of the neighbours should be written by the first call: all if
// there are no more than most nodes among them.
func (c *commit) cut(neighbours []unit, most int) int {
	align := page.ID(max(cutAlign/c.db.pageSize, 1))
	nodes, good := 0, 0
	for i, u := range neighbours {
		if u.id%align == 0 && 2*nodes >= most {
			good = i
		}
		if !c.isNode(u) {
			continue
		}
		if nodes++; nodes > most {
			return cmp.Or(good, i)
		}
	}
	return len(neighbours)
}

// isNode tells whether u is laid out when it is written.
func (c *commit) isNode(u unit) bool { return u.dirty != nil && !u.dirty.run }

// writePages writes units, which are in order of their place, and enters their
// checksums, for the record. Of a large commit several goroutines write a part
// each: to lay pages out and copy them is most of its work. One of them does what else
// there is to do, unless that is nil: beside the first part or, if there is only one
// goroutine, when the device has that to work on. It must not change the units, nor what
// their layout depends on.
func (c *commit) writePages(units []unit, besides func() error) error {
	limit := c.meta.HighWater
	workers := c.workers(len(c.units))
	most := stretchBytes / c.db.pageSize
	var spaces [workersMost][]byte
	for i := range workers {
		spaces[i] = c.db.outputFor(i, min(most, len(units))*c.db.pageSize)
	}
	stretches := c.stretches(units, most)
	// The longest first, so that no worker is left with much to do at the end.
	slices.SortStableFunc(stretches, func(a, b []unit) int { return cmp.Compare(pagesIn(b), pagesIn(a)) })
	if besides != nil {
		stretches = slices.Insert(stretches, min(1, len(stretches)), nil)
	}
	err := inTurn(workers, len(stretches), func(worker, i int) error {
		if stretches[i] == nil {
			return besides()
		}
		return c.writeStretch(stretches[i], spaces[worker], limit)
	})
	c.db.wrote(units)
	return err
}

// writeLink writes the freelist page that noteSpace has made, if it has, and makes it
// one of the units.
func (c *commit) writeLink() error {
	if c.link.raw == nil {
		return nil
	}
	if err := c.db.pager.EnsureSize(c.meta.HighWater); err != nil {
		return err
	}
	at := slices.IndexFunc(c.listed, func(u unit) bool { return u.dirty == nil })
	link := c.listed[at : at+1]
	err := c.writeStretch(link, nil, c.meta.HighWater)
	c.db.wrote(link)
	c.units = c.listed
	return err
}

// pagesIn returns how many pages neighbours are.
func pagesIn(units []unit) uint64 {
	last := units[len(units)-1]
	return uint64(last.id-units[0].id) + last.pages
}

// outputFor returns size bytes for pages on their way to the file, of worker i.
func (db *DB) outputFor(i, size int) []byte {
	if len(db.output[i]) < size {
		db.output[i] = make([]byte, size)
	}
	return db.output[i]
}

// writeStretch writes neighbours by one call, and lays out in space those that are nodes,
// which refer to pages below limit.
func (c *commit) writeStretch(units []unit, space []byte, limit page.ID) error {
	var bufs [][]byte
	nodes, used := 0, 0 // what of the space is not in bufs yet, and what is
	ps := c.db.pageSize
	for _, u := range units {
		var b []byte
		if c.isNode(u) {
			b = space[used+nodes:][:ps]
			if err := c.layout(b, u, limit); err != nil {
				return err
			}
			nodes += ps
		} else {
			b = c.seal(u)
			if nodes > 0 {
				bufs = append(bufs, space[used:][:nodes])
				used, nodes = used+nodes, 0
			}
			bufs = append(bufs, b)
		}
		*c.sum(u) = page.Page(b).Checksum()
	}
	if nodes > 0 {
		bufs = append(bufs, space[used:][:nodes])
	}
	if err := c.db.pager.Write(units[0].id, bufs); err != nil {
		return err
	}
	// The device works on it while more is laid out and the meta is written. What need not
	// be durable at once can be written over before it goes to the device.
	if n := pagesIn(units); c.durability == DurabilityFull || n*uint64(c.db.pageSize) >= startMin {
		return c.db.pager.StartWrite(units[0].id, n)
	}
	return nil
}

// seal returns the bytes of u, which is no node, as they will be in the file.
func (c *commit) seal(u unit) []byte {
	if u.dirty == nil {
		page.Page(c.link.raw).Seal(u.id, c.meta.FileID)
		return c.link.raw
	}
	b := u.dirty.buf
	page.Page(b).SetTxID(c.txid)
	btree.SealRun(b, u.id, c.meta.FileID)
	return b
}

// layout lays node u out in b as it will be in the file.
func (c *commit) layout(b page.Page, u unit, limit page.ID) error {
	if d := u.dirty; d.moved {
		copy(b, d.buf)
	} else {
		btree.Layout(b, d.buf)
		btree.SetRefs(b, dirtyBit, c.final)
	}
	b.SetTxID(c.txid)
	b.Seal(u.id, c.meta.FileID)
	if invariants.Enabled {
		// A bad page can come from damage that no checksum tells.
		if err := btree.Verify(b, u.id, limit); err != nil {
			return fmt.Errorf("about to write a bad page: %w", err)
		}
	}
	return nil
}
