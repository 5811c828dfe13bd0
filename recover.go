package folio

// This file is responsible for finding the newest durable commit when a file is
// opened, after a crash or not.
//
// THE RECOVERY RULE: the newest meta that is whole holds, if every page in its
// commit record is on disk with the checksum recorded; else the other meta holds,
// which was durable before that commit began to write. (meta.Choose; a meta of two
// flushes, or of a clean close, has no record and needs no check.)
//
// Recovery reads what the last flush wrote and nothing else, and it writes
// nothing. After an unclean end it flushes first and lets go of the cache: the
// process before us may have died between writing and flushing, or after a flush
// that failed, and then the cache shows what the disk does not have.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// txidSkip is how far ahead of the newest commit the first transaction after an
// open begins. The attempts that a crash has cut off used numbers that nobody
// knows, and left pages with them in the file; a birth must not come twice.
const txidSkip = 1 << 20

// findPageSize finds the page size in the first meta, or, if that is damaged,
// tries where the second one can be. A file whose creation was cut off it creates.
func (db *DB) findPageSize() (int, error) {
	b := make([]byte, meta.Size)
	first, err := db.readMeta(b, 0, 0)
	if err == nil {
		return int(first.PageSize), nil
	}
	if errors.Is(err, ErrVersionMismatch) {
		return 0, err
	}
	second, secondErr := db.findSecond(b)
	if secondErr != nil {
		return 0, secondErr
	}
	if errors.Is(err, meta.ErrBlank) && !db.opts.ReadOnly && (second == nil || second.TxID == 0) {
		unfinished, readErr := db.unfinished()
		if readErr != nil {
			return 0, readErr
		}
		if unfinished {
			if err := db.initInPlace(); err != nil {
				return 0, err
			}
			return db.opts.pageSize(), nil
		}
	}
	switch {
	case second != nil:
		return int(second.PageSize), nil
	case errors.Is(err, ErrInvalid):
		return 0, ErrInvalid
	}
	return 0, fmt.Errorf("neither meta page can be read: %w", err)
}

// findSecond looks for a whole second meta where it can be, or returns nil. b has the
// bytes of one.
func (db *DB) findSecond(b []byte) (*meta.Meta, error) {
	for size := page.MinSize; size <= page.MaxSize; size *= 2 {
		second, err := db.readMeta(b, size, 1)
		if err == nil && int(second.PageSize) == size {
			return &second, nil
		}
		if errors.Is(err, ErrVersionMismatch) {
			return nil, err
		}
	}
	return nil, nil
}

// unfinished tells whether the file can be one in which a crash cut initInPlace
// off, or a sync of it failed: nothing is in it but what may be the second meta, or a
// part of that, in the cache if not on the disk. A database whose metas are damaged must
// not be taken for one, nor a file of somebody else's: zeros alone are no longer than
// what would have been created.
func (db *DB) unfinished() (bool, error) {
	size, err := db.file.Size()
	if err != nil || size > page.NumMetas*page.MaxSize {
		return false, err
	}
	b := make([]byte, size)
	if _, err := db.file.ReadAt(b, 0); err != nil && err != io.EOF {
		return false, err
	}
	if zero(b) {
		return len(b) <= page.NumMetas*db.opts.pageSize(), nil
	}
	for ps := page.MinSize; ps < len(b) && ps <= page.MaxSize; ps *= 2 {
		end := min(ps+meta.Size, len(b))
		if len(b) <= page.NumMetas*ps && zero(b[:ps]) && partOfMeta(b[ps:end]) && zero(b[end:]) {
			return true, nil
		}
	}
	return false, nil
}

func zero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

// partOfMeta tells whether b can be a meta of which a part was not written: those bytes
// are zero.
func partOfMeta(b []byte) bool {
	for i := range min(len(b), len(meta.Magic)) {
		if b[i] != 0 && b[i] != meta.Magic[i] {
			return false
		}
	}
	return true
}

