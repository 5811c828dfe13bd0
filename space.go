package folio

// This file is responsible for how the free space is kept in the file.
//
// Every commit notes which pages it took and which it freed, a delta of some tens
// of bytes, in its meta page. When no more deltas fit there, a commit moves them
// all into a freelist page, which links to the one before it. When this chain has
// outgrown it, a commit writes all free space into a new one, a checkpoint, and
// the chain starts again with that. So a commit writes what it changed, whatever
// the number of free pages, and an open reads the chain, never the tree.

import (
	"fmt"
	"slices"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// space is the free space, and where the file says so. It belongs to the writer.
type space struct {
	list  *freelist.List
	chain []chainLink // oldest first
}

type chainLink struct {
	freelist.Link
	checkpoint bool
}

// chainPages returns the pages of the chain behind its checkpoint, and those of
// the checkpoint.
func (s *space) chainPages() (deltas, checkpoint uint64) {
	for _, c := range s.chain {
		if c.checkpoint {
			checkpoint += uint64(c.Pages)
		} else {
			deltas += uint64(c.Pages)
		}
	}
	return deltas, checkpoint
}

// loadSpace reads the free space once, before the first write transaction.
func (db *DB) loadSpace() error {
	if db.space != nil {
		return nil
	}
	if err := db.secure(); err != nil {
		return err
	}
	m := &db.head.meta
	n, err := readNotes(db.pager, m)
	var l *freelist.List
	if err == nil {
		l, err = n.list(m.HighWater)
	}
	if live := db.liveSnapshots(); err == nil && len(live) > 0 && live[0] < m.TxID && !bugs.On(bugs.HoldLeftOut) {
		err = l.HoldSince(live[0], n.checkpointed, n.deltas)
	}
	if err != nil {
		return fmt.Errorf("folio: reading the free space: %w", err)
	}
	db.space = &space{list: l, chain: n.chain}
	return nil
}

// readSpace reads the free space of the state that m describes.
func readSpace(p *pager.Pager, m *meta.Meta) (*space, error) {
	n, err := readNotes(p, m)
	if err != nil {
		return nil, err
	}
	l, err := n.list(m.HighWater)
	return &space{list: l, chain: n.chain}, err
}

// notes are what the file says of its free space.
type notes struct {
	chain        []chainLink
	checkpoint   []byte
	checkpointed page.TxID // by whom, 0: there is no checkpoint
	deltas       [][]byte
}

func (n *notes) list(limit page.ID) (*freelist.List, error) {
	return freelist.Load(n.checkpoint, n.deltas, limit)
}

// readNotes reads the chain that m links to.
func readNotes(p *pager.Pager, m *meta.Meta) (*notes, error) {
	n := &notes{deltas: [][]byte{m.Freelist.Tail}}
	for next := headLink(m); next.ID != 0; {
		fp, err := readLink(p, m, next)
		if err != nil {
			return nil, err
		}
		if fp.Checkpoint {
			n.checkpoint, n.checkpointed = fp.Payload, next.Birth
		} else {
			n.deltas = append(n.deltas, fp.Payload)
		}
		n.chain = append(n.chain, chainLink{next, fp.Checkpoint})
		next = fp.Next
	}
	// Newest first so far.
	slices.Reverse(n.chain)
	slices.Reverse(n.deltas)
	return n, nil
}

func headLink(m *meta.Meta) freelist.Link {
	return freelist.Link{ID: m.Freelist.Head, Birth: m.Freelist.HeadBirth, Pages: m.Freelist.HeadPages}
}

// readLink reads one page, or run, of the chain.
func readLink(p *pager.Pager, m *meta.Meta, l freelist.Link) (freelist.Page, error) {
	if l.ID < page.FirstID || l.ID >= m.HighWater || l.Pages == 0 || uint64(l.Pages) > uint64(m.HighWater-l.ID) {
		return freelist.Page{}, page.Corrupt(l.ID, page.KindFreelist, "%s not in the file", pagesFrom(uint64(l.Pages)))
	}
	b := make([]byte, int(l.Pages)*int(m.PageSize))
	if err := p.ReadAt(b, l.ID); err != nil {
		return freelist.Page{}, fmt.Errorf("%w: %w", ErrFault, err)
	}
	return freelist.DecodePage(b, l, m.FileID)
}
