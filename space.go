package folio

// This file is responsible for how the free space is kept in the file.
//
// Every commit notes which pages it took and which it freed, a delta of some tens
// of bytes, in its meta page. When no more deltas fit there, a commit moves them
// all into a freelist page, which points to the one before it. When this chain
// has outgrown it, a commit writes all free space into a new one, a checkpoint,
// and the chain starts again with that. So a commit writes what it changed,
// whatever the number of free pages, and an open reads the chain, never the tree.
//
// A freelist page, or run of pages:
//
//	 0       32        40           48           52            56         64
//	 | header | next id | next birth | next pages | payload len | reserved | payload, zeroes |
//
// The header's level is 1 for a checkpoint and 0 for deltas; its checksum covers
// the whole run.

import (
	"encoding/binary"
	"fmt"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

var le = binary.LittleEndian

// Offsets in a freelist page behind the page header.
const (
	offNextID       = page.HeaderSize
	offNextBirth    = offNextID + 8
	offNextPages    = offNextBirth + 8
	offPayloadLen   = offNextPages + 4
	freelistPayload = page.HeaderSize + 32
)

// space is the free space, and where the file says so. It belongs to the writer.
type space struct {
	list  *freelist.List
	chain []chainPage // oldest first
}

// chainPage is a page, or a run, of the chain.
type chainPage struct {
	id         page.ID
	birth      page.TxID
	pages      uint32
	checkpoint bool
	payload    []byte // while loading
}

// chainPages returns the pages of the chain behind its checkpoint, and those of
// the checkpoint.
func (s *space) chainPages() (deltas, checkpoint uint64) {
	for _, c := range s.chain {
		if c.checkpoint {
			checkpoint += uint64(c.pages)
		} else {
			deltas += uint64(c.pages)
		}
	}
	return deltas, checkpoint
}

// loadSpace reads the free space of snap once.
func (db *DB) loadSpace(snap *snapshot) error {
	if db.space != nil {
		return nil
	}
	s, err := readSpace(db.pager, &snap.meta)
	if err != nil {
		return fmt.Errorf("folio: reading the free space: %w", err)
	}
	db.space = s
	return nil
}

// readSpace reads the chain that m points to.
func readSpace(p *pager.Pager, m *meta.Meta) (*space, error) {
	s := &space{}
	next := chainPage{id: m.Freelist.Head, birth: m.Freelist.HeadBirth, pages: m.Freelist.HeadPages}
	for next.id != 0 {
		c, after, err := readChainPage(p, m, next)
		if err != nil {
			return nil, err
		}
		// Births descend along the chain, so it ends.
		if after.id != 0 && after.birth >= c.birth || c.checkpoint && after.id != 0 {
			return nil, page.Corrupt(c.id, page.KindFreelist, "the chain of freelist pages does not end")
		}
		s.chain = append(s.chain, c)
		next = after
	}
	var checkpoint []byte
	var deltas [][]byte
	for i, j := 0, len(s.chain)-1; i < j; i, j = i+1, j-1 {
		s.chain[i], s.chain[j] = s.chain[j], s.chain[i]
	}
	for i := range s.chain {
		c := &s.chain[i]
		if c.checkpoint {
			checkpoint = c.payload
		} else {
			deltas = append(deltas, c.payload)
		}
		c.payload = nil
	}
	deltas = append(deltas, m.Freelist.Tail)
	var err error
	s.list, err = freelist.Load(checkpoint, deltas, m.HighWater)
	return s, err
}

// readChainPage reads and verifies one page, or run, of the chain, and returns
// where the next one is.
func readChainPage(p *pager.Pager, m *meta.Meta, c chainPage) (chainPage, chainPage, error) {
	var next chainPage
	if c.id < page.FirstID || c.id >= m.HighWater || c.pages == 0 || uint64(c.pages) > uint64(m.HighWater-c.id) {
		return c, next, page.Corrupt(c.id, page.KindFreelist, "%d pages from there on are not in the file", c.pages)
	}
	b := make([]byte, int(c.pages)*int(m.PageSize))
	if err := p.ReadAt(b, c.id); err != nil {
		return c, next, err
	}
	h := page.Page(b)
	payload := int(le.Uint32(b[offPayloadLen:]))
	switch {
	case h.Kind() != page.KindFreelist || h.RunLen() != c.pages:
		return c, next, page.Corrupt(c.id, page.KindFreelist, "a %v page of %d pages", h.Kind(), h.RunLen())
	case h.ComputeChecksum(c.id, m.FileID) != h.Checksum():
		return c, next, page.Corrupt(c.id, page.KindFreelist, "wrong checksum")
	case h.TxID() != c.birth:
		return c, next, page.Corrupt(c.id, page.KindFreelist, "written by transaction %d, expected %d", h.TxID(), c.birth)
	case payload > len(b)-freelistPayload:
		return c, next, page.Corrupt(c.id, page.KindFreelist, "a payload of %d bytes", payload)
	}
	c.checkpoint = h.Level() == 1
	c.payload = b[freelistPayload : freelistPayload+payload]
	next.id = page.ID(le.Uint64(b[offNextID:]))
	next.birth = page.TxID(le.Uint64(b[offNextBirth:]))
	next.pages = le.Uint32(b[offNextPages:])
	return c, next, nil
}

// encodeChainPage fills b, zeroed whole pages, with a page of the chain. next is
// the one it points to.
func encodeChainPage(b []byte, c chainPage, next chainPage, payload []byte) {
	level := 0
	if c.checkpoint {
		level = 1
	}
	h := page.Page(b)
	h.Init(page.KindFreelist, level, c.pages)
	h.SetTxID(c.birth)
	le.PutUint64(b[offNextID:], uint64(next.id))
	le.PutUint64(b[offNextBirth:], uint64(next.birth))
	le.PutUint32(b[offNextPages:], next.pages)
	le.PutUint32(b[offPayloadLen:], uint32(len(payload)))
	copy(b[freelistPayload:], payload)
}
