package folio

// This file is responsible for commits: their order is what makes the database
// survive a crash at any instant (docs/crash-safety.md has the argument).
//
//	C1  New pages, a freelist page among them if one is due, go to places that
//	    neither the newest durable state nor any reader needs.
//	C2  The meta page goes to the slot that does not hold the newest durable
//	    meta. It lists the pages of C1 with their checksums: the commit record.
//	C3  One flush makes both durable. THE COMMIT POINT is its return. If it is cut
//	    short, recovery finds a meta that is not whole, or a record with a page
//	    that is not there, and takes the other meta.
//	C4  Only then the snapshot is published to readers, and only a transaction
//	    that begins after that reuses the pages which this one has freed.
//
// A commit too large for its record, and every one with Options.TwoFlushes,
// flushes between C1 and C2 as well, and recovery has nothing to check.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// recordMax is how many bytes a commit with a record may write: recovery reads
// them all, which should take milliseconds.
const recordMax = 2 << 20

// commit is a commit on its way.
type commit struct {
	tx   *Tx
	db   *DB
	s    *store
	list *freelist.List
	txid page.TxID
	meta meta.Meta

	leaves, runs, branches []int // dirty pages, by index, in key order
	units                  []unit
	chain                  []chainLink // as it will be
	taken                  []freelist.Extent
}

// unit is a page or a run that the commit writes.
type unit struct {
	id    page.ID
	pages uint64
	dirty int    // index of the dirty page, or -1
	raw   []byte // of a freelist page
}

// commit makes the transaction's changes durable and visible.
func (tx *Tx) commit() error {
	if err := tx.change(tx.flush); err != nil {
		return err
	}
	if tx.store.pages == 0 && len(tx.store.freed) == 0 && !tx.root.changed {
		return nil
	}
	db := tx.db
	c := &commit{
		tx: tx, db: db, s: tx.store, list: db.space.list,
		txid: db.nextTxID, meta: tx.snap.meta,
	}
	if err := c.prepare(); err != nil {
		c.undo()
		return err
	}
	db.nextTxID++ // from here on pages with this birth may be in the file
	if err := c.write(); err != nil {
		c.undo()
		return err
	}
	c.publish()
	return nil
}

// prepare decides where everything goes, in memory only.
func (c *commit) prepare() error {
	m := &c.meta
	m.TxID = c.txid
	m.Clean, m.Synced, m.Record = false, false, nil
	if h := c.tx.root.tree.Header(); h.Root&dirtyBit != 0 {
		c.collect(btree.Ref{ID: h.Root, Flags: btree.FlagBucket})
		c.clean()
	}
	if invariants.Enabled {
		c.checkCollected()
	}
	freed := c.tx.pagesFreed()
	for _, f := range freed {
		if err := c.list.FreePages(freelist.Extent{Start: f.id, Len: f.n}, f.birth, c.txid); err != nil {
			return err
		}
	}
	c.place()
	if hwm, e, ok := c.list.TrimTail(m.HighWater, max(64, uint64(m.HighWater)/8)); ok {
		m.HighWater = hwm
		c.taken = append(c.taken, e)
	}
	h := c.tx.root.tree.Header()
	m.Root.ID, m.Root.Birth = c.final(btree.Ref{ID: h.Root, Birth: h.Birth})
	m.Root.Count, m.Root.Sequence = h.Count, c.tx.root.sequence
	if err := c.noteSpace(freed); err != nil {
		return err
	}
	return m.Check()
}

// collect lists the dirty pages from the dirty node at r down.
func (c *commit) collect(r btree.Ref) {
	i := int(r.ID &^ dirtyBit)
	p := page.Page(c.s.dirty[i].buf)
	if p.Kind() == page.KindLeaf {
		if r.Flags != 0 {
			btree.Refs(p, dirtyBit, c.collectRef)
		}
		c.leaves = append(c.leaves, i)
		return
	}
	btree.Refs(p, dirtyBit, c.collectRef)
	c.branches = append(c.branches, i)
}

