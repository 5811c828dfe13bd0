package freelist

import (
	"encoding/binary"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for the whole list as bytes, and for putting it
// together again after a reopen. Rules:
//
//	F14  A checkpoint holds the free and the pending pages: both are free after
//	     a reopen.
//	F15  While deltas are replayed, a taken extent is free and a freed one is
//	     not, or the file is damaged.

// AppendCheckpoint appends every free and pending extent to dst (F14).
func (l *List) AppendCheckpoint(dst []byte) []byte {
	es := l.merged()
	dst = binary.AppendUvarint(dst, uint64(len(es)))
	return appendExtents(dst, es)
}

// CheckpointBound returns an upper bound of what AppendCheckpoint adds, without
// looking at the extents. Allocate, TrimTail and Release never raise it, so a caller
// may ask for it, allocate the pages for the checkpoint and then append it.
func (l *List) CheckpointBound() int {
	return extentsBound(l.Extents()+l.pending.extents,
		max(l.free.end(), l.zone.end(), l.pending.end), l.Free()+l.pending.pages)
}

// Load returns the list that a checkpoint and the deltas since describe. Each of
// deltas is a concatenation, the oldest first. Everything is free: who holds a
// snapshot after a reopen is another process (HoldSince).
//
// Pages of the result are in [page.FirstID, limit), where limit is the
// high-water mark of the newest meta. The mark was higher before a tail was
// trimmed, so limit says nothing about the states in between.
//
// An error wraps page.ErrCorrupt.
func Load(checkpoint []byte, deltas [][]byte, limit page.ID) (*List, error) {
	all := newPositions()
	if err := all.loadCheckpoint(checkpoint); err != nil {
		return nil, err
	}
	last := page.TxID(0)
	for _, b := range deltas {
		err := DecodeDeltas(b, page.MaxID, func(d Delta) error {
			if d.TxID < last {
				return corrupt("the delta of transaction %d follows that of %d", d.TxID, last)
			}
			last = d.TxID
			return all.replay(d)
		})
		if err != nil {
			return nil, err
		}
	}
	if end := all.end(); end > limit {
		return nil, corrupt("page %d is free, but the file ends at page %d", end-1, limit)
	}
	l := empty()
	all.tree.Ascend(func(e Extent) bool {
		l.free.add(e)
		return true
	})
	return l, nil
}

func (p positions) loadCheckpoint(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	r := reader{b: b}
	n, err := r.count()
	if err != nil {
		return err
	}
	es, err := r.extents(make([]Extent, 0, n), n, page.MaxID)
	if err != nil {
		return err
	}
	if len(r.b) > 0 {
		return corrupt("%d bytes follow the checkpoint", len(r.b))
	}
	for _, e := range es {
		p.tree.ReplaceOrInsert(e) // ascending and apart (F13)
	}
	return nil
}

// replay applies a delta (F15).
func (p positions) replay(d Delta) error {
	for _, e := range d.Taken {
		if !p.remove(e) {
			return corrupt("transaction %d took %d pages from page %d, but not all were free", d.TxID, e.Len, e.Start)
		}
	}
	for _, e := range d.Freed {
		if p.overlaps(e) {
			return corrupt("transaction %d freed %d pages from page %d, but some were free", d.TxID, e.Len, e.Start)
		}
		p.add(e)
	}
	return nil
}

// merged returns all extents, free and pending, merged and ascending.
func (l *List) merged() []Extent {
	held := l.pending.stretches()
	es := make([]Extent, 0, l.Extents()+len(held))
	for _, free := range []*space{&l.zone.space, &l.free} {
		for e := range free.from(page.FirstID) {
			for len(held) > 0 && held[0].Start < e.Start {
				es, held = append(es, held[0]), held[1:]
			}
			es = append(es, e)
		}
	}
	return join(append(es, held...))
}
