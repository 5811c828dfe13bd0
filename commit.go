package folio

// This file is responsible for how a group of transactions is written: the order is
// what makes the database survive a crash at any instant (docs/crash-safety.md has
// the argument).
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
// flushes between C1 and C2 as well, and recovery has nothing to check. A commit
// that need not be durable at once leaves C3 to a later one: durability.go.

import (
	"cmp"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// recordMax is how many bytes a commit with a record may write: recovery reads
// them all, which should take milliseconds.
const recordMax = 2 << 20

// commit is a group of transactions on its way to the file. It exists before the
// group is complete if one of them was too large for memory (spill.go).
type commit struct {
	db   *DB
	s    *store
	list *freelist.List
	base *snapshot
	txid page.TxID // of the pages that are written next
	meta meta.Meta

	durability Durability
	flushed    bool // C3 has happened already
	spilled    bool // pages are written that no record lists

	leaves, runs, branches []int       // dirty pages, by index, in key order; leaves with changed buckets are among the branches
	holders                []int       // those of the leaves that may refer to runs of values
	short, gathered        uint64      // pages of the runs of few pages: of moveMost at most, of gatherMost
	pages                  uint64      // in them
	units                  []unit      // of the tree, in order of their place once all have one
	early                  *early      // some that are written first; nil: none
	later                  []unit      // the others, in order too
	listed                 []unit      // what the record lists, in order too: units, and the freelist page if one is due
	link                   linkPage    // that page
	chain                  []chainLink // as it will be
	taken                  []freelist.Extent
	returned               []freelist.Extent // taken and not needed: spilled pages given up again, places for moves
	freed                  []freelist.Extent // pages of the base that it does not need
	forgetAt               int               // entries of both at which they are joined (spill.go)
	looked                 int               // entries of the store's freed that giveBackOwn has seen (spill.go)
	stats                  TxStats
	next                   *snapshot
}

// unit is a page or a run that the commit writes.
type unit struct {
	id    page.ID
	pages uint64
	dirty *dirtyPage // in the store's list, which does not move any more; nil: it is the freelist page
}

// linkPage is the bytes of a freelist page, and their checksum once it is written.
type linkPage struct {
	raw []byte
	sum uint64
}

// newCommit returns the commit of g, which has not written anything.
func (db *DB) newCommit(g *group) *commit {
	return &commit{
		db: db, s: g.store, list: db.space.list, base: g.base, meta: g.base.meta,
		durability: DurabilityNone,
	}
}

// writeOut takes g to C2, or to C3 if that cannot be left to the caller. It needs
// the writer lock and the token. After an error everything is as before.
func (db *DB) writeOut(g *group) (*commit, error) {
	if err := db.groupFailed(); err != nil {
		return nil, err
	}
	c := g.out
	if c == nil {
		c = db.newCommit(g)
	}
	defer g.store.release()
	defer func() { _ = c.endEarly() }() // before that, should there be a panic
	c.txid = db.nextTxID - 1
	if c.spilled || c.txid > max(db.durableTxID(), db.drawn)+maxUnsyncedTxs {
		c.durability = DurabilityFull // see spill.go, and maxUnsyncedTxs
	}
	for _, m := range g.members {
		c.durability = min(c.durability, m.durability)
		if !m.watching {
			c.stats.Commits++
		}
	}
	if c.durability != DurabilityFull && db.drawn == 0 && !bugs.On(bugs.NumberReused) {
		db.drawNumber()
		c.txid = db.drawn
	}
	err := c.prepare(g)
	if err == nil {
		err = c.write()
	}
	if err = cmp.Or(err, c.endEarly()); err != nil {
		c.undo()
		db.shrink(db.head.meta.HighWater) // the file can have become longer for it
		return nil, err
	}
	c.entered()
	return c, nil
}

// prepare decides where the pages of the tree go. Of a large commit it writes the leaves
// meanwhile (early.go).
func (c *commit) prepare(g *group) error {
	m := &c.meta
	m.TxID, m.Clean = c.txid, false
	c.collectAll(g.root)
	own := c.base.meta.TxID + 1
	if bugs.On(bugs.ReuseAtOnce) {
		own = 0
	}
	if err := c.giveBackOwn(0, own); err != nil {
		return err
	}
	c.setZone()
	budget := c.movable()
	c.beginEarly(budget)
	freed := len(c.s.freed)
	c.clean(budget)
	if invariants.Enabled {
		c.checkCollected()
	}
	if err := c.giveBackOwn(freed, own); err != nil { // what was moved can be spilled pages too
		return err
	}
	c.place()
	if hwm, e, ok := c.list.TrimTail(m.HighWater, max(64, uint64(m.HighWater)/8)); ok {
		m.HighWater = hwm
		c.taken = append(c.taken, e)
	}
	m.Root.ID, m.Root.Birth = c.final(btree.Ref{ID: g.root.Root, Birth: g.root.Birth})
	m.Root.Count, m.Root.Sequence = g.root.Count, g.sequence
	c.units = inOrder(c.units)
	if c.later = c.units; c.early != nil {
		c.units = inOrder(slices.Concat(c.early.units, c.later))
	}
	c.listed = c.units
	return nil
}

// giveBackOwn makes the pages free at once that the group has written itself, in
// transaction own or later, and given up: no state that anybody can see ever had them.
// It looks at what was given up from the entry from on. Nothing of it may be free already,
// or what is written next could go over it; nor may early leaves have got their places.
func (c *commit) giveBackOwn(from int, own page.TxID) error {
	kept := c.s.freed[:from]
	for i, f := range c.s.freed[from:] {
		if f.birth < own {
			kept = append(kept, f)
			continue
		}
		if err := c.mustBeInUse(f); err != nil {
			c.s.freed = append(kept, c.s.freed[from+i:]...)
			return err
		}
		c.giveBack(f.extent())
	}
	c.s.freed = kept
	for _, f := range kept[from:] {
		if err := c.mustBeInUse(f); err != nil {
			return err
		}
	}
	return nil
}

// mustBeInUse returns an error if pages that the tree had are free: the file is damaged.
func (c *commit) mustBeInUse(f freedRun) error {
	if c.list.AnyFree(f.extent()) || c.early.has(f.extent()) {
		return page.Corrupt(f.id, 0, "%s in the tree, and free, at least in part", pagesFrom(f.n))
	}
	return nil
}

// pagesFreed returns the pages of the base that the group has given up, in order.
// Neighbours of the same birth, which a commit has written side by side, are taken
// together. It makes them of the store's list, which is of no use after that.
func (c *commit) pagesFreed() []freedRun {
	freed := c.s.freed
	slices.SortFunc(freed, func(a, b freedRun) int { return cmp.Compare(a.id, b.id) })
	joined := freed[:0]
	for _, f := range freed {
		if n := len(joined) - 1; n >= 0 && joined[n].birth == f.birth && joined[n].id+page.ID(joined[n].n) == f.id {
			joined[n].n += f.n
		} else {
			joined = append(joined, f)
		}
	}
	return joined
}

// free gives up pages of the base, which was written by birth.
func (c *commit) free(e freelist.Extent, birth page.TxID) error {
	c.freed = append(c.freed, e)
	return c.list.FreePages(e, birth, c.txid)
}

// giveBack makes pages free that the group has taken.
func (c *commit) giveBack(e freelist.Extent) {
	c.returned = append(c.returned, e)
	c.list.Return(e)
}

// collectAll lists every dirty page of the tree.
func (c *commit) collectAll(root btree.Header) {
	n := len(c.s.dirty)
	c.leaves, c.branches, c.holders = make([]int, 0, n), make([]int, 0, n), nil
	c.runs, c.short, c.gathered = nil, 0, 0
	c.pages = c.s.pages
	if root.Root&dirtyBit != 0 {
		c.collect(btree.Ref{ID: root.Root, Flags: btree.FlagBucket})
	}
}

// collect lists the dirty pages from the dirty node at r down.
func (c *commit) collect(r btree.Ref) {
	i := int(r.ID &^ dirtyBit)
	p := page.Page(c.s.dirty[i].buf)
	leaf, before := p.Kind() == page.KindLeaf, len(c.leaves)+len(c.branches)
	if !leaf || r.Flags != 0 {
		btree.Refs(p, dirtyBit, c.collectRef)
	}
	if leaf && before == len(c.leaves)+len(c.branches) {
		c.leaves = append(c.leaves, i)
		if r.Flags&btree.FlagValueRun != 0 {
			c.holders = append(c.holders, i)
		}
	} else {
		c.branches = append(c.branches, i) // or a leaf with changed buckets, which lives as long
	}
}

func (c *commit) collectRef(r btree.Ref) {
	if r.Bytes > 0 {
		c.addRun(int(r.ID &^ dirtyBit))
	} else {
		c.collect(r)
	}
}

// addRun lists run i.
func (c *commit) addRun(i int) {
	c.runs = append(c.runs, i)
	n := c.runPages(i)
	if n <= gatherMost {
		c.gathered += n
	}
	if n <= moveMost {
		c.short += n
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
			pages += c.s.pagesOf(&c.s.dirty[i])
		}
	}
	invariants.Check(pages == c.s.pages, "%d dirty pages in the tree, but %d exist", pages, c.s.pages)
}

