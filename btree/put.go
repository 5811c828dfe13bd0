package btree

// This file is responsible for writing descents and insertion.
//
// A writing descent makes every page on its way dirty, because every one of them
// will hold another child or count. It is remembered: the next key often belongs
// into the same leaf, and then needs no descent (a sorted load does not search
// at all). Until Writer.Forget is called, the pages of the path are written without
// asking the Store for them again.

import (
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/prefetch"
)

// Writer is what the trees of one write transaction share: the path of the last
// descent and scratch memory.
type Writer struct {
	s       Store
	lim     limits
	version uint64 // how often Forget was called, and one
	owner   *Tree  // whose path it is; nil: none
	path    [MaxLevel + 1]frame
	depth   int // of the leaf in path
	fence   int // the deepest frame with a child right of the path; -1: none
	list    []entry
	arena   []byte
	sep     []byte
	ref     [keyRefSize]byte
}

// frame is a dirty node on the path, and the child or slot taken in it.
type frame struct {
	id page.ID
	n  node
	i  int
}

// NewWriter returns a Writer for trees in s.
func NewWriter(s Store) *Writer { return &Writer{s: s, lim: limitsFor(s.PageSize()), version: 1} }

// Reset makes a Writer, whose trees nobody uses any more, one for trees in s.
func (w *Writer) Reset(s Store) {
	w.Forget()
	w.s, w.lim = s, limitsFor(s.PageSize())
	clear(w.path[:]) // the pages are not to be kept alive
}

// Forget makes the Writer ask for everything again that it may write: the Store has
// taken a dirty page away, has put another buffer into its place, or wants to keep it
// as it is. The path is dropped, and own leaves are copied before the next change.
func (w *Writer) Forget() {
	w.owner = nil
	w.version++
}

// fetchMax bounds what Put fetches of a value: the processor reads on by itself.
const fetchMax = 256

// Put stores a copy of value under key.
func (t *Tree) Put(key, value []byte) error {
	// What the caller has not used for long is in no cache: the misses of the key and
	// of the value are under way together.
	prefetch.Lines(value[:min(len(value), fetchMax)])
	dst, err := t.insert(key, len(value), 0)
	if err != nil {
		return err
	}
	copy(dst, value)
	return nil
}

// PutBucket stores the payload of nested bucket key.
func (t *Tree) PutBucket(key, payload []byte) error {
	dst, err := t.insert(key, len(payload), FlagBucket)
	if err != nil {
		return err
	}
	copy(dst, payload)
	return nil
}

// Reserve stores a value of n undefined bytes under key and returns them, to be
// filled before the next change of the tree.
func (t *Tree) Reserve(key []byte, n int) ([]byte, error) { return t.insert(key, n, 0) }

// insert makes place for size bytes under key, replacing what is there, and
// returns the place. An existing key must be of the same sort as flags say.
func (t *Tree) insert(key []byte, size int, flags byte) ([]byte, error) {
	w := t.w
	if w == nil {
		return nil, errReadOnly
	}
	i, exact, ok := w.locate(t, key)
	if !ok {
		if err := w.descend(t, key); err != nil {
			return nil, err
		}
		var err error
		if i, exact, err = w.path[w.depth].n.searchLeaf(w.s, key); err != nil {
			return nil, err
		}
	}
	w.path[w.depth].i = i
	if exact {
		return w.replace(t, key, size, flags)
	}
	return w.add(t, key, size, flags)
}

// locate looks key up in the leaf that the path leads to, as searchLeaf does, with a
// short way for keys behind the last; ok is false if key may belong elsewhere.
func (w *Writer) locate(t *Tree, key []byte) (i int, exact, ok bool) {
	if w.owner != t {
		return 0, false, false
	}
	n := w.path[w.depth].n
	c := n.count()
	if c == 0 {
		return 0, false, false
	}
	cmp, err := n.compareLeafKey(w.s, key, c-1)
	switch {
	case err != nil: // the descent will meet it again
		return 0, false, false
	case cmp > 0:
		return c, false, w.inFence(key)
	case cmp == 0:
		return c - 1, true, true
	}
	i, exact, err = n.searchLeaf(w.s, key)
	return i, exact, err == nil && (i > 0 || exact)
}

