package meta

import "github.com/foliodb/folio/internal/page"

// This file is responsible for where the fields of a meta page are. Numbers are
// little-endian. Rules:
//
//	M3  Magic, version, file id and checksum stay where they are in all versions,
//	    so that any version can tell a newer file from a damaged one.
//	M4  The checksum is xxh64 of all bytes before it, under the seed
//	    page.Seed(slot, file id): a meta is whole in its own slot only.
//	M5  Reserved bytes, unknown flags and what the body does not use are zero.

// Size is the number of bytes of a meta page that are used, at every page size:
// the smallest that a page can have. The rest of the page is zero.
const Size = 4096

// Magic starts every file. The first byte is no text, and the last two do not
// survive a conversion of line ends.
var Magic = [8]byte{0x89, 'f', 'o', 'l', 'i', 'o', '\r', '\n'}

const (
	offMagic         = 0
	offVersion       = 8
	offPageSize      = 12
	offFileID        = 16
	offTxID          = 24
	offRootID        = 32
	offRootBirth     = 40
	offRootCount     = 48
	offRootSequence  = 56
	offHighWater     = 64
	offFreelistHead  = 72
	offFreelistBirth = 80
	offFreePages     = 88
	offHeadPages     = 96
	offFlags         = 100
	offTailSize      = 104
	offRecordCount   = 106
	offRecordIDSize  = 108
	offReserved      = 110
	offBody          = 112
	offChecksum      = Size - 8

	bodySize = offChecksum - offBody
)

// The body size must fit the 16 bits of the sizes in it.
const _ = uint16(bodySize)

// Flags.
const (
	flagSynced = 1 << 0
	flagClean  = 1 << 1
	flagWeak   = 1 << 2
	flagsKnown = flagSynced | flagClean | flagWeak
)

// Layout returns the fields of a meta page in the order in which they lie there,
// without gaps. docs/format.md is made from it.
func Layout() []page.Field {
	return []page.Field{
		{Offset: offMagic, Size: 8, Name: "magic", Meaning: "89 66 6f 6c 69 6f 0d 0a; here in every version"},
		{Offset: offVersion, Size: 4, Name: "version", Meaning: "format version, 1; here in every version"},
		{Offset: offPageSize, Size: 4, Name: "page size", Meaning: "bytes; a power of two from 4096 to 65536"},
		{Offset: offFileID, Size: 8, Name: "file id", Meaning: "random, drawn at creation; part of every checksum's seed; here in every version"},
		{Offset: offTxID, Size: 8, Name: "txid", Meaning: "transaction that this meta commits"},
		{Offset: offRootID, Size: 8, Name: "root id", Meaning: "root page of the root bucket's tree; 0: the tree is empty"},
		{Offset: offRootBirth, Size: 8, Name: "root birth", Meaning: "transaction that wrote the root page"},
		{Offset: offRootCount, Size: 8, Name: "root count", Meaning: "keys in the root bucket"},
		{Offset: offRootSequence, Size: 8, Name: "root sequence", Meaning: "sequence number of the root bucket"},
		{Offset: offHighWater, Size: 8, Name: "high-water mark", Meaning: "first page id never used"},
		{Offset: offFreelistHead, Size: 8, Name: "freelist head", Meaning: "newest freelist page; 0: there is none"},
		{Offset: offFreelistBirth, Size: 8, Name: "freelist birth", Meaning: "transaction that wrote the freelist head"},
		{Offset: offFreePages, Size: 8, Name: "free pages", Meaning: "number of free and pending pages"},
		{Offset: offHeadPages, Size: 4, Name: "head pages", Meaning: "pages in the run of the freelist head"},
		{Offset: offFlags, Size: 4, Name: "flags", Meaning: "1: synced, all was durable before this meta was written; 2: clean, written at close; 4: weak, recovery looks at the trees"},
		{Offset: offTailSize, Size: 2, Name: "tail size", Meaning: "bytes of freelist deltas at the start of the body"},
		{Offset: offRecordCount, Size: 2, Name: "record count", Meaning: "units in the commit record: pages and runs that this flush wrote"},
		{Offset: offRecordIDSize, Size: 2, Name: "record id size", Meaning: "bytes of the units' ids, which follow the tail"},
		{Offset: offReserved, Size: 2, Name: "reserved", Meaning: "zero"},
		{Offset: offBody, Size: bodySize, Name: "body", Meaning: "tail; ids of the units; 8-byte checksums of the units in the same order; zeros; in a weak meta the tail, 8 bytes: the transaction that was durable, zeros"},
		{Offset: offChecksum, Size: 8, Name: "checksum", Meaning: "xxh64 of all bytes before it, seeded with slot and file id; here in every version"},
	}
}
