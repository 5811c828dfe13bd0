package btree

// This file is responsible for what a tree is: its root, where its pages come
// from, and how a key is looked up.

import (
	"errors"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/prefetch"
)

// Reader gives a tree its pages. What it returns stays valid and unchanged to
// the end of the transaction.
type Reader interface {
	// Peek returns node id if it has been verified before. It is called for
	// each node of each descent.
	Peek(id page.ID) (page.Page, bool)
	// Read returns node id after it has verified that it is a well-formed node
	// (Verify) that transaction birth wrote. Errors wrap page.ErrCorrupt or are
	// I/O errors.
	Read(id page.ID, birth page.TxID) (page.Page, error)
	// Trust tells that node id, which Read has returned, also is what its parent says,
	// and need not be verified again.
	Trust(id page.ID)
	// Run returns the n data bytes of the overflow run at id.
	Run(id page.ID, birth page.TxID, n int) ([]byte, error)
	// Ahead tells that the pages in [id, id+n), nodes or a run, are about to be read,
	// and many others after them.
	Ahead(id page.ID, n int)
}

// Store is a Reader whose pages can be replaced. A page that belongs to the
// transaction is dirty: only the transaction sees it, and it may be written.
type Store interface {
	Reader
	PageSize() int
	// Allocate returns a new dirty page; its bytes are undefined.
	Allocate() (page.ID, page.Page)
	// AllocateRun returns a new dirty overflow run and the place of its n data
	// bytes.
	AllocateRun(n int) (page.ID, []byte)
	// Touch returns a dirty copy of page id, and frees the original; for a dirty
	// page, the page itself.
	Touch(id page.ID, birth page.TxID) (page.ID, page.Page, error)
	// Free gives n pages from id on back.
	Free(id page.ID, n int, birth page.TxID)
	// Spare returns a buffer of one page with undefined bytes. Replace makes it
	// the content of dirty page id. Recycle takes a spare buffer back unused.
	Spare() page.Page
	Replace(id page.ID, p page.Page)
	Recycle(p page.Page)
	// Exposed tells whether the application may hold slices of dirty pages.
	Exposed() bool
}

// Errors of operations on a tree.
var (
	// ErrIncompatible means a nested bucket where a value was expected, or the
	// other way round.
	ErrIncompatible = errors.New("incompatible value")
	errReadOnly     = errors.New("read-only tree")
)

// Header is the root of a tree as its parent, or the meta page, keeps it.
//
//	0      8       16      24         32
//	| root | birth | count | sequence | the bucket's own leaf, if root is 0
type Header struct {
	Root     page.ID // 0: no pages
	Birth    page.TxID
	Count    uint64
	Sequence uint64
}

// HeaderSize is the encoded size of a Header in bytes.
const HeaderSize = 32

// DecodeHeader decodes b, of at least HeaderSize bytes.
func DecodeHeader(b []byte) Header {
	return Header{
		Root:     page.ID(le.Uint64(b)),
		Birth:    page.TxID(le.Uint64(b[8:])),
		Count:    le.Uint64(b[16:]),
		Sequence: le.Uint64(b[24:]),
	}
}

// Encode writes h to dst, of at least HeaderSize bytes.
func (h Header) Encode(dst []byte) {
	le.PutUint64(dst, uint64(h.Root))
	le.PutUint64(dst[8:], uint64(h.Birth))
	le.PutUint64(dst[16:], h.Count)
	le.PutUint64(dst[24:], h.Sequence)
}

// Tree is an ordered map in pages. It is used by one goroutine at a time.
type Tree struct {
	r     Reader
	w     *Writer // nil: read-only
	root  page.ID
	birth page.TxID
	count uint64
	own   node   // the only leaf of a tree without pages; nil if empty
	mine  uint64 // the Writer's version for which own may be written
	mods  uint64 // changes so far, for cursors
}

// Init makes t the read-only tree of h. own is what follows the header when the tree
// has no pages.
func (t *Tree) Init(r Reader, h Header, own []byte) {
	// One by one: to build a Tree and copy it takes several times as long.
	*t = Tree{}
	t.r, t.root, t.birth, t.count = r, h.Root, h.Birth, h.Count
	if h.Root == 0 && len(own) > 0 {
		t.own = node(own)
	}
}

// InitWritable is Init for a tree that may be changed. Trees of one transaction
// share a Writer.
func (t *Tree) InitWritable(w *Writer, h Header, own []byte) {
	t.Init(w.s, h, own)
	t.w = w
}

// Reset makes t, which may be changed, the tree of h and own, as InitWritable does.
// Cursors look their keys up again.
func (t *Tree) Reset(h Header, own []byte) {
	mods := t.mods
	t.InitWritable(t.w, h, own)
	t.mods = mods + 1
}

// Header returns the tree's root. The sequence is not the tree's business.
func (t *Tree) Header() Header {
	return Header{Root: t.root, Birth: t.birth, Count: t.count}
}

// Len returns the number of keys.
func (t *Tree) Len() uint64 { return t.count }