// inFence tells whether key, which is behind the leaf of the path, belongs before
// what is right of the path.
func (w *Writer) inFence(key []byte) bool {
	if w.fence < 0 {
		return true
	}
	f := &w.path[w.fence]
	i, err := f.n.searchBranch(w.s, key)
	return err == nil && i == f.i
}

// startPath begins a dirty path at the root, which it returns. The path of an empty
// tree is complete with that: it gets a leaf.
func (w *Writer) startPath(t *Tree) (page.ID, node, error) {
	w.owner, w.depth, w.fence = nil, 0, -1
	if t.root == 0 {
		w.ownLeaf(t)
		w.path[0] = frame{n: t.own}
		w.owner = t
		return 0, t.own, nil
	}
	// Even if nothing else changes, the pages of a cursor's slots may go.
	t.mods++
	return w.touchRoot(t)
}

// descend makes the path to key, all of it dirty. An empty tree gets a leaf.
func (w *Writer) descend(t *Tree, key []byte) error {
	id, n, err := w.startPath(t)
	if err != nil || w.owner == t {
		return err
	}
	for d := 0; ; d++ {
		w.path[d] = frame{id: id, n: n}
		if n.isLeaf() {
			w.depth = d
			w.owner = t
			return nil
		}
		i, err := n.searchBranch(w.s, key)
		if err != nil {
			return err
		}
		if id, n, err = w.touchChild(t, n, i); err != nil {
			return err
		}
		w.path[d].i = i
		if i+1 < w.path[d].n.count() {
			w.fence = d
		}
	}
}

// touchRoot makes the root of t, a page, dirty.
func (w *Writer) touchRoot(t *Tree) (page.ID, node, error) {
	if _, err := t.rootNode(); err != nil {
		return 0, nil, err
	}
	id, p, err := w.s.Touch(t.root, t.birth)
	if err != nil {
		return 0, nil, err
	}
	t.root = id
	return id, node(p), nil
}

// touchChild makes child i of the dirty branch n dirty. One that has been verified is copied
// before it is looked at: a look would wait for memory, and then the copy again. If it is no
// child of n then, the tree has changed already: the transaction must not be committed.
func (w *Writer) touchChild(t *Tree, n node, i int) (page.ID, node, error) {
	old := n.childID(i)
	if _, ok := w.s.Peek(old); !ok {
		if _, err := t.child(n, i); err != nil {
			return 0, nil, err
		}
	}
	id, c, err := w.touchKnown(n, i)
	if err == nil {
		err = n.checkLevel(c, old)
	}
	return id, c, err
}

// touchKnown is touchChild for a child that has been read.
func (w *Writer) touchKnown(n node, i int) (page.ID, node, error) {
	old := n.childID(i)
	id, p, err := w.s.Touch(old, n.childBirth(i))
	if err != nil {
		return 0, nil, err
	}
	if id != old {
		n.setChildID(i, id)
	}
	return id, node(p), nil
}

// replace gives the key that the path leads to another payload.
func (w *Writer) replace(t *Tree, key []byte, size int, flags byte) ([]byte, error) {
	f := &w.path[w.depth]
	old := f.n.leafCell(f.i)
	if (old.flags^flags)&FlagBucket != 0 {
		return nil, ErrIncompatible
	}
	flags |= old.flags & FlagKeyRun
	stub := old.key
	cellSize := leafCellHeader + len(stub) + len(old.keyRef)
	payload := size
	if cellSize+size > w.lim.cell {
		flags |= FlagValueRun
		payload = valueRefSize
	}
	if !w.s.Exposed() && old.flags&FlagValueRun == 0 && flags == old.flags && len(old.payload) == payload {
		t.mods++
		return old.payload, nil // nobody can have seen it: in place
	}
	w.freeValue(&old)
	if old.flags&FlagValueRun != 0 && flags == old.flags {
		t.mods++
		return w.payload(old.payload, size, flags), nil // nobody sees references
	}
	if f.id == 0 && flags != 0 {
		w.promote(t, 0) // only plain cells may live in a parent's leaf
		stub = f.n.leafKeyStub(f.i)
	}
	h := f.n.hint().replaced(f.i)
	cell := f.n.replaceLeafCell(f.i, stub, flags, payload)
	ref := old.keyRef
	if cell == nil {
		// The old cell has to go before the others move together, and its buffer
		// may go with them.
		stub = key[:len(stub)]
		ref = append(w.ref[:0], ref...)
		f.n.removeLeafCell(f.i)
		if !w.compact(t, w.depth, cellSize+payload+leafEntrySize) {
			return w.split(t, newCell{key, stub, ref, size, payload, flags, 0, h})
		}
		cell = f.n.addLeafCell(f.i, stub, flags, payload)
	}
	f.n.setHint(h)
	t.mods++
	w.addFlags(flags)
	copy(cell[leafCellHeader+len(stub):], ref)
	return w.payload(cell[len(cell)-payload:], size, flags), nil
}