// final returns what a reference will be in the file.
func (c *commit) final(r btree.Ref) (page.ID, page.TxID) {
	if r.ID&dirtyBit == 0 {
		return r.ID, r.Birth
	}
	if id := c.s.dirty[r.ID&^dirtyBit].id; id != 0 {
		return id, c.txid
	}
	return r.ID, r.Birth // it stays in the heap for now
}

// noteSpace puts the changes of the free space into the meta, or into a freelist
// page; and it decides whether the commit takes one flush or two. It may run while the
// pages of the tree are being written.
func (c *commit) noteSpace() error {
	freed := c.pagesFreed()
	c.freed = slices.Grow(c.freed, len(freed))
	for _, f := range freed {
		c.stats.Freed += int64(f.n)
		if err := c.free(f.extent(), f.birth); err != nil {
			return err
		}
	}
	m := &c.meta
	c.chain = c.db.space.chain
	delta := c.delta()
	tail := m.Freelist.Tail
	m.Freelist.Tail = delta.Append(append(make([]byte, 0, len(tail)+delta.Size()), tail...))
	m.Freelist.FreePages = c.list.Free() + c.list.Pending()
	c.recordUnits()
	if m.Fits() && len(m.Freelist.Tail) <= tailMax {
		return nil
	}
	if err := c.linkPage(tail, delta.Size()); err != nil {
		return err
	}
	c.recordUnits()
	if !m.Fits() {
		c.unrecorded()
	}
	return nil
}

