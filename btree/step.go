package btree

// This file is responsible for steps: how a scan goes through a leaf. They take a fraction
// of what Next and Prev take, which can fail and have to think of everything.

// Step is Next for the common case: the next slot of the same leaf, and a leaf without
// what takes longer (see Cursor.steps). The key is nil in all other cases, and then nothing
// has happened.
func (c *Cursor) Step() (key, value []byte) {
	i := c.i + 1
	if i >= c.steps {
		return nil, nil
	}
	if c.loose {
		return c.stepTo(i)
	}
	// A cell takes as many bytes as a slot or more: these eight are in the node even
	// for the last slot.
	n, slot := c.leaf, c.slots+slotSize*i
	v := le.Uint64(n[slot : slot+2*slotSize])
	end := len(n)
	if i+1 < c.steps {
		end = int(v >> 32 & 0xffff) // where the next cell begins
	}
	k := int(v&0xffff) + leafCellHeader
	p := k + int(v>>16&0xffff)
	c.i = i
	return n[k:p:p], n[p:end:end]
}

// StepBack is Step in the other direction, for Prev.
func (c *Cursor) StepBack() (key, value []byte) {
	i := c.i - 1
	if i < 0 || c.steps == 0 {
		return nil, nil
	}
	if c.loose {
		return c.stepTo(i)
	}
	n, slot := c.leaf, c.slots+slotSize*i
	v := le.Uint64(n[slot : slot+2*slotSize])
	k := int(v&0xffff) + leafCellHeader
	p := k + int(v>>16&0xffff)
	end := int(v >> 32 & 0xffff) // where the cell that the cursor was on begins
	c.i = i
	return n[k:p:p], n[p:end:end]
}

// stepTo is a step to slot i of a loose leaf. Of runs it takes those that have been verified.
func (c *Cursor) stepTo(i int) (key, value []byte) {
	if c.mods != c.t.mods || c.pos != onKey { // it can be beside a key that has been deleted
		return nil, nil
	}
	n, slot := c.leaf, c.slots+i*slotSize
	v := le.Uint32(n[slot : slot+slotSize])
	off := int(v & 0xffff)
	k := off + leafCellHeader
	p := k + int(v>>16)
	value = n[p:][:le.Uint16(n[off+1:])]
	switch n[off] {
	case 0:
	case FlagValueRun:
		size, id, birth := decodeValueRef(value)
		if !c.t.seen(id) {
			return nil, nil
		}
		c.announceRun(i + int(c.scanning)*aheadRuns)
		var err error
		if value, err = c.t.r.Run(id, birth, size); err != nil {
			return nil, nil // Next or Prev will find out
		}
	default: // not what the leaf's parent says
		return nil, nil
	}
	c.i = i
	if key = n[k:p:p]; c.t.w != nil {
		c.key = key
	}
	return key, value[:len(value):len(value)]
}

// CanStep tells whether the current leaf is one for steps. It looks at no page.
func (c *Cursor) CanStep() bool { return c.steps > 0 }

// canStepTo tells whether there is slot i, and nothing in it that takes longer.
func (c *Cursor) canStepTo(i int) bool {
	if i < 0 || i >= c.steps {
		return false
	}
	off, _ := c.leaf.leafSlot(i)
	return !c.loose || c.leaf[off]&^FlagValueRun == 0
}

// Steps returns how many Steps the cursor can take to keys before hi, nil being
// unbounded. In a loose leaf fewer may come to one.
func (c *Cursor) Steps(hi []byte) (int, error) {
	switch {
	case c.mods != c.t.mods || !c.canStepTo(c.i+1):
		return 0, nil
	case hi == nil:
		return c.steps - c.i - 1, nil
	}
	end, _, err := c.leaf.searchLeaf(c.t.r, hi)
	return max(end-c.i-1, 0), err
}

// StepsBack returns how many StepBacks the cursor can take to keys from lo on, nil being
// unbounded.
func (c *Cursor) StepsBack(lo []byte) (int, error) {
	switch {
	case c.mods != c.t.mods || !c.canStepTo(c.i-1):
		return 0, nil
	case lo == nil:
		return c.i, nil
	}
	first, _, err := c.leaf.searchLeaf(c.t.r, lo)
	return max(c.i-first, 0), err
}