// add inserts key at the slot that the path leads to.
func (w *Writer) add(t *Tree, key []byte, size int, flags byte) ([]byte, error) {
	stub := key
	var ref []byte
	if len(key) > w.lim.inlineKey {
		flags |= FlagKeyRun
		stub = key[:w.lim.stubKey]
		ref = w.newKeyRun(key)
	}
	cellSize := leafCellHeader + len(stub) + len(ref)
	payload := size
	if cellSize+size > w.lim.cell {
		flags |= FlagValueRun
		payload = valueRefSize
	}
	f := &w.path[w.depth]
	if f.id == 0 && flags != 0 {
		w.promote(t, 0) // only plain cells may live in a parent's leaf
	}
	h := f.n.hint().inserted(f.i)
	cell := f.n.addLeafCell(f.i, stub, flags, payload)
	if cell == nil && w.compact(t, w.depth, cellSize+payload+leafEntrySize) {
		cell = f.n.addLeafCell(f.i, stub, flags, payload)
	}
	if cell == nil {
		return w.split(t, newCell{key, stub, ref, size, payload, flags, 1, h})
	}
	f.n.setHint(h)
	w.counted(t, 1, flags)
	copy(cell[leafCellHeader+len(stub):], ref)
	return w.payload(cell[len(cell)-payload:], size, flags), nil
}

// counted enters delta cells below the path's leaf, with their flags.
func (w *Writer) counted(t *Tree, delta uint64, flags byte) {
	t.mods++
	t.count += delta
	for d := range w.depth {
		f := &w.path[d]
		f.n.addTally(f.i, delta, flags)
	}
}

func (w *Writer) addFlags(flags byte) {
	if flags == 0 {
		return
	}
	for d := range w.depth {
		f := &w.path[d]
		f.n.addTally(f.i, 0, flags)
	}
}

// payload returns the place for a value of size bytes in a new cell.
func (w *Writer) payload(b []byte, size int, flags byte) []byte {
	if flags&FlagValueRun == 0 {
		return b
	}
	id, data := w.s.AllocateRun(size)
	encodeValueRef(b, size, id, 0)
	return data
}

// newKeyRun writes key to a run and returns its reference.
func (w *Writer) newKeyRun(key []byte) []byte {
	id, data := w.s.AllocateRun(len(key))
	copy(data, key)
	ref := make([]byte, keyRefSize)
	encodeKeyRef(ref, len(key), id, 0)
	return ref
}

// freeValue and freeKey give the runs of a cell back.
func (w *Writer) freeValue(c *leafCell) {
	if c.flags&FlagValueRun != 0 {
		n, id, birth := decodeValueRef(c.payload)
		w.s.Free(id, RunPages(n, w.lim.pageSize), birth)
	}
}

func (w *Writer) freeKey(ref []byte) {
	if len(ref) != 0 {
		n, id, birth := decodeKeyRef(ref)
		w.s.Free(id, RunPages(n, w.lim.pageSize), birth)
	}
}

// compact lays the cells of the leaf at depth d out afresh so that need bytes
// become free; false, with nothing changed, if they are not there.
func (w *Writer) compact(t *Tree, d, need int) bool {
	f := &w.path[d]
	if f.id == 0 {
		return w.growOwn(t, need)
	}
	if page.HeaderSize+f.n.usedLeafPage()+need > len(f.n) {
		return false
	}
	dst := w.s.Spare()
	h := f.n.hint()
	if !layoutLeaf(node(dst), need, cells{f.n, 0, f.n.count()}) {
		w.s.Recycle(dst)
		return false
	}
	node(dst).setHint(h)
	w.s.Replace(f.id, dst)
	f.n = node(dst)
	return true
}
