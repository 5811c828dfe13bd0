package sidecar

// This file is responsible for what is where in the file. Everything is a native
// machine word of 64 bits: the file never outlives a boot of the machine.
//
//	page 0       the header
//	pages 1-2    the published meta, the newest in page 1 + Seq%2
//	pages 3-18   the ring of written extents
//	pages 19-    blocks of slots

import "sync/atomic"

const (
	pageSize    = 4096
	metaOff     = 1 * pageSize
	ringOff     = 3 * pageSize
	ringEntries = 4096
	blocksOff   = ringOff + ringEntries*16
	maxBlocks   = 4096
	mapLength   = blocksOff + maxBlocks*pageSize
)

// MetaSize is the most bytes that Publish takes.
const MetaSize = pageSize

// SlotsPerBlock is how many slots Claim returns.
const SlotsPerBlock = 63

// header is page 0. What is written often has cache lines of its own.
type header struct {
	_       [labelSize]byte
	ready   atomic.Uint64 // 1 after Ready
	blocks  atomic.Uint64 // blocks that have ever been claimed
	seq     atomic.Uint64
	_       [56]byte
	failed  atomic.Uint64
	waiting atomic.Uint64 // handles in LockTx; too high after one was killed there
	_       [48]byte
	ring    ringHeader
	_       [48]byte

	counters Counters
	_        [40]byte

	// Of writers that take turns, see turn.go.
	settled  atomic.Uint64 // Seq when the last one ended in order
	nextTxID atomic.Uint64 // of the next transaction
	settler  atomic.Uint64 // owner number of the handle that has called Settle last
}

// metaWords is one of the pages 1 and 2.
type metaWords [MetaSize / 8]atomic.Uint64

// ringEntry is an extent that was written.
type ringEntry struct{ start, n atomic.Uint64 }

type ringHeader struct {
	head    atomic.Uint64 // entries that were ever noted
	reserve atomic.Uint64 // entries that are noted, or just being stored
}

// Slot is a reader's entry, alone on its cache line.
type Slot struct {
	TxID     atomic.Uint64 // of the snapshot being read; 0: free
	Begun    atomic.Uint64 // transactions that have used the slot
	Since    atomic.Int64  // when the current one began, in Unix nanoseconds
	Retained atomic.Uint64 // bytes that cannot be reused because of it, as the writer last saw it
	_        [32]byte
}

// block is a page of slots that belong to one handle.
type block struct {
	pid   atomic.Uint64
	since atomic.Int64  // when it was claimed, in Unix nanoseconds
	role  atomic.Uint64 // Role
	owner atomic.Uint64 // a random number of the handle, which can have many blocks
	space atomic.Uint64 // in which pid counts: pidSpace
	_     [24]byte
	slots [SlotsPerBlock]Slot
}

// Counters are numbers for those who watch a database, kept by who writes. Their
// sum makes no sense at any instant; each is read by itself.
type Counters struct {
	Commits      atomic.Uint64 // states that were published
	Transactions atomic.Uint64 // write transactions in them
	Pages        atomic.Uint64 // pages written
	Bytes        atomic.Uint64 // bytes written
	Flushes      atomic.Uint64 // syncs of the data file
	FileSize     atomic.Uint64 // bytes
	HighWater    atomic.Uint64 // pages of the file that have ever been used
	FreePages    atomic.Uint64 // pages below HighWater that are free
	Durable      atomic.Uint64 // txid of the newest state that is durable
	WriterPID    atomic.Uint64 // of the process in a write transaction; 0: none
	WriterSince  atomic.Int64  // when that began, in Unix nanoseconds
}
