package page

// Field is a row of a table of the format's documentation. kvctl prints the
// tables and a test compares them with docs/format.md, so that both follow the
// constants.
type Field struct {
	Offset, Size int // in bytes; a Size of 0 is variable
	Name         string
	Meaning      string
}

// Table describes one structure of the format.
type Table struct {
	Name   string
	Fields []Field
}

// Layout returns the table of the page header.
func Layout() Table {
	return Table{"Page header", []Field{
		{OffChecksum, 8, "checksum", "xxh64 of the rest of the page, seeded with the page id, xor the file id"},
		{OffTxID, 8, "txid", "birth: the transaction that wrote the page"},
		{OffKind, 1, "kind", "2 branch, 3 leaf, 4 overflow, 5 freelist"},
		{OffLevel, 1, "level", "height of a node above the leaves; 1 in a freelist checkpoint"},
		{OffCount, 2, "count", "cells of a node"},
		{OffPrefixLen, 2, "prefix length", "bytes that all keys of a node share"},
		{OffCellBytes, 2, "cell bytes", "size of a node's cell area, which ends with the page"},
		{OffRunLen, 4, "run length", "pages in the run that begins here; 1 for a node"},
		{OffHint, 4, "hint", "a node's insertion pattern: last slot (2), ascending (1), descending (1); advice only"},
	}}
}
