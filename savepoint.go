package folio

// This file is responsible for going back within a transaction: to a savepoint, or to
// its beginning. What that costs is in proportion to the pages touched since
// (store.go has the rules D1 to D3).

import (
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
)

// txMark is a state that a write transaction can go back to.
type txMark struct {
	mark
	out      outMark
	root     btree.Header
	sequence uint64
	changed  bool
	handlers int
}

// outMark is how far a group has been written (spill.go).
type outMark struct {
	taken, returned int
	highWater       page.ID
}

// mark makes the present state one to go back to. Everything is in the tree of the
// root bucket.
func (tx *Tx) mark() txMark {
	return txMark{
		mark: tx.store.mark(), out: tx.group.outMark(),
		root: tx.root.tree.Header(), sequence: tx.root.sequence, changed: tx.root.changed,
		handlers: len(tx.onCommit),
	}
}

func (g *group) outMark() outMark {
	if g.out == nil {
		return outMark{highWater: g.base.meta.HighWater}
	}
	return outMark{len(g.out.taken), len(g.out.returned), g.out.meta.HighWater}
}

// rewind undoes all changes of pages since m, which stays.
func (g *group) rewind(db *DB, m txMark) {
	g.trees.Forget()
	g.store.rollback(m.mark)
	if g.out != nil {
		g.rewindSpilled(m)
		// Pages with the number of this transaction are in the file now.
		db.nextTxID++
	}
}

// rewindSpilled gives back the places of what has been spilled since m. As long as
// the application may look at the pages there, they are only freed, as those are
// which the transaction has given up, and stay as they are until it has ended.
func (g *group) rewindSpilled(m txMark) {
	c := g.out
	c.looked = min(c.looked, m.freed)
	taken, returned := freelist.Net(c.taken[m.out.taken:], c.returned[m.out.returned:])
	if g.store.shown {
		// Nothing was returned: a savepoint keeps spill from doing so.
		if n := c.meta.HighWater - m.out.highWater; n > 0 {
			taken = append(taken, freelist.Extent{Start: m.out.highWater, Len: uint64(n)})
		}
		for _, e := range taken {
			g.store.freed = append(g.store.freed, freedRun{e.Start, e.Len, c.txid})
		}
		return
	}
	if bugs.On(bugs.SpillKept) {
		taken = nil
	}
	for _, e := range taken {
		c.list.Return(e)
	}
	for _, e := range returned {
		c.list.Withdraw(e)
	}
	c.taken, c.returned = c.taken[:m.out.taken], c.returned[:m.out.returned]
	c.meta.HighWater = m.out.highWater
	g.store.highWater = m.out.highWater
}

// Savepoint is a state of a write transaction that it can go back to.
type Savepoint struct {
	tx   *Tx
	mark txMark
}

// Savepoint makes the present state of the transaction one that it can go back to,
// any number of times, until the savepoint is released or the transaction ends.
// Savepoints nest: going back to one drops those made after it. A savepoint itself
// costs next to nothing; each page that is changed for the first time after it is
// copied once more, and needs memory until the savepoint is released. Errors are
// ErrTxClosed, ErrTxNotWritable and Err.
func (tx *Tx) Savepoint() (*Savepoint, error) {
	if err := tx.root.changeable(); err != nil {
		return nil, err
	}
	if err := tx.change(tx.flush); err != nil {
		return nil, err
	}
	tx.trees.Forget()
	sp := &Savepoint{tx: tx, mark: tx.mark()}
	tx.savepoints = append(tx.savepoints, sp)
	return sp, nil
}

// Rollback undoes everything that the transaction has done since the savepoint was
// made, functions added by OnCommit among it. The savepoint stays; those made after
// it are gone. A Bucket opened before or since goes on to work if there is a bucket
// of its name in its parent again, cursors find their place again, and bytes handed
// out stay as they are. Only the Buckets of what was deleted since have to be opened
// anew. Errors are ErrTxClosed, ErrSavepointReleased and Err.
func (sp *Savepoint) Rollback() error {
	i, err := sp.index()
	if err != nil {
		return err
	}
	tx := sp.tx
	tx.dropSavepoints(i + 1)
	tx.group.rewind(tx.db, sp.mark)
	clear(tx.onCommit[sp.mark.handlers:])
	tx.onCommit = tx.onCommit[:sp.mark.handlers]
	tx.root.sequence, tx.root.changed = sp.mark.sequence, sp.mark.changed
	return tx.attempt(func() error { return tx.reload(sp.mark.root) })
}

// Release keeps what was done since the savepoint, as part of the transaction, and
// gives up the way back; also that to the savepoints made after it. Errors are
// ErrTxClosed, ErrSavepointReleased and Err.
func (sp *Savepoint) Release() error {
	i, err := sp.index()
	if err != nil {
		return err
	}
	sp.tx.dropSavepoints(i)
	return nil
}

// index returns the place of sp among the savepoints of its transaction.
func (sp *Savepoint) index() (int, error) {
	if err := sp.tx.root.usable(); err != nil {
		return 0, err
	}
	i := slices.Index(sp.tx.savepoints, sp)
	if i < 0 {
		return 0, ErrSavepointReleased
	}
	return i, nil
}

// dropSavepoints forgets all savepoints but the first n.
func (tx *Tx) dropSavepoints(n int) {
	for i := len(tx.savepoints) - 1; i >= n; i-- {
		tx.store.forget(tx.savepoints[i].mark.mark)
	}
	clear(tx.savepoints[n:])
	tx.savepoints = tx.savepoints[:n]
}

// Nested calls fn as a transaction within the transaction: if fn returns nil, what it
// has done is part of tx, and if it returns an error or panics, it is undone and
// Nested does the same, and tx can go on. fn gets tx itself; it must neither commit
// it nor roll it back. Nested calls nest. Savepoints made in fn are released when it ends.
// If fn goes back to one made before, what Nested would keep or undo is gone, and it
// returns ErrSavepointReleased. Other errors are those of Savepoint, ErrTxNotWritable in
// a read-only transaction among them.
func (tx *Tx) Nested(fn func(*Tx) error) (err error) {
	sp, err := tx.Savepoint()
	if err != nil {
		return err
	}
	finished := false
	defer func() {
		if !finished && tx.db != nil && tx.err == nil {
			// A panic or Goexit goes on; if tx cannot be brought back, it says so.
			if sp.Rollback() == nil {
				_ = sp.Release()
			}
		}
	}()
	err = fn(tx)
	finished = true
	if err != nil {
		if rollbackErr := sp.Rollback(); rollbackErr != nil {
			return rollbackErr
		}
	}
	if releaseErr := sp.Release(); releaseErr != nil && err == nil {
		return releaseErr
	}
	return err
}

// reload makes every Bucket say what the tree below h says.
func (tx *Tx) reload(h btree.Header) error {
	tx.root.tree.Reset(h, nil)
	return tx.root.reloadChildren()
}

// reloadChildren reads the buckets opened below b anew. Those that are not there any
// more cannot be used from now on.
func (b *Bucket) reloadChildren() error {
	for _, c := range slices.Clone(b.children.sorted()) {
		payload, flags, err := b.tree.Get(c.name)
		if err != nil {
			return err
		}
		if flags&btree.FlagBucket == 0 {
			c.forget()
			b.children.remove(c.name)
			continue
		}
		h := btree.DecodeHeader(payload)
		c.tree.Reset(h, slices.Clone(payload[btree.HeaderSize:]))
		c.sequence, c.changed, c.written = h.Sequence, false, c.tree.Mods()
		if err := c.reloadChildren(); err != nil {
			return err
		}
	}
	return nil
}
