package folio

// This file is responsible for C1: the pages of a commit get their final bytes and
// go to the file.

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/pager"
)

// outputPages is how many nodes are laid out before they are written: the device
// works on them while the next ones are laid out.
const outputPages = 64

// output is adjacent pages on their way to the file.
type output struct {
	pager *pager.Pager
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
	err := o.pager.Write(o.start, o.bufs)
	o.bufs, o.used = o.bufs[:0], 0
	return err
}

// writePages writes the units, which are in order of their place, in as few calls
// as that allows, and enters their checksums into the record. Of a large commit several
// goroutines write a part each: to lay pages out and copy them is most of its work.
func (c *commit) writePages() error {
	n := c.parts()
	each := (len(c.units) + n - 1) / n
	space := min(outputPages, len(c.leaves)+len(c.branches), each) * c.db.pageSize
	if len(c.db.output) < n*space {
		c.db.output = make([]byte, n*space)
	}
	errs := make([]error, n)
	var others sync.WaitGroup
	for i, part := range slices.Collect(slices.Chunk(c.units, max(each, 1))) {
		write := func() { errs[i] = c.writePart(part, c.db.output[i*space:(i+1)*space]) }
		if i < n-1 {
			others.Go(write)
		} else {
			write()
		}
	}
	others.Wait()
	c.db.wrote(c.units)
	return errors.Join(errs...)
}

// partLeast and partsMost are how many units are worth a goroutine, and how many of
// them a commit has at most: the file takes one write at a time.
const (
	partLeast = 24
	partsMost = 4
)

// parts returns how many goroutines write the commit. On what is not a file of the system
// it is one: the order of its writes is always the same there.
func (c *commit) parts() int {
	if !vfs.IsOS(c.db.file) {
		return 1
	}
	return max(1, min(len(c.units)/partLeast, runtime.GOMAXPROCS(0), partsMost))
}

// writePart writes units, laying nodes out in space.
func (c *commit) writePart(units []unit, space []byte) error {
	ps := c.db.pageSize
	o := output{pager: c.db.pager, space: space}
	for i, u := range units {
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
		units[i].sum = page.Page(b).Checksum()
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
