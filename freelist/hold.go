package freelist

import (
	"slices"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for a list that was loaded while readers of other
// processes hold snapshots older than it. Rule:
//
//	F19  A page that a snapshot s has and a newer state has not was freed by a
//	     transaction after s. A delta after s says so; or it was before the newest
//	     checkpoint, if that is after s too. So what these have freed, and nobody has
//	     taken since, is held with the number of the delta or the checkpoint as its
//	     death, and zero as its birth, which is not known: that keeps some pages too
//	     many, and none too few.

// HoldSince makes pages of l pending that snapshots may need of which oldest is the
// oldest. The list comes from Load, of the same deltas; checkpoint is the transaction
// that wrote the checkpoint, 0 if there is none. What nobody needs, Release makes free
// again. An error wraps page.ErrCorrupt.
func (l *List) HoldSince(oldest, checkpoint page.TxID, deltas [][]byte) error {
	var since []Delta
	for _, b := range deltas {
		err := DecodeDeltas(b, page.MaxID, func(d Delta) error {
			if d.TxID > oldest {
				since = append(since, Delta{TxID: d.TxID, Freed: slices.Clone(d.Freed)})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	// The newest death of a page is the one that counts.
	for _, d := range slices.Backward(since) {
		for _, e := range d.Freed {
			l.hold(e, d.TxID)
		}
	}
	if oldest < checkpoint {
		l.hold(Extent{Len: uint64(l.free.end())}, checkpoint)
	}
	return nil
}

// hold makes the free pages of e pending.
func (l *List) hold(e Extent, death page.TxID) {
	for _, x := range l.free.within(e) {
		l.free.remove(x)
		l.pending.enter(x)
		l.pending.waiting = l.pending.hang(l.pending.waiting, death, entry{Extent: x, death: death})
	}
}