// readMeta reads the meta at byte off, in slot.
func (db *DB) readMeta(b []byte, off, slot int) (meta.Meta, error) {
	n, err := db.file.ReadAt(b, int64(off))
	if err != nil && err != io.EOF {
		return meta.Meta{}, err
	}
	return meta.Decode(b[:n], slot)
}

// recover finds the newest durable commit and makes it the current snapshot.
func (db *DB) recover() error {
	slots := db.readSlots()
	well := endedWell(slots)
	if !well && !bugs.On(bugs.CacheTrusted) {
		var err error
		if slots, err = db.distrustCache(); err != nil {
			return err
		}
	}
	m, slot, why, err := meta.Choose(slots, db.complete)
	if err != nil {
		return err
	}
	if need := int64(m.HighWater) * int64(db.pageSize); db.pager.FileSize() < need {
		return fmt.Errorf("%w: the file was cut off: it has %d bytes and needs %d",
			ErrCorrupt, db.pager.FileSize(), need)
	}
	db.fallback = why
	db.nextTxID = txidSkip + 1
	for _, s := range slots {
		if s.Err == nil {
			db.nextTxID = max(db.nextTxID, s.Meta.TxID+txidSkip)
		}
	}
	if bugs.On(bugs.NumberReused) {
		db.nextTxID = m.TxID + 1
	}
	if db.nextTxID > meta.MaxTxID {
		return fmt.Errorf("%w: the transaction number %d is impossible", ErrCorrupt, m.TxID)
	}
	snap := &snapshot{meta: m, slot: slot, view: db.pager.View()}
	db.current.Store(snap)
	db.head = snap
	if !well {
		db.believed = snap
	}
	db.becameDurable(snap)
	return nil
}

func (db *DB) readSlots() (slots [page.NumMetas]meta.Slot) {
	for i := range slots {
		clear(db.metas[i][:])
		slots[i].Meta, slots[i].Err = db.readMeta(db.metas[i][:], i*db.pageSize, i)
	}
	return slots
}

// endedWell tells whether what the cache has of the metas may be believed for now: the
// process before us has closed the file, and no commit was cut off or failed since.
func endedWell(slots [page.NumMetas]meta.Slot) bool {
	for i := range slots {
		if slots[i].Err != nil && !bugs.On(bugs.SpoiltBelieved) {
			return false
		}
	}
	newest := newestWhole(slots)
	return newest != nil && newest.Clean
}

// newestWhole returns the meta with the highest txid, complete or not, or nil.
func newestWhole(slots [page.NumMetas]meta.Slot) *meta.Meta {
	var newest *meta.Meta
	for i := range slots {
		if s := &slots[i]; s.Err == nil && (newest == nil || s.Meta.TxID > newest.TxID) {
			newest = &s.Meta
		}
	}
	return newest
}

// distrustCache makes sure that what is read next is on the disk: the metas, which it
// returns, and the record of the newest. Dirty pages are flushed, clean ones dropped.
// After a write that failed, the cache may show another newest meta than the disk has.
func (db *DB) distrustCache() (slots [page.NumMetas]meta.Slot, err error) {
	if err := db.pager.Sync(); err != nil {
		return slots, err
	}
	if err := db.dropCache(0, page.NumMetas); err != nil {
		return slots, err
	}
	slots = db.readSlots()
	return slots, db.dropWritten(newestWhole(slots))
}

// dropWritten drops what m may refer to without its being on the disk; of a run, only
// the first page, as nothing else tells how long it is.
func (db *DB) dropWritten(m *meta.Meta) error {
	if m == nil || bugs.On(bugs.RecordNotDropped) {
		return nil
	}
	if m.Weak {
		return db.dropCache(page.FirstID, uint64(m.HighWater))
	}
	for _, u := range m.Record {
		if err := db.dropCache(u.ID, 1); err != nil {
			return err
		}
	}
	return nil
}

