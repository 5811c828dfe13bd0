package btree

import "github.com/foliodb/folio/internal/page"

// Tables returns the tables of what this package puts into pages.
func Tables() []page.Table {
	return []page.Table{
		{Name: "Leaf cell", Fields: []page.Field{
			{Offset: 0, Size: 1, Name: "flags", Meaning: "1 value in a run, 2 key in a run, 4 nested bucket"},
			{Offset: 1, Size: 2, Name: "payload length", Meaning: "bytes of the payload"},
			{Offset: leafCellHeader, Name: "key", Meaning: "as many bytes as the slot says; the first ones of a key in a run"},
			{Offset: leafCellHeader, Size: keyRefSize, Name: "key reference", Meaning: "behind the key, with flag 2 only"},
			{Offset: leafCellHeader, Name: "payload", Meaning: "the value, a value reference, or a bucket header and its own leaf"},
		}},
		{Name: "Key reference", Fields: []page.Field{
			{Offset: 0, Size: 2, Name: "length", Meaning: "bytes of the key"},
			{Offset: 2, Size: 8, Name: "id", Meaning: "first page of the run"},
			{Offset: 10, Size: 8, Name: "birth", Meaning: "txid of the run"},
		}},
		{Name: "Value reference", Fields: []page.Field{
			{Offset: 0, Size: 4, Name: "length", Meaning: "bytes of the value"},
			{Offset: 4, Size: 8, Name: "id", Meaning: "first page of the run"},
			{Offset: 12, Size: 8, Name: "birth", Meaning: "txid of the run"},
		}},
		{Name: "Bucket header", Fields: []page.Field{
			{Offset: 0, Size: 8, Name: "root", Meaning: "root page of the bucket's tree; 0: its own leaf follows, if it has keys"},
			{Offset: 8, Size: 8, Name: "birth", Meaning: "txid of the root page"},
			{Offset: 16, Size: 8, Name: "count", Meaning: "keys in the bucket"},
			{Offset: 24, Size: 8, Name: "sequence", Meaning: "the bucket's sequence number"},
			{Offset: HeaderSize, Name: "own leaf", Meaning: "a leaf node of exactly the remaining length, without references"},
		}},
		{Name: "Overflow run", Fields: []page.Field{
			{Offset: offRunData, Size: 8, Name: "data length", Meaning: "bytes of the value or key"},
			{Offset: offRunSums, Name: "chunk sums", Meaning: "8 bytes for each 64 KiB of data: xxh64, seeded with the page's seed plus 1 + the chunk's number"},
			{Offset: 0, Name: "data", Meaning: "at the next multiple of 16, in one piece; zeroes to the end of the run"},
		}},
	}
}