// delta returns what the commit has done to the free space so far. What it has taken
// behind the high-water mark of its base and given back is freed as well, unless it has
// taken it again.
func (c *commit) delta() freelist.Delta {
	d := freelist.Delta{TxID: c.txid}
	d.Taken, d.Freed = freelist.Net(c.taken, c.returned)
	d.Freed = append(d.Freed, c.freed...)
	if bugs.On(bugs.TakenUnnoted) {
		d.Taken = nil
	}
	if bugs.On(bugs.FreedUnnoted) {
		d.Freed = nil
	}
	return d
}

// recordUnits lists what is written in the commit record, with those of earlier commits
// that no flush has covered, in order of their place; or decides to do without a
// record if recovery could not check it quickly. It counts all of them: a checkpoint
// of the free space can be far larger than the rest, and recovery refuses a record of
// more than twice recordMax.
func (c *commit) recordUnits() {
	m := &c.meta
	m.Record, m.Synced, m.Weak, m.Since = nil, false, false, 0
	pages := c.db.unsynced.pages
	for _, u := range c.listed {
		pages += u.pages
	}
	if c.spilled || c.db.unsynced.lost || c.db.opts.TwoFlushes && c.durability == DurabilityFull ||
		pages*uint64(c.db.pageSize) > recordMax {
		c.unrecorded()
		return
	}
	m.Record = c.db.unsynced.record(c)
}

