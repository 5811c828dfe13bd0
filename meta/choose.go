package meta

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for which of the two metas of a file holds. A slot is
// whole if its meta decodes. Both slots are written, and synced, when a file is
// created (slot 0 as transaction 1, slot 1 as transaction 0, both synced metas),
// and a commit begins to overwrite one of them only when the commit in the other
// is durable. So a crash leaves at most one slot damaged, or whole with pages
// missing, and the other holds a commit that was durable before. Rules:
//
//	M9   A slot of a newer version, checksum and all, refuses the file: nobody
//	     but that version knows what the slots mean.
//	M10  The whole meta with the highest txid is the newest. If it is clean or
//	     synced it holds. Else it holds if its record is complete.
//	M11  If the record of the newest is not complete, the other holds if it is
//	     whole and older. It needs no check, as it was durable before.
//	M12  If the only whole meta is incomplete, or none is whole, the file is
//	     damaged; if neither slot has the magic, it is no folio file.
//	M13  An error that is no verdict on bytes (reading the record failed) is
//	     returned. But a slot that cannot be read is as good as a damaged one:
//	     a write cut off by a power failure can leave either.
//	M14  Two whole metas have the same file id and page size. They have the same
//	     txid only if they describe the same state (a rewrite of the newest, for
//	     instance as clean). Then the one that needs no check is taken, and
//	     neither is a fallback for the other.

// Slot is what reading a slot gave: a meta, or the error of Decode or of the read.
type Slot struct {
	Meta Meta
	Err  error
}

// Choose returns the meta that holds, and its slot. complete tells whether all
// that the record of a meta lists is on disk; it is called for the newest meta at
// most, and an error of it that wraps page.ErrCorrupt says that something is not.
//
// why is empty if both slots were whole and the newer holds. Else it says in one
// sentence what happened.
//
// The error wraps ErrVersion, ErrNotFolio or page.ErrCorrupt, or is about I/O and
// wraps what complete or the slots had. If both slots have failed and one of them
// in I/O, it wraps that too.
func Choose(slots [2]Slot, complete func(Meta) error) (m Meta, slot int, why string, err error) {
	for _, s := range slots {
		if errors.Is(s.Err, ErrVersion) { // M9
			return Meta{}, 0, "", s.Err
		}
	}
	switch whole0, whole1 := slots[0].Err == nil, slots[1].Err == nil; {
	case !whole0 && !whole1:
		return Meta{}, 0, "", noneWhole(slots)
	case whole0 && whole1:
		if err := compatible(&slots[0].Meta, &slots[1].Meta); err != nil {
			return Meta{}, 0, "", err
		}
		if newer(&slots[1].Meta, &slots[0].Meta) {
			slot = 1
		}
	case whole1:
		slot = 1
	}
	newest, other := slots[slot].Meta, slots[1-slot]

	var missing error
	if !newest.Clean && !newest.Synced {
		missing = complete(newest)
	}
	switch {
	case missing == nil && other.Err == nil:
		return newest, slot, "", nil
	case missing == nil:
		why = fmt.Sprintf("transaction %d in slot %d holds, as slot %d is not whole (%v)",
			newest.TxID, slot, 1-slot, other.Err)
		return newest, slot, why, nil
	case !errors.Is(missing, page.ErrCorrupt): // M13
		return Meta{}, 0, "", fmt.Errorf("checking transaction %d: %w", newest.TxID, missing)
	case other.Err != nil: // M12
		return Meta{}, 0, "", fmt.Errorf("transaction %d in slot %d is not complete (%w) and slot %d is not whole (%w)",
			newest.TxID, slot, missing, 1-slot, foreign(other.Err))
	case other.Meta.TxID == newest.TxID: // M14
		return Meta{}, 0, "", fmt.Errorf("transaction %d is not complete (%w) and both slots hold it",
			newest.TxID, missing)
	}
	why = fmt.Sprintf("transaction %d in slot %d holds, as transaction %d in slot %d was in flight and is not complete (%v)",
		other.Meta.TxID, 1-slot, newest.TxID, slot, missing)
	return other.Meta, 1 - slot, why, nil // M11
}

// noneWhole returns the error for two slots that are not whole (M12, M13).
func noneWhole(slots [2]Slot) error {
	a, b := slots[0].Err, slots[1].Err
	aNot, bNot := errors.Is(a, ErrNotFolio), errors.Is(b, ErrNotFolio)
	if aNot && bNot {
		if errors.Is(a, ErrBlank) && errors.Is(b, ErrBlank) {
			return ErrBlank
		}
		return ErrNotFolio
	}
	return fmt.Errorf("no meta page is whole: slot 0: %w; slot 1: %w", foreign(a), foreign(b))
}

// foreign returns err, but if it wraps ErrNotFolio, only its text: one slot without
// the magic beside another that has it, or that cannot be read, is not the verdict
// that the file is of another kind.
func foreign(err error) error {
	if errors.Is(err, ErrNotFolio) {
		return errors.New(err.Error())
	}
	return err
}

// compatible returns an error if the two metas cannot be of one file (M14).
func compatible(a, b *Meta) error {
	switch {
	case a.FileID != b.FileID:
		return page.Corrupt(1, 0, "meta page: file id %016x, but slot 0 has %016x", b.FileID, a.FileID)
	case a.PageSize != b.PageSize:
		return page.Corrupt(1, 0, "meta page: page size %d, but slot 0 has %d", b.PageSize, a.PageSize)
	case a.TxID == b.TxID && !sameState(a, b):
		return page.Corrupt(1, 0, "meta page: transaction %d, as in slot 0, but not the same state", b.TxID)
	}
	return nil
}

func sameState(a, b *Meta) bool {
	f, g := &a.Freelist, &b.Freelist
	return a.Root == b.Root && a.HighWater == b.HighWater &&
		f.Head == g.Head && f.HeadBirth == g.HeadBirth && f.HeadPages == g.HeadPages &&
		f.FreePages == g.FreePages && bytes.Equal(f.Tail, g.Tail)
}

// newer tells whether a goes before b.
func newer(a, b *Meta) bool {
	if a.TxID != b.TxID {
		return a.TxID > b.TxID
	}
	rank := func(m *Meta) int {
		switch {
		case m.Clean:
			return 2
		case m.Synced:
			return 1
		}
		return 0
	}
	return rank(a) > rank(b)
}