func (c *commit) collectRef(r btree.Ref) {
	if r.Bytes > 0 {
		c.runs = append(c.runs, int(r.ID&^dirtyBit))
	} else {
		c.collect(r)
	}
}

// checkCollected makes sure that every dirty page is part of the tree, once.
func (c *commit) checkCollected() {
	var pages uint64
	seen := make(map[int]bool)
	for _, list := range [...][]int{c.leaves, c.runs, c.branches} {
		for _, i := range list {
			invariants.Check(!seen[i] && !c.s.dirty[i].free, "dirty page %d is freed or in the tree twice", i)
			seen[i] = true
			pages += uint64(len(c.s.dirty[i].buf) / c.db.pageSize)
		}
	}
	invariants.Check(pages == c.s.pages, "%d dirty pages in the tree, but %d exist", pages, c.s.pages)
}

// final returns what a reference will be in the file.
func (c *commit) final(r btree.Ref) (page.ID, page.TxID) {
	if r.ID&dirtyBit == 0 {
		return r.ID, r.Birth
	}
	return c.s.dirty[r.ID&^dirtyBit].id, c.txid
}

// noteSpace puts the changes of the free space into the meta, or into a freelist
// page; and it decides whether the commit takes one flush or two.
func (c *commit) noteSpace(freed []freedRun) error {
	m := &c.meta
	c.chain = c.db.space.chain
	delta := freelist.Delta{TxID: c.txid, Taken: slices.Clone(c.taken)}
	for _, f := range freed {
		delta.Freed = append(delta.Freed, freelist.Extent{Start: f.id, Len: f.n})
	}
	tail := m.Freelist.Tail
	m.Freelist.Tail = delta.Append(slices.Clone(tail))
	m.Freelist.FreePages = c.list.Free() + c.list.Pending()
	c.recordUnits()
	if m.Fits() && len(m.Freelist.Tail) <= tailMax {
		return nil
	}
	if err := c.linkPage(&delta, tail); err != nil {
		return err
	}
	c.recordUnits()
	if !m.Fits() {
		m.Synced, m.Record = true, nil
	}
	return nil
}

// recordUnits lists the units in the commit record, in order of their place, or
// decides for two flushes if recovery could not check them quickly. It counts all of
// them: a checkpoint of the free space can be far larger than the rest, and recovery
// refuses a record of more than recordMax.
func (c *commit) recordUnits() {
	m := &c.meta
	slices.SortFunc(c.units, func(a, b unit) int { return cmp.Compare(a.id, b.id) })
	m.Record = nil
	var pages uint64
	for _, u := range c.units {
		m.Record = append(m.Record, meta.Unit{ID: u.id})
		pages += u.pages
	}
	if m.Synced = c.db.opts.TwoFlushes || pages*uint64(c.db.pageSize) > recordMax; m.Synced {
		m.Record = nil
	}
}

// tailMax is how many bytes of deltas are kept in the meta page. More would make
// the room for the commit record too small for a few hundred pages.
const tailMax = meta.Size / 4