// cacheUnit is as much as the system keeps together in its cache, at most: it drops all
// of that or nothing.
const cacheUnit = 2 << 20

// dropCache drops pages from the system's cache, and what may be kept with them.
func (db *DB) dropCache(id page.ID, n uint64) error {
	unit := uint64(max(1, cacheUnit/db.pageSize))
	if bugs.On(bugs.CacheNotDropped) {
		return nil
	}
	if bugs.On(bugs.DropNarrow) {
		unit = 1
	}
	first := uint64(id) / unit * unit
	end := (uint64(id) + n + unit - 1) / unit * unit
	return db.pager.DropCache(page.ID(first), end-first)
}

// secure makes durable what Open has found, before a commit overwrites the other
// meta: once, by the first write transaction. The process that wrote it may have died
// before its flush, or after one that failed, and then the cache shows what a flush alone
// would succeed without: recovery drops the cache, but a clean meta is taken as it is
// there, and where others have the file mapped it stays. So it is written again, the same
// bytes to the same places. Or the process may have died before the name of a new file
// was durable.
func (db *DB) secure() error {
	if db.secured {
		return nil
	}
	m := &db.head.meta
	var err error
	switch {
	case db.head == db.believed:
		err = db.rewrite()
	case m.Clean && !bugs.On(bugs.CleanUnsynced):
		err = db.rewriteMeta(db.head.slot)
	}
	if err != nil {
		return fmt.Errorf("folio: writing the newest commit again: %w", err)
	}
	if m.TxID <= 1 && db.opts.OpenFile == nil {
		if err := db.fs.SyncDir(filepath.Dir(db.path)); err != nil {
			return fmt.Errorf("folio: %w", err)
		}
	}
	db.secured = true
	return nil
}

// rewriteMeta makes the meta in slot durable as it is.
func (db *DB) rewriteMeta(slot int) error {
	if !bugs.On(bugs.CleanNotRewritten) {
		if err := db.pager.WriteMeta(slot, db.metas[slot][:]); err != nil {
			return err
		}
	}
	return db.pager.Sync()
}

// rewrite writes what recovery has believed once more, the same bytes to the same
// places, and flushes it: where others have the file mapped the cache cannot be
// dropped, and can show what a failed flush has lost.
func (db *DB) rewrite() error {
	err := db.eachWritten(db.head.meta, func(id page.ID, b []byte) error {
		return db.pager.Write(id, [][]byte{b})
	})
	if err != nil {
		return err
	}
	if err := db.rewriteMeta(db.head.slot); err != nil {
		return err
	}
	db.believed = nil
	return nil
}

// complete tells whether all pages that m needs are on disk as the commit wrote them:
// an error that wraps ErrCorrupt if not.
func (db *DB) complete(m meta.Meta) error {
	return db.eachWritten(m, func(page.ID, []byte) error { return nil })
}

// eachWritten is complete that calls each for all these pages, and returns its error.
func (db *DB) eachWritten(m meta.Meta, each func(id page.ID, b []byte) error) error {
	// A page that an earlier commit without a flush appended can be free by now: then
	// no record has it, but the length is as lost.
	if int64(m.HighWater)*int64(db.pageSize) > db.pager.FileSize() && !bugs.On(bugs.LengthUnchecked) {
		return page.Corrupt(m.HighWater-1, 0, "the file ends before it")
	}
	if m.Weak {
		return db.completeSince(&m, each)
	}
	if bugs.On(bugs.RecordUnchecked) {
		return nil
	}
	budget := uint64(recordMax / db.pageSize * 2)
	head := make([]byte, db.pageSize)
	for _, u := range m.Record {
		b := head
		if err := db.readWhole(b, u.ID); err != nil {
			return err
		}
		p := page.Page(b)
		if p.Checksum() != u.Sum {
			return page.Corrupt(u.ID, 0, "it is not the page that transaction %d wrote", m.TxID)
		}
		n := uint64(p.RunLen())
		if n == 0 || n > budget || n > uint64(m.HighWater-u.ID) {
			return page.Corrupt(u.ID, 0, "a run of %d pages cannot be in the commit record", n)
		}
		budget -= n
		if n > 1 {
			if err := db.dropCache(u.ID, n); err != nil {
				return err
			}
			b = make([]byte, int(n)*db.pageSize)
			if err := db.readWhole(b, u.ID); err != nil {
				return err
			}
			p = b
		}
		if p.Kind() == page.KindOverflow {
			if err := btree.VerifyRun(b, u.ID, m.FileID, db.pageSize); err != nil {
				return err
			}
		} else if p.ComputeChecksum(u.ID, m.FileID) != u.Sum {
			return page.Corrupt(u.ID, p.Kind(), "wrong checksum")
		}
		if err := each(u.ID, p); err != nil {
			return err
		}
	}
	return nil
}

