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
	"github.com/foliodb/folio/internal/prefetch"
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

// Steps returns how many Steps the cursor can take to keys before hi, nil being
// unbounded. With values in runs, fewer may come to one.
func (c *Cursor) Steps(hi []byte) (int, error) {
	end := c.steps
	if end > 0 && hi != nil {
		var err error
		if end, _, err = c.leaf.searchLeaf(c.t.r, hi); err != nil {
			return 0, err
		}
	}
	return max(end-c.i-1, 0), nil
}

// StepsBack returns how many StepBacks the cursor can take to keys from lo on, nil being
// unbounded.
func (c *Cursor) StepsBack(lo []byte) (int, error) {
	if c.steps == 0 || lo == nil {
		return min(c.i, c.steps), nil
	}
	first, _, err := c.leaf.searchLeaf(c.t.r, lo)
	return max(c.i-first, 0), err
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
		return
	}
	f := &c.path[len(c.path)-1]
	if flags := f.n.childFlags(f.i); flags&^FlagValueRun == 0 {
		c.steps, c.loose = c.count, flags != 0 || c.t.w != nil
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