// inOrder returns units in order of their place. They come piece by piece, each in
// order, so the few pieces are sorted.
func inOrder(units []unit) []unit {
	pieces := adjacent(units)
	slices.SortFunc(pieces, func(a, b []unit) int { return cmp.Compare(a[0].id, b[0].id) })
	return slices.Concat(pieces...)
}

// adjacent cuts units where the next one is not the neighbour of the one before.
func adjacent(units []unit) (pieces [][]unit) {
	for len(units) > 0 {
		n := 1
		for n < len(units) && units[n].id == units[n-1].id+page.ID(units[n-1].pages) {
			n++
		}
		pieces = append(pieces, units[:n])
		units = units[n:]
	}
	return pieces
}

// unrecorded makes the meta one without a record: all that it needs is durable before
// it is written, or, if it need not be durable at all, recovery looks for it.
func (c *commit) unrecorded() {
	m := &c.meta
	m.Record, m.Since = nil, 0
	m.Weak = c.durability != DurabilityFull
	m.Synced = !m.Weak
	if m.Weak {
		m.Since = c.db.durable.meta.TxID
	}
	if m.Weak && bugs.On(bugs.SinceHead) {
		m.Since = c.base.meta.TxID
	}
}

// tailMax is how many bytes of deltas are kept in the meta page. More would make
// the room for the commit record too small for a few hundred pages.
const tailMax = meta.Size / 4

