package meta

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

// Field is a line of the table of a layout.
type Field struct {
	Offset, Size  int // bytes
	Name, Meaning string
}

// Layout returns the fields of a meta page in the order in which they lie there,
// without gaps. docs/format.md is made from it.
func Layout() []Field {
	return []Field{
		{offMagic, 8, "magic", "89 66 6f 6c 69 6f 0d 0a; here in every version"},
		{offVersion, 4, "version", "format version, 1; here in every version"},
		{offPageSize, 4, "page size", "bytes; a power of two from 4096 to 65536"},
		{offFileID, 8, "file id", "random, drawn at creation; part of every checksum's seed; here in every version"},
		{offTxID, 8, "txid", "transaction that this meta commits"},
		{offRootID, 8, "root id", "root page of the root bucket's tree; 0: the tree is empty"},
		{offRootBirth, 8, "root birth", "transaction that wrote the root page"},
		{offRootCount, 8, "root count", "keys in the root bucket"},
		{offRootSequence, 8, "root sequence", "sequence number of the root bucket"},
		{offHighWater, 8, "high-water mark", "first page id never used"},
		{offFreelistHead, 8, "freelist head", "newest freelist page; 0: there is none"},
		{offFreelistBirth, 8, "freelist birth", "transaction that wrote the freelist head"},
		{offFreePages, 8, "free pages", "number of free and pending pages"},
		{offHeadPages, 4, "head pages", "pages in the run of the freelist head"},
		{offFlags, 4, "flags", "1: synced, all was durable before this meta was written; 2: clean, written at close; 4: weak, recovery looks at the trees"},
		{offTailSize, 2, "tail size", "bytes of freelist deltas at the start of the body"},
		{offRecordCount, 2, "record count", "units in the commit record: pages and runs that this flush wrote"},
		{offRecordIDSize, 2, "record id size", "bytes of the units' ids, which follow the tail"},
		{offReserved, 2, "reserved", "zero"},
		{offBody, bodySize, "body", "tail; ids of the units; 8-byte checksums of the units in the same order; zeros; in a weak meta the tail, 8 bytes: the transaction that was durable, zeros"},
		{offChecksum, 8, "checksum", "xxh64 of all bytes before it, seeded with slot and file id; here in every version"},
	}
}
