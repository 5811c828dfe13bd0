package btree

// This file is responsible for where things are in a node, and for the limits
// that follow from the page size.
//
// A node is a page (or, for a small nested bucket, a piece of its parent's
// leaf) that begins with the page header and the prefix which all of its keys
// share, padded to a multiple of four bytes. Arrays follow, one element for each
// cell and in key order; the cell area grows from the end of the node towards
// them.
//
//	leaf:   header | prefix | heads 4n | slots 4n           | gap | cells
//	branch: header | prefix | heads 4n | ids 8n | slots 4n | births 8n | counts 8n | gap | cells
//
//	head    the first four bytes of the key after the prefix, zero-padded, as an
//	        integer that sorts like the key: a search compares integers in a dense
//	        array and looks into a cell only when two heads are equal
//	slot    offset of the cell in the node (2 bytes), key bytes in the cell (2)
//	id, birth, count
//	        of the child; the top byte of count holds the flags of all that lies
//	        below the child
//
// Leaf cell:   flags (1), payload bytes (2), key, [key reference], payload
// Branch cell: separator after prefix and head, [key reference]
//
// The slot of a branch cell gives the length of the separator after the prefix,
// the head included, and its top bit says that a key reference follows. A
// separator of at most four bytes after the prefix needs no cell at all. Cell 0
// of a branch has no separator: its child takes every key below separator 1.
//
// A key too long for the node has its first bytes there, and a key reference:
// length (2), run id (8), birth (8) of the overflow run that holds all of it.
// A value too long has as payload a value reference: length (4), id (8), birth
// (8). The payload of a nested bucket is a Header, followed by the bucket's only
// leaf if it is small enough to live there.
//
// While a node is in memory, the upper half of its run length, which is 1 in the file, has
// another use: of a leaf it counts the bytes of the cell area that no slot refers to any
// more, of a branch it tells whether separators have come or gone since its cells were
// in order.
//
// Rules that everything here keeps:
//
//	B1  Keys in a node ascend strictly; keys below child i are >= separator i and
//	    < separator i+1.
//	B2  Bytes of a leaf's cells never change once written, until the transaction
//	    ends: slices of them are in the hands of the application. New cells go
//	    into the gap; a node is defragmented by moving to another buffer.
//	    (Store.Exposed tells when nobody can hold any.)
//	B3  A branch entry's count is the number of leaf cells below it, and its
//	    flags are those of all cells below it or more, never less.
//	B4  Levels drop by one from parent to child, so every descent ends.
//	B5  No node is empty; a tree without keys has no pages.
//	B6  In the file, the cells of a node ascend in memory as their slots do, and do
//	    not overlap.

import (
	"encoding/binary"

	"github.com/foliodb/folio/internal/page"
)

var le = binary.LittleEndian

// Sizes of the elements of a node in bytes.
const (
	headSize        = 4
	slotSize        = 4
	leafEntrySize   = headSize + slotSize
	branchEntrySize = headSize + slotSize + 8 + 8 + 8
	leafCellHeader  = 3
	keyRefSize      = 2 + 8 + 8
	valueRefSize    = 4 + 8 + 8
)

// Flags of a leaf cell. FlagValueRun, FlagKeyRun and FlagBucket also go into the
// branch entries above, where they stand for "somewhere below".
const (
	FlagValueRun = 1 << 0 // the payload refers to an overflow run
	FlagKeyRun   = 1 << 1 // the key continues in an overflow run
	FlagBucket   = 1 << 2 // the payload is a Header: a nested bucket
	flagsKnown   = FlagValueRun | FlagKeyRun | FlagBucket
)

const (
	countBits = 56
	countMask = 1<<countBits - 1
	sepRunBit = 1 << 15 // in a branch slot's length: a key reference follows
)

// MaxLevel bounds the height of a tree, and with it every descent. With at
// least three children to a branch it is beyond any file.
const MaxLevel = 23

// MaxKeySize and MaxValueSize are the longest key and value in bytes.
const (
	MaxKeySize   = 32768
	MaxValueSize = 1<<31 - 1
)

// limits are what the page size decides.
type limits struct {
	pageSize  int
	inlineKey int // a longer key goes to a run
	stubKey   int // and leaves this many bytes in the node
	cell      int // a leaf cell longer than this sends its value to a run
	bucket    int // a nested bucket in more bytes than this has a page of its own
}

func limitsFor(pageSize int) limits {
	return limits{
		pageSize:  pageSize,
		inlineKey: pageSize / 8,
		stubKey:   pageSize / 16,
		// Two of the longest fill a leaf, with their entries. So whatever cell comes into a
		// full leaf, all of them fit into two (splitPoint).
		cell:   (pageSize-page.HeaderSize)/2 - leafEntrySize,
		bucket: pageSize / 4,
	}
}

// MaxInlineBucket returns the most bytes that the payload of a nested bucket
// with a name of nameLen bytes may take for the bucket to stay in its parent's
// leaf.
func MaxInlineBucket(pageSize, nameLen int) int {
	l := limitsFor(pageSize)
	if nameLen > l.inlineKey {
		nameLen = l.stubKey + keyRefSize
	}
	return l.bucket - leafCellHeader - nameLen
}

// node is the bytes of a node. Its length counts: cells are laid out from the
// end.
type node []byte

func (n node) header() page.Page { return page.Page(n) }
func (n node) count() int        { return int(le.Uint16(n[page.OffCount:])) }
func (n node) prefixLen() int    { return int(le.Uint16(n[page.OffPrefixLen:])) }
func (n node) level() int        { return int(n[page.OffLevel]) }
func (n node) isLeaf() bool      { return n[page.OffLevel] == 0 }

// isNode tells nodes from runs, whose first pages can have been verified too.
func (n node) isNode() bool { return n[page.OffKind]|1 == byte(page.KindLeaf) }

// base is where the arrays begin.
func base(prefixLen int) int { return page.HeaderSize + (prefixLen+3)&^3 }

func (n node) base() int      { return base(n.prefixLen()) }
func (n node) prefix() []byte { return n[page.HeaderSize : page.HeaderSize+n.prefixLen()] }

// Offsets of the arrays of a node with c cells whose arrays begin at b.
func leafSlots(b, c int) int    { return b + headSize*c }
func leafEnd(b, c int) int      { return b + leafEntrySize*c }
func branchIDs(b, c int) int    { return b + headSize*c }
func branchSlots(b, c int) int  { return b + (headSize+8)*c }
func branchBirths(b, c int) int { return b + (headSize+8+slotSize)*c }
func branchCounts(b, c int) int { return b + (headSize+8+slotSize+8)*c }
func branchEnd(b, c int) int    { return b + branchEntrySize*c }

// gap is the number of bytes between the arrays and the cells.
func (n node) gap() int {
	end := leafEnd(n.base(), n.count())
	if !n.isLeaf() {
		end = branchEnd(n.base(), n.count())
	}
	return len(n) - n.header().CellBytes() - end
}

// head returns the sortable integer of the first four bytes of k.
func head(k []byte) uint32 {
	if len(k) >= 4 {
		return binary.BigEndian.Uint32(k)
	}
	var h uint32
	for i, c := range k {
		h |= uint32(c) << (24 - 8*i)
	}
	return h
}

// commonPrefix returns how many leading bytes a and b share.
func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
