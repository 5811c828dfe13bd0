// Package freelist knows which pages of a file are in use, pending or free.
//
// It is part of folio and carries no compatibility promise: only the root
// package should import it.
//
// A page is free when a transaction may overwrite it, pending when it left the
// tree but a snapshot or the recovery fallback still needs its bytes, and in
// use otherwise. A List holds the free and the pending ones as extents; the
// beginning of the file can be a zone for pages that are replaced soon, with its
// own way of allocation, and elsewhere a head goes from one long extent to the next.
// A List does no I/O and never learns who reads: it is told which snapshots are live.
// It keeps no lock; the caller, who holds the writer lock, calls it from one goroutine
// at a time, or, while none changes it, looks at it from several (FreeAround, ZoneEnd
// and ZoneNext).
//
// On disk the set is a checkpoint, which holds every extent, and the deltas of
// the commits since. Snapshots die with the processes that hold them, so the
// disk does not tell free from pending: after a reopen everything is free, but for
// what HoldSince is told that other processes read.
//
// # Format
//
// Numbers are unsigned varints (encoding/binary) in their shortest form.
//
// A checkpoint; no bytes at all stand for an empty one:
//
//	Field     Meaning
//	count     number of extents
//	extents   the extents, ascending, with at least one page between two
//
// A delta, what one commit did; deltas follow each other without padding:
//
//	Field     Meaning
//	txid      transaction; never below that of the delta before
//	taken     number of extents that were free before and are not after
//	freed     number of extents that left the tree
//	extents   those taken, then those freed, each list as in a checkpoint
//
// An extent:
//
//	Field     Meaning
//	gap<<1|m  pages between this extent and the lowest place that it could
//	          have: page.FirstID for the first of a list, else the end of
//	          the extent before plus one; m is 1 if it has several pages
//	length-2  pages less two; only present if m is 1
//
// Taken extents leave the set before the freed ones enter it. Pages cut off the
// end of the file count as taken.
package freelist