// linkPage writes the free space to a new page of the chain: deltas, or all of it
// if the chain has outgrown its checkpoint. The delta takes size bytes before the page
// has its place.
func (c *commit) linkPage(tail []byte, size int) error {
	m := &c.meta
	deltas, checkpoint := c.db.space.chainPages()
	fp := freelist.Page{Checkpoint: deltas >= max(chainMin, checkpoint), Next: headLink(m)}
	bound := len(tail) + size + 4*extentBound
	// The place can be pieces that were free and pieces that were given back by turns:
	// then the delta names others than before, which take some bytes more for each page.
	bound += bound / 256
	if fp.Checkpoint {
		for _, l := range c.chain {
			err := c.free(freelist.Extent{Start: l.ID, Len: uint64(l.Pages)}, l.Birth)
			if err != nil {
				return err
			}
		}
		c.chain, fp.Next = nil, freelist.Link{}
		bound = c.list.CheckpointBound() + 2*extentBound // its place can split an extent of the zone
	}
	n := uint64((freelist.PageOverhead + bound + c.db.pageSize - 1) / c.db.pageSize)
	id := c.takeRun(n)
	if fp.Checkpoint {
		fp.Payload = c.list.AppendCheckpoint(nil)
	} else {
		delta := c.delta()
		fp.Payload = delta.Append(slices.Clone(tail))
	}
	raw := make([]byte, int(n)*c.db.pageSize)
	if len(fp.Payload) > len(raw)-freelist.PageOverhead {
		panic("folio: broken invariant: the free space outgrew its bound")
	}
	link := freelist.Link{ID: id, Birth: c.txid, Pages: uint32(n)}
	fp.Encode(raw, link)
	c.chain = append(slices.Clip(c.chain), chainLink{link, fp.Checkpoint})
	c.link.raw = raw
	c.listed = inOrder(append(slices.Clip(c.units), unit{id, n, nil}))
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

// write takes the commit to C2, and beyond if it takes two flushes.
func (c *commit) write() error {
	p := c.db.pager
	c.db.shrink(c.meta.HighWater)
	if err := p.EnsureSize(c.meta.HighWater); err != nil {
		return err
	}
	if err := c.writePages(c.later, c.noteSpace); err != nil {
		return err
	}
	if !bugs.On(bugs.EarlyUnwaited) {
		if err := c.endEarly(); err != nil {
			return err
		}
	}
	if err := c.meta.Check(); err != nil {
		return err
	}
	if err := c.writeLink(); err != nil {
		return err
	}
	slot := 1 - c.db.durable.slot
	if bugs.On(bugs.WrongSlot) {
		slot = 1 - slot
	}
	if !c.meta.Synced {
		c.sumRecord()
		if bugs.On(bugs.RecordShort) && len(c.meta.Record) > 0 {
			c.meta.Record = c.meta.Record[1:]
		}
		return c.db.storeMeta(&c.meta, slot)
	}
	c.flushed = true
	if bugs.On(bugs.NoFirstFlush) && !c.spilled || bugs.On(bugs.SpillOneFlush) && c.spilled {
		return c.db.writeMeta(&c.meta, slot)
	}
	if err := c.db.flushMeta(slot); err != nil {
		return err
	}
	return c.db.writeMeta(&c.meta, slot)
}

// sumRecord enters the checksums of what was written into the record. Both are in
// order of their place.
func (c *commit) sumRecord() {
	record := c.meta.Record
	if record == nil {
		return
	}
	for _, u := range c.units {
		for record[0].ID != u.id {
			record = record[1:]
		}
		record[0].Sum = *c.sum(u)
	}
}

// sum is where the checksum of u is entered.
func (c *commit) sum(u unit) *uint64 {
	if u.dirty == nil {
		return &c.link.sum
	}
	return &u.dirty.sum
}

// undo gives back what the commit took. The file still has the old state.
func (c *commit) undo() {
	c.list.Forget(c.txid)
	taken, grown := freelist.Net(c.taken, c.returned)
	for _, e := range taken {
		c.list.Return(e)
	}
	for _, e := range grown {
		c.list.Withdraw(e)
	}
}

// entered makes the commit the state that the next group builds on. All of it is in
// the file, durable or not. It needs the writer lock.
func (c *commit) entered() {
	db := c.db
	view := db.pager.View()
	c.trust(view)
	db.space.chain = c.chain
	db.commits++
	c.next = &snapshot{meta: c.meta, slot: 1 - db.durable.slot, view: view}
	db.head = c.next
	db.stats.space(c.list)
	if c.durability != DurabilityFull {
		db.unsynced.add(c)
	}
}

// trust marks what was just written: it need not be verified. Only the first page of
// a run ever is.
func (c *commit) trust(view *pager.View) {
	for _, u := range c.units {
		switch {
		case u.dirty == nil:
			c.stats.SpacePages += int64(u.pages)
		case u.dirty.run:
			c.stats.RunPages += int64(u.pages)
		default:
			c.stats.Pages++
		}
		if u.dirty == nil || u.dirty.run {
			view.ClearVerified(u.id, u.pages)
		}
		if u.dirty != nil && c.db.opts.Verify != VerifyAlways {
			view.SetVerified(u.id)
		}
	}
}

// finish is C3 for a commit that has left it to its caller.
func (db *DB) finish(c *commit) error {
	c.flushed = true
	return db.flushMeta(c.next.slot)
}

// publish makes the commit visible: C4. It needs the token.
func (db *DB) publish(c *commit) {
	db.announce(c.next)
	db.slow.superseded(db.current.Swap(c.next).meta.TxID)
	if c.flushed || bugs.On(bugs.CommitUnsynced) && c.durability == DurabilityFull {
		db.becameDurable(c.next)
	} else {
		db.flushLater(c)
	}
	db.stats.committed(c)
	db.report(c)
}
