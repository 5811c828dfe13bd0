package folio

// This file is responsible for how metas get into their slots of the file, C2 and C3 of
// a commit, and for what is left there when that fails. All of it needs the token.

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// storeMeta writes m to slot without a flush.
func (db *DB) storeMeta(m *meta.Meta, slot int) error {
	b := &db.encoded
	meta.Encode(b[:], m, slot)
	if err := db.pager.WriteMeta(slot, b[:]); err != nil {
		return errors.Join(err, db.putBack(slot))
	}
	db.metas[slot] = *b
	return nil
}

// putBack undoes a write to slot that has failed, if it has done anything, so that nobody
// takes its meta for committed. If what was there does not count, the slot is spoilt, as
// flushMeta does it. If it counts and cannot be put back, it cannot be made durable.
func (db *DB) putBack(slot int) error {
	b, counts := db.metas[slot], db.current.Load() != db.durable
	if db.slotHas(slot, b[:]) {
		return nil
	}
	if !counts && !bugs.On(bugs.PutBackBelieved) {
		meta.Spoil(b[:], slot)
	}
	err := db.pager.UndoMeta(slot, b[:])
	if err != nil && counts && !db.slotHas(slot, b[:]) && !bugs.On(bugs.TornFlushed) {
		db.pager.Latch(err)
		db.torn = fmt.Errorf("folio: %w: meta page %d: %w", ErrLatched, slot, err)
	}
	return err
}

// slotHas tells whether slot begins with b.
func (db *DB) slotHas(slot int, b []byte) bool {
	var now [meta.Size]byte
	return db.pager.ReadAt(now[:], page.ID(slot)) == nil && bytes.Equal(now[:], b)
}

// flushMeta flushes what storeMeta has stored to slot, and everything before. If that
// fails, or has failed, slot, beside the durable meta, is spoilt: nobody may take what it
// holds for durable, and the next one to open the file must see that something was cut
// off, and not believe what it finds in the cache (recover.go). What it held before the
// commit would be no good: the commit has written over pages that it needs.
func (db *DB) flushMeta(slot int) error {
	err := db.pager.Sync()
	if err != nil && !bugs.On(bugs.MetaNotPutBack) {
		b := db.metas[slot]
		meta.Spoil(b[:], slot)
		err = errors.Join(err, db.pager.UndoMeta(slot, b[:]))
	}
	return err
}

// writeMeta is storeMeta and flushMeta.
func (db *DB) writeMeta(m *meta.Meta, slot int) error {
	if err := db.storeMeta(m, slot); err != nil {
		return err
	}
	return db.flushMeta(slot)
}