// completeSince is complete for a weak meta: it verifies every page that is younger
// than m.Since, which was durable. Older pages refer to older ones only, so there is
// no need to look at them.
func (db *DB) completeSince(m *meta.Meta, each func(id page.ID, b []byte) error) error {
	s, err := readSpace(db.pager, m)
	if err != nil {
		return err
	}
	for _, l := range s.chain {
		if l.Birth <= m.Since {
			continue
		}
		b := make([]byte, int(l.Pages)*db.pageSize)
		if err := db.readWhole(b, l.ID); err != nil {
			return err
		}
		if err := each(l.ID, b); err != nil {
			return err
		}
	}
	return db.eachYoung(m, each)
}

// eachYoung is completeSince for the tree.
func (db *DB) eachYoung(m *meta.Meta, each func(id page.ID, b []byte) error) error {
	var young []btree.Ref
	note := func(r btree.Ref) {
		if r.Birth > m.Since && !bugs.On(bugs.WeakUnchecked) {
			young = append(young, r)
		}
	}
	if m.Root.ID != 0 {
		note(btree.Ref{ID: m.Root.ID, Birth: m.Root.Birth})
	}
	// No file has more pages than its high-water mark; one that refers to some of
	// them twice is damaged.
	budget := uint64(m.HighWater)
	node := make(page.Page, db.pageSize)
	for len(young) > 0 {
		r := young[len(young)-1]
		young = young[:len(young)-1]
		pages := uint64(1)
		if r.Bytes > 0 {
			pages = uint64(btree.RunPages(r.Bytes, db.pageSize))
		}
		if r.ID < page.FirstID || r.ID >= m.HighWater || pages > min(budget, uint64(m.HighWater-r.ID)) {
			return page.Corrupt(r.ID, 0, "%s in the tree, but cannot be", pagesFrom(pages))
		}
		budget -= pages
		b := node
		if r.Bytes > 0 {
			b = make(page.Page, int(pages)*db.pageSize)
		}
		if err := db.readWhole(b, r.ID); err != nil {
			return err
		}
		if err := verifyRef(b, r, m); err != nil {
			return err
		}
		if err := each(r.ID, b); err != nil {
			return err
		}
		if r.Bytes == 0 {
			btree.Refs(b, 0, note)
		}
	}
	return nil
}

// verifyRef returns what is wrong with b as the node or the run that r refers to.
func verifyRef(b page.Page, r btree.Ref, m *meta.Meta) error {
	if r.Bytes > 0 {
		return verifyRun(b, r, m.FileID, int(m.PageSize))
	}
	return verifyPage(b, r.ID, r.Birth, m.FileID, m.HighWater)
}

// readWhole reads pages that must be in the file.
func (db *DB) readWhole(b []byte, id page.ID) error {
	err := db.pager.ReadAt(b, id)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return page.Corrupt(id, 0, "the file ends before it")
	}
	return err
}
