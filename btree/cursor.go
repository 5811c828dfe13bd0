package btree

// This file is responsible for moving through a tree in key order.
//
// A cursor remembers the slots it came through, and the key it is on. When its
// tree has changed since, the slots mean nothing any more and the key is looked
// up again; so no change of the tree makes a cursor skip a key or return one
// twice.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

type position uint8

const (
	nowhere position = iota // new
	onKey                   // on key
	offKey                  // on key, which has been deleted: between its neighbours
	pastEnd                 // behind the last key
)

// Cursor iterates over a tree. The zero Cursor is not usable; call Init.
type Cursor struct {
	t        *Tree
	path     []cursorFrame // the branches, from the root down
	buf      [4]cursorFrame
	mods     uint64
	pos      position
	scanning int8   // in this leaf announce has been called: forward (1), backward (-1), or not (0)
	key      []byte // of pos, in a tree that can change; elsewhere the slots tell

	leaf  node // nil: none
	i     int  // the slot
	count int  // what the leaf's header says, for in a scan each look at the
	slots int  // header is one too many: cells, and the offset of the slots
	// steps is count for a leaf that Step can go through: one without nested buckets and
	// long keys. It is 0 for other leaves. They are loose if some values can be in runs, or
	// if the cells need not lie one behind the other, as they do in the file: in a tree that
	// can change.
	steps int
	loose bool
	// asked and askedBack are the last child of the lowest branch, and the first one, whose
	// beginning was asked for.
	asked, askedBack int
	leaves           int // that it has entered since it was told where to go
}

// cursorFrame is a branch and the child in it.
type cursorFrame struct {
	n node
	i int
}

func (c *Cursor) push(n node, i int) {
	c.path = append(c.path, cursorFrame{n, i})
	c.asked, c.askedBack = 0, n.count()
}

// enter makes slot i of leaf n the current one.
func (c *Cursor) enter(n node, i int) {
	c.leaves++
	c.leaf, c.i, c.count = n, i, n.count()
	c.slots = leafSlots(n.base(), c.count)
	c.steps, c.loose, c.scanning = 0, false, 0
}

// Item is what a cursor is on. Key is nil behind the last or before the first
// key; Value is never nil where Key is not.
type Item struct {
	Key, Value []byte
	Flags      byte
}

// Init makes c a new cursor over t. A Cursor must not be copied.
func (c *Cursor) Init(t *Tree) {
	*c = Cursor{t: t}
	c.path = c.buf[:0]
}

// First moves to the first key.
func (c *Cursor) First() (Item, error) { return c.edge(false) }

// Last moves to the last key.
func (c *Cursor) Last() (Item, error) { return c.edge(true) }

func (c *Cursor) edge(last bool) (Item, error) {
	c.start()
	n, err := c.t.rootNode()
	if n == nil || err != nil {
		return Item{}, err
	}
	if err := c.down(n, last); err != nil {
		return Item{}, err
	}
	return c.load()
}

// start forgets the position.
func (c *Cursor) start() {
	c.path = c.path[:0]
	c.leaf, c.steps, c.leaves = nil, 0, 0
	c.mods = c.t.mods
	c.pos = pastEnd
	c.key = nil
}

// down goes from n to the first or last slot below it.
func (c *Cursor) down(n node, last bool) error {
	for {
		i := 0
		if last {
			i = n.count() - 1
		}
		if n.isLeaf() {
			c.enter(n, i)
			return nil
		}
		c.push(n, i)
		var err error
		if n, err = c.child(n, i, last); err != nil {
			return err
		}
	}
}

// aheadMax is how many pages are asked for at once by a scan, and scanLeaves after how
// many leaves a cursor is on one, and not in a short range.
const (
	aheadMax   = 32
	scanLeaves = 8
)

// child returns child i of n, and announces those that follow it in the file if
// it has not been seen yet.
func (c *Cursor) child(n node, i int, backward bool) (node, error) {
	if id := n.childID(i); c.leaves >= scanLeaves && !c.t.seen(id) {
		ahead := 1
		for n.level() == 1 && !backward && i+ahead < n.count() && ahead < aheadMax && n.childID(i+ahead) == id+page.ID(ahead) {
			ahead++
		}
		c.t.r.Ahead(id, ahead)
	}
	return c.t.countedChild(n, i)
}