// Mods returns a number that grows with each change of the tree.
func (t *Tree) Mods() uint64 { return t.mods }

// rootNode returns the root, or nil if the tree is empty.
func (t *Tree) rootNode() (node, error) {
	if t.root == 0 {
		return t.own, nil
	}
	if p, ok := t.r.Peek(t.root); ok {
		if !node(p).isNode() {
			return nil, page.Corrupt(t.root, p.Kind(), "it is no node")
		}
		return node(p), nil
	}
	p, err := t.r.Read(t.root, t.birth)
	if err != nil {
		return nil, err
	}
	if count := node(p).keys(); count != t.count {
		return nil, page.Corrupt(t.root, p.Kind(), "the root holds %d keys, expected %d", count, t.count)
	}
	t.r.Trust(t.root)
	return node(p), nil
}

// announcedChild is announce and child in one.
func (t *Tree) announcedChild(n node, i int) (node, error) {
	if p, ok := t.r.Peek(n.childID(i)); ok {
		prefetch.Lines(p[:min(aheadHead, len(p))])
		if c := node(p); c.level() == n.level()-1 && c.isNode() {
			return c, nil
		}
	}
	return t.child(n, i) // which reads it, or says what is wrong with it
}

// child returns child i of n.
func (t *Tree) child(n node, i int) (node, error) {
	id := n.childID(i)
	p, ok := t.r.Peek(id)
	if !ok {
		var err error
		if p, err = t.r.Read(id, n.childBirth(i)); err != nil {
			return nil, err
		}
		if count := node(p).keys(); count != n.childCount(i) {
			return nil, page.Corrupt(id, p.Kind(), "%d keys, its parent counts %d", count, n.childCount(i))
		}
		if _, flags := node(p).tally(); flags&^n.childFlags(i) != 0 {
			return nil, page.Corrupt(id, p.Kind(), "it has flags %#x, its parent knows %#x", flags, n.childFlags(i))
		}
	}
	if err := n.checkLevel(node(p), id); err != nil {
		return nil, err
	}
	if !ok {
		t.r.Trust(id)
	}
	return node(p), nil
}

// checkLevel returns an error if c, page id, cannot be a child of n.
func (n node) checkLevel(c node, id page.ID) error {
	if c.level() != n.level()-1 || !c.isNode() {
		return page.Corrupt(id, page.Page(c).Kind(), "level %d below level %d", c.level(), n.level())
	}
	return nil
}

// announce asks for what a search of child i of n will look at first: header, heads
// and slots. They are several misses otherwise, each to know where the next one is.
func (t *Tree) announce(n node, i int) {
	if p, ok := t.r.Peek(n.childID(i)); ok {
		prefetch.Lines(p[:min(aheadHead, len(p))])
	}
}

// walkChild is child for walks over many nodes. It makes sure that a walk of a
// hostile file ends: a node that is reached on several ways was verified on the
// first of them only, but what its parents count in it must be the same on all.
// So a walk sees no more keys than the root counts, and Verify bounds these by the
// size of the file.
func (t *Tree) walkChild(n node, i int) (node, error) {
	if id := n.childID(i); !t.seen(id) {
		t.r.Ahead(id, 1)
	}
	return t.countedChild(n, i)
}

// seen tells whether node or run id has been verified before.
func (t *Tree) seen(id page.ID) bool {
	_, ok := t.r.Peek(id)
	return ok
}

// countedChild is walkChild for few nodes.
func (t *Tree) countedChild(n node, i int) (node, error) {
	c, err := t.child(n, i)
	if err != nil {
		return nil, err
	}
	if count := c.keys(); count != n.childCount(i) {
		return nil, page.Corrupt(n.childID(i), c.header().Kind(), "%d keys, its parent counts %d", count, n.childCount(i))
	}
	return c, nil
}

// Get returns the value of key, or the payload of the nested bucket key, with
// the flags that tell which; nil without an error if there is none. The value
// is part of a page.
func (t *Tree) Get(key []byte) ([]byte, byte, error) {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return nil, 0, err
	}
	for !n.isLeaf() {
		i, err := n.searchBranch(t.r, key)
		if err != nil {
			return nil, 0, err
		}
		if n, err = t.announcedChild(n, i); err != nil {
			return nil, 0, err
		}
	}
	i, exact, err := n.searchLeaf(t.r, key)
	if !exact || err != nil {
		return nil, 0, err
	}
	c := n.leafCell(i)
	v, err := t.value(&c)
	return v, c.flags, err
}

// value returns the value or bucket payload of c, never nil.
func (t *Tree) value(c *leafCell) ([]byte, error) {
	if c.flags&FlagValueRun == 0 {
		return c.payload, nil
	}
	n, id, birth := decodeValueRef(c.payload)
	return t.r.Run(id, birth, n)
}

// key returns the whole key of c.
func (t *Tree) key(c *leafCell) ([]byte, error) {
	if c.flags&FlagKeyRun == 0 {
		return c.key, nil
	}
	return keyRun(t.r, c.keyRef, c.key)
}
