package folio

// This file is responsible for transactions larger than memory.
//
// When a transaction has more dirty pages than Options.MaxDirty allows, they are
// written early: to free places, where the commit would have put them, so that only
// the meta is missing. Then their memory goes, and they are pages of the file like
// any other, but of a state that nobody sees. A crash leaves them in free places; a
// rollback gives the places back; the commit flushes them all before it writes its
// meta, whatever its durability: a place can have been written more than once by then,
// with the same transaction number, so recovery could not tell whether the last of
// that is there.
//
// Pages within the boundary of a mark (D1) stay in the heap, and so do those which
// refer to them: they must be there when the transaction goes back to the mark.

import (
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// spillIfLarge writes the dirty pages out if there are too many. It is called before
// each change, when everything is in order.
func (tx *Tx) spillIfLarge() error {
	s := tx.store
	if s.pages < s.spillAt {
		return nil
	}
	if err := tx.spill(); err != nil {
		return err
	}
	s.spillAt = s.pages + s.maxDirty
	return nil
}

func (tx *Tx) spill() error {
	if err := tx.flush(); err != nil {
		return err
	}
	g := tx.group
	g.trees.Forget()
	if g.out == nil {
		g.out = tx.db.newCommit(g)
	}
	c := g.out
	c.txid, c.spilled = tx.id, true
	from, own := tx.start.freed, tx.id // what the transaction has written itself and given up since
	stays := len(tx.savepoints) > 0 || c.s.shown
	if stays { // it may have to come back: a look at what is new is all
		from, own = max(from, c.looked), tx.id+1
	}
	if err := c.giveBackOwn(from, own); err != nil {
		return err
	}
	c.looked = len(c.s.freed)
	if !stays {
		c.forgetReturned(tx.start.out)
	}
	root := tx.root.tree.Header()
	sp := spilling{commit: c}
	c.leaves, c.branches, c.pages = c.leaves[:0], c.branches[:0], 0
	c.runs, c.short, c.gathered = c.runs[:0], 0, 0
	if root.Root&dirtyBit != 0 {
		sp.node(btree.Ref{ID: root.Root, Flags: btree.FlagBucket})
	}
	if c.pages == 0 {
		return nil
	}
	c.setZone()
	c.place()
	c.units = inOrder(c.units)
	if err := tx.db.pager.EnsureSize(c.meta.HighWater); err != nil {
		return err
	}
	if err := c.writePages(c.units, nil); err != nil {
		return err
	}
	c.s.view, c.s.highWater = tx.db.pager.View(), c.meta.HighWater
	c.trust(c.s.view)
	root.Root, root.Birth = c.final(btree.Ref{ID: root.Root, Birth: root.Birth})
	for _, i := range sp.kept {
		btree.SetRefs(c.s.dirty[i].buf, dirtyBit, c.final)
	}
	c.letGo()
	return tx.reload(root)
}

// cutSpilled makes the file as short as it was before a transaction that has been rolled
// back. While there is a flush it leaves that to a later commit, or to Close. It needs the
// writer lock.
func (db *DB) cutSpilled() {
	if db.token.tryTake() {
		db.shrink(db.head.meta.HighWater)
		db.token.release()
	}
}

// forgetMin is how many entries the lists of a commit may have in any case.
const forgetMin = 1 << 16

// forgetReturned makes the lists of what was taken and returned since m as short as
// they can be: a transaction that takes, returns and takes again for ever must not
// need memory for each time.
func (c *commit) forgetReturned(m outMark) {
	if len(c.taken)+len(c.returned) < c.forgetAt {
		return
	}
	taken, returned := freelist.Net(c.taken[m.taken:], c.returned[m.returned:])
	c.taken = append(c.taken[:m.taken], taken...)
	c.returned = append(c.returned[:m.returned], returned...)
	c.forgetAt = 2*(len(c.taken)+len(c.returned)) + forgetMin
}

// spilling finds the pages that can go.
type spilling struct {
	*commit
	kept []int // dirty nodes beyond the boundary that refer to something that cannot
}

// node lists the dirty pages from r down, and tells whether r can go.
func (sp *spilling) node(r btree.Ref) bool {
	i := int(r.ID &^ dirtyBit)
	d := &sp.s.dirty[i]
	if d.epoch <= sp.s.boundary {
		return false
	}
	all := true
	p := page.Page(d.buf)
	leaf := p.Kind() == page.KindLeaf
	if !leaf || r.Flags != 0 {
		btree.Refs(p, dirtyBit, func(r btree.Ref) { all = sp.ref(r) && all })
	}
	switch {
	case !all:
		sp.kept = append(sp.kept, i)
		return false
	case leaf:
		sp.leaves = append(sp.leaves, i)
	default:
		sp.branches = append(sp.branches, i)
	}
	sp.pages++
	return true
}

func (sp *spilling) ref(r btree.Ref) bool {
	if r.Bytes == 0 {
		return sp.node(r)
	}
	i := int(r.ID &^ dirtyBit)
	d := &sp.s.dirty[i]
	if d.epoch <= sp.s.boundary {
		return false
	}
	sp.addRun(i)
	sp.pages += sp.s.pagesOf(d)
	return true
}

// letGo drops the memory of what has been written.
func (c *commit) letGo() {
	for _, i := range slices.Concat(c.leaves, c.runs, c.branches) {
		c.s.pages -= c.s.pagesOf(&c.s.dirty[i])
		c.s.drop(i)
		c.s.unused = append(c.s.unused, i)
	}
}
