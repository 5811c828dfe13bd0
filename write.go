package folio

// This file is responsible for C1: the pages of a commit get their final bytes and
// go to the file.

import (
	"fmt"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

// outputPages is how many nodes are laid out before they are written: the device
// works on them while the next ones are laid out.
const outputPages = 64

// output is adjacent pages on their way to the file.
type output struct {
	db    *DB
	start page.ID
	next  page.ID
	bufs  [][]byte
	space []byte // where nodes are laid out
	used  int    // bytes of it
	node  bool   // the last buffer is the end of what is used
}

// fits tells whether unit u can be added: it is a neighbour, and there is room.
func (o *output) fits(u unit, pageSize int) bool {
	return u.id == o.next && o.used+pageSize <= len(o.space)
}

// add appends the bytes of unit u.
func (o *output) add(b []byte, u unit) {
	if len(o.bufs) == 0 {
		o.start = u.id
	}
	o.bufs = append(o.bufs, b)
	o.next = u.id + page.ID(u.pages)
	o.node = false
}

// addNode appends the node that is in the space behind what is used. Neighbours
// there are one buffer.
func (o *output) addNode(size int, u unit) {
	if n := len(o.bufs) - 1; n >= 0 && o.node {
		o.bufs[n] = o.space[o.used-len(o.bufs[n]) : o.used+size]
		o.next = u.id + 1
	} else {
		o.add(o.space[o.used:o.used+size], u)
	}
	o.used += size
	o.node = true
}

// flush writes what was added.
func (o *output) flush() error {
	if len(o.bufs) == 0 {
		return nil
	}
	err := o.db.pager.Write(o.start, o.bufs)
	o.db.wrote(o.start, uint64(o.next-o.start))
	o.bufs, o.used = o.bufs[:0], 0
	return err
}

// writePages writes the units, which are in order of their place, in as few calls
// as that allows, and enters their checksums into the record.
func (c *commit) writePages() error {
	ps := c.db.pageSize
	if need := min(outputPages, len(c.leaves)+len(c.branches)) * ps; len(c.db.output) < need {
		c.db.output = make([]byte, need)
	}
	o := output{db: c.db, space: c.db.output}
	for i, u := range c.units {
		if !o.fits(u, ps) {
			if err := o.flush(); err != nil {
				return err
			}
		}
		var b []byte
		switch {
		case u.raw != nil:
			b = u.raw
			page.Page(b).Seal(u.id, c.meta.FileID)
			o.add(b, u)
		case c.s.dirty[u.dirty].run:
			b = c.s.dirty[u.dirty].buf
			page.Page(b).SetTxID(c.txid)
			btree.SealRun(b, u.id, c.meta.FileID)
			o.add(b, u)
		default:
			b = o.space[o.used : o.used+ps]
			if err := c.layout(b, u); err != nil {
				return err
			}
			o.addNode(ps, u)
		}
		c.units[i].sum = page.Page(b).Checksum()
	}
	return o.flush()
}

// layout lays node u out in b as it will be in the file.
func (c *commit) layout(b page.Page, u unit) error {
	if d := &c.s.dirty[u.dirty]; d.moved {
		copy(b, d.buf)
	} else {
		btree.Layout(b, d.buf)
		btree.SetRefs(b, dirtyBit, c.final)
	}
	b.SetTxID(c.txid)
	b.Seal(u.id, c.meta.FileID)
	if invariants.Enabled {
		// A bad page can come from damage that no checksum tells.
		if err := btree.Verify(b, u.id, c.meta.HighWater); err != nil {
			return fmt.Errorf("about to write a bad page: %w", err)
		}
	}
	return nil
}