// load returns the item in the current slot.
func (c *Cursor) load() (Item, error) {
	n := c.leaf
	slot := c.slots + c.i*slotSize
	v := le.Uint32(n[slot : slot+slotSize])
	off := int(v & 0xffff)
	head := n[off : off+leafCellHeader]
	if head[0]&(FlagKeyRun|FlagValueRun) != 0 {
		return c.loadLong(off, int(v>>16))
	}
	k := off + leafCellHeader
	p := k + int(v>>16)
	end := p + int(le.Uint16(head[1:]))
	c.pos = onKey
	if c.t.w != nil {
		c.key = n[k:p:p]
	}
	return Item{n[k:p:p], n[p:end:end], head[0]}, nil
}

// loadLong is load for a cell with an overflow run.
func (c *Cursor) loadLong(off, keyLen int) (Item, error) {
	cell := c.leaf.leafCellAt(off, keyLen)
	key, err := c.t.key(&cell)
	if err != nil {
		return Item{}, err
	}
	if cell.flags&FlagValueRun != 0 && c.leaves >= scanLeaves {
		if _, id, _ := decodeValueRef(cell.payload); !c.t.seen(id) {
			c.t.r.Ahead(id, 1) // of a long one the rest follows
		}
	}
	if c.scanning != 0 {
		c.announceRun(c.i + int(c.scanning)*aheadRuns)
	}
	value, err := c.t.value(&cell)
	if err != nil {
		return Item{}, err
	}
	c.key, c.pos = key, onKey
	return Item{key, value, cell.flags}, nil
}

// Seek moves to the first key >= key.
func (c *Cursor) Seek(key []byte) (Item, error) {
	if _, err := c.seek(key); err != nil {
		return Item{}, err
	}
	return c.loadOrNext()
}

// seek moves to the first slot >= key in key's leaf, which may
// be one behind the last slot, and tells whether its key is key.
func (c *Cursor) seek(key []byte) (bool, error) {
	c.start()
	n, err := c.t.rootNode()
	if n == nil || err != nil {
		return false, err
	}
	for !n.isLeaf() {
		i, err := n.searchBranch(c.t.r, key)
		if err != nil {
			return false, err
		}
		c.push(n, i)
		c.t.announce(n, i)
		if n, err = c.t.child(n, i); err != nil {
			return false, err
		}
	}
	i, exact, err := n.searchLeaf(c.t.r, key)
	if err != nil {
		return false, err
	}
	c.enter(n, i)
	return exact, nil
}

// loadOrNext loads the current slot, or the first of the next leaf if the
// current one is behind its leaf's last.
func (c *Cursor) loadOrNext() (Item, error) {
	if c.leaf == nil {
		return Item{}, nil
	}
	if c.i < c.count {
		return c.load()
	}
	ok, err := c.nextLeaf()
	if !ok || err != nil {
		return Item{}, err
	}
	return c.load()
}

// resume looks the cursor's key up again after a change of the tree, and tells
// whether it is still there. If not, the cursor is on the slot behind it.
func (c *Cursor) resume() (bool, error) {
	key := c.key
	exact, err := c.seek(key)
	if err != nil {
		return false, err
	}
	c.key, c.pos = key, offKey
	if exact {
		c.pos = onKey
	}
	return exact, nil
}

// Next moves to the next key. Behind the last key it returns an empty Item and
// stays on the last key.
func (c *Cursor) Next() (Item, error) {
	if c.pos == onKey && c.mods == c.t.mods {
		return c.forward()
	}
	switch c.pos {
	case nowhere:
		return c.First()
	case pastEnd:
		return Item{}, nil
	}
	was := c.key
	exact, err := c.resume()
	if err != nil {
		return Item{}, err
	}
	it := Item{}
	if exact {
		it, err = c.forward()
	} else {
		it, err = c.loadOrNext()
	}
	if err == nil && it.Key != nil && bytes.Compare(it.Key, was) <= 0 {
		return Item{}, c.disorder()
	}
	return it, err
}

