package btree

// This file is responsible for what a scan asks the processor for before it needs it.

import "github.com/foliodb/folio/internal/prefetch"

// What a scan asks for ahead of need: the beginnings of leaves, with header, heads
// and slots, so many leaves ahead that they are there when it comes to them; and the
// first cells of the next leaf. Processors find out by themselves how the reading of
// cells goes on, but not beyond a page. More cells at once than a processor has room
// for misses, 10 to 20, hold up the scan instead (docs/performance.md).
const (
	aheadLeaves = 3
	aheadHead   = 320
	aheadCells  = 512
	aheadRuns   = 4 // values in runs, of which each is a miss of the TLB
	aheadRun    = 128
)

// announce is called when a scan has come to the current leaf, in direction dir. It finds
// out whether Step and StepBack can go through it, and asks for what the scan will need next.
func (c *Cursor) announce(dir int8) {
	c.scanning = dir
	if len(c.path) == 0 {
		c.steps, c.loose = c.count, true // nothing tells what is in it
		return
	}
	f := &c.path[len(c.path)-1]
	if flags := f.n.childFlags(f.i); flags&^FlagValueRun == 0 {
		c.steps, c.loose = c.count, flags != 0 || c.t.w != nil
	}
	if dir < 0 && c.leaves == 1 {
		return // it may be about the last key before some other, which is all that is needed
	}
	if dir > 0 {
		last := min(f.i+aheadLeaves, f.n.count()-1)
		for i := max(f.i, c.asked) + 1; i <= last; i++ {
			c.t.announce(f.n, i)
		}
		c.asked = last
		if f.i == last {
			return
		}
	} else {
		first := max(f.i-aheadLeaves, 0)
		for i := min(f.i, c.askedBack) - 1; i >= first; i-- {
			c.t.announce(f.n, i)
		}
		c.askedBack = first
		if f.i == first {
			return
		}
	}
	if p, ok := c.t.r.Peek(f.n.childID(f.i + int(dir))); ok {
		from := len(p) - aheadCells // its last cells end where it does
		if dir > 0 {
			from = len(p) - min(p.CellBytes(), len(p)) // it may be no node
		}
		node(p).announceCells(from)
	}
}

// announceRun asks for the beginning of the value of slot i of the current leaf, if it is in a
// run.
func (c *Cursor) announceRun(i int) {
	if i < 0 || i >= c.count {
		return
	}
	n, slot := c.leaf, c.slots+i*slotSize
	v := le.Uint32(n[slot : slot+slotSize])
	if off := int(v & 0xffff); n[off] == FlagValueRun {
		if p, ok := c.t.r.Peek(n.plainRun(off, int(v>>16))); ok {
			prefetch.Lines(p[:aheadRun])
		}
	}
}

// announceCells asks for the cells of a leaf that begin at offset off.
func (n node) announceCells(off int) {
	prefetch.Lines(n[off:min(off+aheadCells, len(n))])
}
