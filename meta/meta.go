package meta

import (
	"cmp"
	"slices"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for what a meta is and how much fits into one.

// Version is the format version that this package writes, and the newest that it
// reads.
const Version = 1

// MaxTxID bounds transaction numbers so far from overflow that recovery can skip
// ahead as often as it likes.
const MaxTxID page.TxID = 1 << 62

// Meta describes one commit.
type Meta struct {
	PageSize uint32
	FileID   uint64 // random, drawn when the file was created
	TxID     page.TxID

	// Synced says that everything the commit wrote was durable before this meta
	// was written (two flushes). The record is empty then.
	Synced bool
	// Clean says that the meta was written when the file was closed: nothing
	// was in flight, so there is nothing to recover.
	Clean bool
	// Weak says that what has been written since transaction Since, which was
	// durable, need not be durable, and that no record lists it: recovery finds it
	// in the trees, by the births of pages.
	Weak  bool
	Since page.TxID

	Root      Root
	HighWater page.ID // first page that was never used
	Freelist  Freelist

	// Record lists what the commit's flush wrote, if it was one flush with this
	// meta, in ascending order of ID.
	Record []Unit
}

// Root describes the tree of the root bucket.
type Root struct {
	ID       page.ID // 0: the tree is empty
	Birth    page.TxID
	Count    uint64 // keys
	Sequence uint64
}

// Freelist says where the free pages are recorded.
type Freelist struct {
	Head      page.ID // newest freelist page; 0: there is none
	HeadBirth page.TxID
	HeadPages uint32 // pages in the run of the head
	FreePages uint64 // free and pending
	Tail      []byte // deltas that are in no freelist page yet
}

// Unit is a page or a run that a commit wrote.
type Unit struct {
	ID  page.ID // its first page
	Sum uint64  // the checksum in its header
}

// Room returns how many bytes are left in the meta page. If it is negative, the
// meta does not fit. It may sort the record.
func (m *Meta) Room() int {
	sortRecord(m.Record)
	room := bodySize - len(m.Freelist.Tail) - len(appendIDs(nil, m.Record)) - sumSize*len(m.Record)
	if m.Weak {
		room -= sinceSize
	}
	return room
}

// Fits tells whether Encode can encode m: whether tail and record fit beside each
// other. It may sort the record.
func (m *Meta) Fits() bool { return m.Room() >= 0 }

// sinceSize is what Since takes, behind the tail.
const sinceSize = 8

func sortRecord(r []Unit) {
	byID := func(a, b Unit) int { return cmp.Compare(a.ID, b.ID) }
	if !slices.IsSortedFunc(r, byID) {
		slices.SortFunc(r, byID)
	}
}
