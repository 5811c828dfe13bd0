// Package page holds what every other package of folio must agree on about
// pages: their ids, the 32-byte header that starts each of them, and the
// checksum that covers them. It does no I/O and knows no tree.
//
// Everything on disk is little-endian, whatever the machine is.
package page

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// ID is the number of a page: its offset in the file divided by the page size.
// Pages 0 and 1 are the meta pages, so 0 also means "no page".
type ID uint64

// TxID is the number of a write transaction. A page's TxID is its birth: the
// transaction whose commit wrote it.
type TxID uint64

// Page sizes that a file can have: powers of two from MinSize to MaxSize.
const (
	MinSize     = 4 << 10
	MaxSize     = 64 << 10
	DefaultSize = 4 << 10
)

// NumMetas is the number of meta pages at the start of a file; FirstID is the
// first page that can hold anything else.
const (
	NumMetas    = 2
	FirstID  ID = NumMetas
)

// MaxID bounds page ids far below anything whose byte offset could overflow an
// int64 at the largest page size.
const MaxID ID = 1 << 46

// Kind says what a page holds.
type Kind uint8

// The kinds of pages. Zero is none of them, so that a zeroed page is damage.
const (
	KindBranch   Kind = 2
	KindLeaf     Kind = 3
	KindOverflow Kind = 4
	KindFreelist Kind = 5
)

// String returns the kind's name as the documentation uses it.
func (k Kind) String() string {
	switch k {
	case KindBranch:
		return "branch"
	case KindLeaf:
		return "leaf"
	case KindOverflow:
		return "overflow"
	case KindFreelist:
		return "freelist"
	}
	return "unknown"
}

// Header layout. Offsets are bytes from the start of the page.
//
//	0        8        16    17     18      20         22        24       28      32
//	| checksum | txid  | kind | level | count | prefixLen | cellBytes | runLen | hint |
const (
	OffChecksum  = 0  // xxh64 of the rest of the page, seeded, xor the file id (see ComputeChecksum)
	OffTxID      = 8  // birth
	OffKind      = 16 // Kind
	OffLevel     = 17 // height above the leaves; 0 in a leaf
	OffCount     = 18 // cells in a node
	OffPrefixLen = 20 // bytes of the prefix that all keys of a node share
	OffCellBytes = 22 // bytes of a node's cell area, counted from the page's end
	OffRunLen    = 24 // pages in the run that this header starts; 1 for a node
	OffHint      = 28 // a node's insertion pattern; advice only, any value is valid
	HeaderSize   = 32
)

// Page is the bytes of one page, or of a whole run. The accessors need
// len(p) >= HeaderSize; the setters need memory that may be written.
type Page []byte

// Checksum returns the stored checksum.
func (p Page) Checksum() uint64 { return binary.LittleEndian.Uint64(p[OffChecksum:]) }

// TxID returns the birth: the transaction that wrote the page.
func (p Page) TxID() TxID { return TxID(binary.LittleEndian.Uint64(p[OffTxID:])) }

// Kind returns what the page holds.
func (p Page) Kind() Kind { return Kind(p[OffKind]) }

// Level returns the node's height above the leaves.
func (p Page) Level() int { return int(p[OffLevel]) }

// Count returns the number of cells of a node.
func (p Page) Count() int { return int(binary.LittleEndian.Uint16(p[OffCount:])) }

// PrefixLen returns the length in bytes of the prefix that a node's keys share.
func (p Page) PrefixLen() int { return int(binary.LittleEndian.Uint16(p[OffPrefixLen:])) }

// CellBytes returns the size in bytes of a node's cell area.
func (p Page) CellBytes() int { return int(binary.LittleEndian.Uint16(p[OffCellBytes:])) }

// RunLen returns the number of pages in the run.
func (p Page) RunLen() uint32 { return binary.LittleEndian.Uint32(p[OffRunLen:]) }

// Hint returns the insertion pattern.
func (p Page) Hint() uint32 { return binary.LittleEndian.Uint32(p[OffHint:]) }

// SetTxID sets the birth.
func (p Page) SetTxID(id TxID) { binary.LittleEndian.PutUint64(p[OffTxID:], uint64(id)) }

// SetCount sets the number of cells.
func (p Page) SetCount(n int) { binary.LittleEndian.PutUint16(p[OffCount:], uint16(n)) }

// SetPrefixLen sets the length of the shared prefix.
func (p Page) SetPrefixLen(n int) { binary.LittleEndian.PutUint16(p[OffPrefixLen:], uint16(n)) }

// SetCellBytes sets the size of the cell area.
func (p Page) SetCellBytes(n int) { binary.LittleEndian.PutUint16(p[OffCellBytes:], uint16(n)) }

// SetHint sets the insertion pattern.
func (p Page) SetHint(h uint32) { binary.LittleEndian.PutUint32(p[OffHint:], h) }

// Init writes the header of an empty page of the given kind and clears every
// other header field.
func (p Page) Init(kind Kind, level int, runLen uint32) {
	clear(p[:HeaderSize])
	p[OffKind] = byte(kind)
	p[OffLevel] = byte(level)
	binary.LittleEndian.PutUint32(p[OffRunLen:], runLen)
}

// Seed returns the seed of the checksum of page id in the file with the random
// id fileID, so that a page that ends up in another place has the wrong checksum
// there.
func Seed(id ID, fileID uint64) uint64 {
	// The finalizer of splitmix64 spreads neighbouring ids over all bits.
	x := uint64(id)*0x9E3779B97F4A7C15 + fileID
	x ^= x >> 30
	x *= 0xBF58476D1CE4E5B9
	x ^= x >> 27
	x *= 0x94D049BB133111EB
	return x ^ x>>31
}

// Sum returns the checksum of b, which is not the start of a page, under a seed.
func Sum(b []byte, seed uint64) uint64 {
	var d xxhash.Digest
	d.ResetWithSeed(seed)
	d.Write(b) // never fails
	return d.Sum64()
}

// ComputeChecksum returns what the checksum field of p must hold. For a run, p
// is what the run's checksum covers (see the packages that define runs).
//
// The file id is outside of the hash: so any whole page tells it, should both meta
// pages be lost (FileID).
func (p Page) ComputeChecksum(id ID, fileID uint64) uint64 {
	return Sum(p[OffChecksum+8:], Seed(id, 0)) ^ fileID
}

// FileID returns the id of the file in which p is whole as page id. Whole pages of
// a file agree about it; of a damaged one it is a number that no other page says.
func (p Page) FileID(id ID) uint64 { return p.ComputeChecksum(id, p.Checksum()) }

// Seal stores the checksum of p. Nothing in p may change afterwards.
func (p Page) Seal(id ID, fileID uint64) {
	binary.LittleEndian.PutUint64(p[OffChecksum:], p.ComputeChecksum(id, fileID))
}