// linkPage writes the free space to a new page of the chain: deltas, or all of it
// if the chain has outgrown its checkpoint.
func (c *commit) linkPage(delta *freelist.Delta, tail []byte) error {
	m := &c.meta
	deltas, checkpoint := c.db.space.chainPages()
	fp := freelist.Page{Checkpoint: deltas >= max(chainMin, checkpoint), Next: headLink(m)}
	bound := len(tail) + delta.Size() + 2*extentBound
	if fp.Checkpoint {
		for _, l := range c.chain {
			err := c.list.FreePages(freelist.Extent{Start: l.ID, Len: uint64(l.Pages)}, l.Birth, c.txid)
			if err != nil {
				return err
			}
		}
		c.chain, fp.Next = nil, freelist.Link{}
		bound = c.list.CheckpointBound() + 2*extentBound
	}
	n := uint64((freelist.PageOverhead + bound + c.db.pageSize - 1) / c.db.pageSize)
	before := len(c.taken)
	id, ok := c.takeWhole(n)
	if !ok {
		id = c.grow(n)
	}
	delta.Taken = append(delta.Taken, c.taken[before:]...)
	if fp.Checkpoint {
		fp.Payload = c.list.AppendCheckpoint(nil)
	} else {
		fp.Payload = delta.Append(slices.Clone(tail))
	}
	raw := make([]byte, int(n)*c.db.pageSize)
	if len(fp.Payload) > len(raw)-freelist.PageOverhead {
		panic("folio: broken invariant: the free space outgrew its bound")
	}
	link := freelist.Link{ID: id, Birth: c.txid, Pages: uint32(n)}
	fp.Encode(raw, link)
	c.chain = append(slices.Clip(c.chain), chainLink{link, fp.Checkpoint})
	c.units = append(c.units, unit{id: id, pages: n, dirty: -1, raw: raw})
	m.Freelist = meta.Freelist{
		Head: id, HeadBirth: c.txid, HeadPages: uint32(n),
		FreePages: c.list.Free() + c.list.Pending(),
	}
	return nil
}

// extentBound is more than the encoding of an extent can take, and chainMin how
// many pages of deltas a chain may have however small its checkpoint is.
const (
	extentBound = 32
	chainMin    = 16
)

// write takes the commit to its commit point.
func (c *commit) write() error {
	p := c.db.pager
	if err := p.EnsureSize(c.meta.HighWater); err != nil {
		return err
	}
	if err := c.writePages(); err != nil {
		return err
	}
	if c.meta.Synced {
		if err := p.Sync(); err != nil {
			return err
		}
	}
	return c.db.writeMeta(&c.meta, 1-c.tx.snap.slot)
}

// writeMeta writes m to slot and flushes: C2 and C3. If that fails, what the slot
// held before is put back, so that nobody takes m for durable.
func (db *DB) writeMeta(m *meta.Meta, slot int) error {
	var b [meta.Size]byte
	meta.Encode(b[:], m, slot)
	err := db.pager.WriteMeta(slot, b[:])
	if err == nil {
		err = db.pager.Sync()
	}
	if err != nil {
		return errors.Join(err, db.pager.RestoreMeta(slot, db.metas[slot][:]))
	}
	db.metas[slot] = b
	return nil
}

// undo gives back what prepare took. The file still has the old state.
func (c *commit) undo() {
	c.list.Forget(c.txid)
	for _, e := range c.taken {
		c.list.Return(e)
	}
}

// publish makes the commit visible: C4.
func (c *commit) publish() {
	db := c.db
	view := db.pager.View()
	for _, u := range c.units {
		// What was just written need not be verified. Only the first page of a
		// run ever is.
		if u.dirty < 0 || c.s.dirty[u.dirty].run {
			view.ClearVerified(u.id, u.pages)
		}
		if u.dirty >= 0 && db.opts.Verify != VerifyAlways {
			view.SetVerified(u.id)
		}
	}
	db.space.chain = c.chain
	db.commits++
	old := c.tx.snap
	db.current.Store(&snapshot{meta: c.meta, slot: 1 - old.slot, view: view})
	db.stats.committed(c)
	// Neither meta needs what lies behind both their marks. If the file cannot
	// be cut now, a later commit will.
	if hwm := max(old.meta.HighWater, c.meta.HighWater); worthShrinking(db.pager.FileSize(), int64(hwm)*int64(db.pageSize)) {
		_ = db.pager.Shrink(hwm)
	}
	if db.StrictMode {
		db.mustCheck()
	}
}

// worthShrinking tells whether a file of size bytes should be cut to need: not
// for the slack that growth leaves.
func worthShrinking(size, need int64) bool { return size > need+need/4+(8<<20) }

// mustCheck is StrictMode.
func (db *DB) mustCheck() {
	tx, err := db.beginRead()
	if err != nil {
		panic(fmt.Sprintf("folio: strict mode: %v", err))
	}
	defer tx.close()
	for err := range tx.Check() {
		panic(fmt.Sprintf("folio: strict mode: %v", err))
	}
}
