package folio

// This file is responsible for moving pages, which clean.go has found worth it: children of
// dirty branches, and runs of values in dirty leaves. They are read from the file, verified as
// if nobody had ever looked at them, and become dirty pages of the commit.

import (
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// move is what gets another place.
type move struct {
	parent page.Page // a dirty node
	at     int       // the child, or the cell of the run, in it
	id     page.ID   // where it is now
	birth  page.TxID
	bytes  int    // data bytes of the run; 0: it is a node
	copy   []byte // of its pages
	intact bool   // copy is what parent says
}

// moveBatch is how many pages a goroutine reads before it looks for more.
const moveBatch = 4

// readMoves reads what is to be moved. It changes nothing else, so several goroutines
// may do it.
func (c *commit) readMoves(moves []move) {
	workers := c.workers(4 * len(moves))
	_ = inTurn(workers, (len(moves)+moveBatch-1)/moveBatch, func(_, i int) error {
		from := i * moveBatch
		for j := range moves[from:min(from+moveBatch, len(moves))] {
			m := &moves[from+j]
			m.intact = c.readIntact(m)
		}
		return nil
	})
}

// readIntact copies what is to be moved; false if it is not in memory, or is not what its
// parent says: nobody asked for that page. It may be one that has never been verified;
// the copy is going to be trusted.
func (c *commit) readIntact(m *move) bool {
	if !c.db.pager.ReadCached(m.copy, m.id) {
		return false
	}
	if m.bytes > 0 { // all of it, for it gets other checksums
		return btree.VerifyRunHeader(m.copy, m.id, m.birth, c.s.fileID, m.bytes, c.db.pageSize) == nil &&
			btree.VerifyRunData(m.copy, m.id, c.s.fileID) == nil
	}
	return c.intact(m.copy, m.id, m.birth)
}

// intact tells whether buf is page id of transaction birth. What this process has
// verified before need only be the same bytes.
func (c *commit) intact(buf page.Page, id page.ID, birth page.TxID) bool {
	if _, verified := c.s.view.Page(id); !verified {
		return verifyPage(buf, id, birth, c.s.fileID, c.s.highWater) == nil
	}
	return buf.TxID() == birth && buf.ComputeChecksum(id, c.s.fileID) == buf.Checksum()
}

// move makes what could be read dirty pages of the commit.
func (c *commit) move(moves []move) {
	for _, m := range moves {
		if !m.intact {
			c.s.keepBuffer(m.copy)
			continue
		}
		run := m.bytes > 0
		c.s.freed = append(c.s.freed, freedRun{m.id, uint64(len(m.copy) / c.db.pageSize), m.birth})
		id := c.s.add(dirtyPage{buf: m.copy, run: run, moved: true})
		i := int(id &^ dirtyBit)
		switch {
		case run:
			btree.SetValueRun(m.parent, m.at, id)
			c.addRun(i)
			continue
		case m.parent.Level() == 1:
			c.leaves = append(c.leaves, i)
		default:
			c.branches = append(c.branches, i)
		}
		btree.Children(m.parent).Set(m.at, id)
	}
	c.pages = c.s.pages
}