// errDisorder is of a tree whose checksums are right, and whose keys are not in order. Who
// goes through it and looks each key up again would never come to an end.
var errDisorder = page.Corrupt(0, page.KindLeaf, "its keys are not where its parents say")

func (c *Cursor) disorder() error {
	c.start() // there is nothing to be on
	return errDisorder
}

// forward moves one slot on from the current one.
func (c *Cursor) forward() (Item, error) {
	if c.scanning == 0 {
		if c.i+1 < c.count {
			off, _ := c.leaf.leafSlot(c.i + 1)
			c.leaf.announceCells(off)
		}
		c.announce(1)
	}
	if c.i+1 < c.count {
		c.i++
		return c.load()
	}
	ok, err := c.nextLeaf()
	if !ok || err != nil {
		return Item{}, err
	}
	return c.load()
}

// Prev moves to the previous key. Before the first key it returns an empty Item
// and stays on the first key.
func (c *Cursor) Prev() (Item, error) {
	if c.pos == onKey && c.mods == c.t.mods {
		return c.back()
	}
	switch c.pos {
	case nowhere, pastEnd:
		return c.Last()
	}
	was := c.key
	if _, err := c.resume(); err != nil || c.leaf == nil {
		return Item{}, err
	}
	it, err := c.back()
	if err == nil && it.Key != nil && bytes.Compare(it.Key, was) >= 0 {
		return Item{}, c.disorder()
	}
	return it, err
}

// back moves one slot back from the current one.
func (c *Cursor) back() (Item, error) {
	if c.scanning == 0 {
		if c.i > 0 {
			off, _ := c.leaf.leafSlot(c.i - 1)
			c.leaf.announceCells(max(off-aheadCells, 0))
		}
		c.announce(-1)
	}
	if c.i > 0 {
		c.i--
		return c.load()
	}
	ok, err := c.prevLeaf()
	if !ok || err != nil {
		return Item{}, err
	}
	return c.load()
}

// nextLeaf moves to the first slot of the next leaf; false, without moving, if
// there is none.
func (c *Cursor) nextLeaf() (bool, error) {
	for d := len(c.path) - 1; d >= 0; d-- {
		f := &c.path[d]
		if f.i+1 == f.n.count() {
			continue
		}
		n, err := c.child(f.n, f.i+1, false)
		if err != nil {
			return false, err
		}
		f.i++
		c.path = c.path[:d+1]
		if err := c.down(n, false); err != nil {
			c.start() // between two leaves there is nothing to be on
			return false, err
		}
		c.announce(1)
		return true, nil
	}
	return false, nil
}

// prevLeaf moves to the last slot of the previous leaf; false, without moving,
// if there is none.
func (c *Cursor) prevLeaf() (bool, error) {
	for d := len(c.path) - 1; d >= 0; d-- {
		f := &c.path[d]
		if f.i == 0 {
			continue
		}
		n, err := c.child(f.n, f.i-1, true)
		if err != nil {
			return false, err
		}
		f.i--
		c.path = c.path[:d+1]
		if err := c.down(n, true); err != nil {
			c.start() // between two leaves there is nothing to be on
			return false, err
		}
		c.announce(-1)
		return true, nil
	}
	return false, nil
}

// Delete removes the key that the cursor is on. Next then returns the key behind
// it, and Prev the one before. want is as for Tree.Delete.
func (c *Cursor) Delete(want byte) (bool, error) {
	if c.pos != onKey {
		return false, nil
	}
	found, err := c.t.Delete(c.key, want)
	if err == nil {
		c.pos = offKey
	}
	return found, err
}

// At moves to the i-th key, counted from 0.
func (c *Cursor) At(i uint64) (Item, error) {
	c.start()
	n, err := c.t.rootNode()
	if n == nil || err != nil || i >= c.t.count {
		return Item{}, err
	}
	for !n.isLeaf() {
		j := 0
		for j < n.count()-1 && i >= n.childCount(j) {
			i -= n.childCount(j)
			j++
		}
		c.push(n, j)
		if n, err = c.t.child(n, j); err != nil {
			return Item{}, err
		}
	}
	if i >= uint64(n.count()) {
		return Item{}, page.Corrupt(0, page.KindLeaf, "fewer keys than its parents count")
	}
	c.enter(n, int(i))
	return c.load()
}
