package btree

// This file is responsible for moving through a tree in key order.
//
// A cursor remembers the slots it came through, and the key it is on. When its
// tree has changed since, the slots mean nothing any more and the key is looked
// up again; so no change of the tree makes a cursor skip a key or return one
// twice.

import (
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
	t      *Tree
	frames []cursorFrame // from the root to the leaf
	buf    [6]cursorFrame
	mods   uint64
	pos    position
	// plain says that the leaf at the end of frames is in a tree that nobody
	// changes, and that its cells have no flags and lie one behind the other, as
	// they do in the file: each ends where the next begins.
	plain bool
	key   []byte // of pos, in a tree that can change; elsewhere the frames tell
}

// cursorFrame is a node, the child or slot in it, and what the node's header says,
// for in a scan each look at the header is one too many.
type cursorFrame struct {
	n     node
	i     int
	count int
	slots int // offset of a leaf's slots
}

func (c *Cursor) push(n node, i int) {
	f := cursorFrame{n: n, i: i, count: n.count()}
	if n.isLeaf() {
		f.slots = leafSlots(n.base(), f.count)
	}
	c.plain = n.isLeaf() && c.t.w == nil && c.flagsBelow() == 0
	c.frames = append(c.frames, f)
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
	c.frames = c.buf[:0]
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
	c.frames = c.frames[:0]
	c.plain = false
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
		c.push(n, i)
		if n.isLeaf() {
			return nil
		}
		var err error
		if n, err = c.child(n, i, last); err != nil {
			return err
		}
	}
}

// aheadMax is how many pages are asked for at once by a scan.
const aheadMax = 32

// child returns child i of n, and announces those that follow it in the file if
// it has not been seen yet.
func (c *Cursor) child(n node, i int, backward bool) (node, error) {
	if n.level() == 1 && !backward {
		if _, ok := c.t.r.Peek(n.childID(i)); !ok {
			id, ahead := n.childID(i), 1
			for i+ahead < n.count() && ahead < aheadMax && n.childID(i+ahead) == id+page.ID(ahead) {
				ahead++
			}
			c.t.r.Ahead(id, ahead)
		}
	}
	return c.t.walkChild(n, i)
}

// load returns the item in the current slot.
func (c *Cursor) load() (Item, error) {
	f := &c.frames[len(c.frames)-1]
	n := f.n
	slot := f.slots + f.i*slotSize
	v := le.Uint32(n[slot : slot+slotSize])
	off := int(v & 0xffff)
	head := n[off : off+leafCellHeader]
	if head[0]&(FlagKeyRun|FlagValueRun) != 0 {
		return c.loadLong(n.leafCellAt(off, int(v>>16)))
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

// Step is Next for the common case: the next slot of the same leaf, and a leaf that
// a scan need not look into (see Cursor.plain). The key is nil in all other cases,
// and then nothing has happened.
func (c *Cursor) Step() (key, value []byte) {
	if !c.plain {
		return nil, nil
	}
	f := &c.frames[len(c.frames)-1]
	i := f.i + 1
	if i >= f.count {
		return nil, nil
	}
	n, slot := f.n, f.slots+slotSize*i
	v := le.Uint32(n[slot : slot+slotSize])
	k := int(v&0xffff) + leafCellHeader
	p, end := k+int(v>>16), len(n)
	if i+1 < f.count {
		end = int(le.Uint16(n[slot+slotSize:]))
	}
	f.i = i
	return n[k:p:p], n[p:end:end]
}

// flagsBelow returns what the node to be pushed next may have, as its parent knows.
func (c *Cursor) flagsBelow() byte {
	if len(c.frames) == 0 {
		return flagsKnown
	}
	f := &c.frames[len(c.frames)-1]
	return f.n.childFlags(f.i)
}

// loadLong is load for a cell with an overflow run.
func (c *Cursor) loadLong(cell leafCell) (Item, error) {
	key, err := c.t.key(&cell)
	if err != nil {
		return Item{}, err
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

// seek makes the frames point to the first slot >= key in key's leaf, which may
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
		if n, err = c.t.child(n, i); err != nil {
			return false, err
		}
	}
	i, exact, err := n.searchLeaf(c.t.r, key)
	if err != nil {
		return false, err
	}
	c.push(n, i)
	return exact, nil
}

// loadOrNext loads the current slot, or the first of the next leaf if the
// current one is behind its leaf's last.
func (c *Cursor) loadOrNext() (Item, error) {
	if len(c.frames) == 0 {
		return Item{}, nil
	}
	if f := &c.frames[len(c.frames)-1]; f.i < f.count {
		return c.load()
	}
	ok, err := c.nextLeaf()
	if !ok || err != nil {
		return Item{}, err
	}
	return c.load()
}

// resume looks the cursor's key up again after a change of the tree, and tells
// whether it is still there. If not, the frames point to the slot behind it.
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
		if f := &c.frames[len(c.frames)-1]; f.i+1 < f.count {
			f.i++
			return c.load()
		}
		return c.forward()
	}
	switch c.pos {
	case nowhere:
		return c.First()
	case pastEnd:
		return Item{}, nil
	}
	exact, err := c.resume()
	if err != nil {
		return Item{}, err
	}
	if exact {
		return c.forward()
	}
	return c.loadOrNext()
}

// forward moves one slot on from the slot that the frames point to.
func (c *Cursor) forward() (Item, error) {
	f := &c.frames[len(c.frames)-1]
	if f.i+1 < f.count {
		f.i++
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
	if _, err := c.resume(); err != nil || len(c.frames) == 0 {
		return Item{}, err
	}
	return c.back()
}

// back moves one slot back from the frames' position.
func (c *Cursor) back() (Item, error) {
	if f := &c.frames[len(c.frames)-1]; f.i > 0 {
		f.i--
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
	for d := len(c.frames) - 2; d >= 0; d-- {
		f := &c.frames[d]
		if f.i+1 == f.count {
			continue
		}
		n, err := c.child(f.n, f.i+1, false)
		if err != nil {
			return false, err
		}
		f.i++
		c.frames = c.frames[:d+1]
		c.warm(f, n)
		return true, c.down(n, false)
	}
	return false, nil
}

// warm loads what a scan that comes to n, the child of f, will need soon: where n's
// cells begin, and the beginning of the leaf behind it. A leaf of its own page is
// several misses one after the other; these are under way together.
func (c *Cursor) warm(f *cursorFrame, n node) {
	if !n.isLeaf() || len(n) < page.MinSize {
		return
	}
	first := len(n) - n.header().CellBytes()
	sum := n[min(first, len(n)-1)] + n[min(first+64, len(n)-1)]
	if f.i+1 < f.count {
		if p, ok := c.t.r.Peek(f.n.childID(f.i + 1)); ok && len(p) >= page.MinSize {
			sum += p[0] + p[64] + p[128] + p[192]
		}
	}
	touched(sum)
}

// prevLeaf moves to the last slot of the previous leaf; false, without moving,
// if there is none.
func (c *Cursor) prevLeaf() (bool, error) {
	for d := len(c.frames) - 2; d >= 0; d-- {
		f := &c.frames[d]
		if f.i == 0 {
			continue
		}
		n, err := c.child(f.n, f.i-1, true)
		if err != nil {
			return false, err
		}
		f.i--
		c.frames = c.frames[:d+1]
		return true, c.down(n, true)
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
	c.push(n, int(i))
	return c.load()
}
