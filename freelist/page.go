package freelist

// This file is responsible for the bytes of a freelist page, or run of pages: a
// link of the chain in which the file keeps its free space. The header's level
// tells a checkpoint, 1, from deltas, 0. Its checksum covers the whole run.

import (
	"encoding/binary"

	"github.com/foliodb/folio/internal/page"
)

// Offsets in a freelist page behind the page header.
const (
	offNextID     = page.HeaderSize   // page id of the next older link, 0: none
	offNextBirth  = offNextID + 8     // its birth
	offNextPages  = offNextBirth + 8  // its length in pages
	offPayloadLen = offNextPages + 4  // bytes of payload
	offReserved   = offPayloadLen + 4 // zero
	// PageOverhead is how many bytes of a freelist page are not payload.
	PageOverhead = offReserved + 8
)

var le = binary.LittleEndian

// Link says where a freelist page is.
type Link struct {
	ID    page.ID // 0: there is none
	Birth page.TxID
	Pages uint32
}

// Page is a freelist page, or run, without its place.
type Page struct {
	Checkpoint bool
	Next       Link
	Payload    []byte
}

// Encode fills b, zeroed whole pages, with the page at l. The caller seals it.
func (p *Page) Encode(b []byte, l Link) {
	level := 0
	if p.Checkpoint {
		level = 1
	}
	h := page.Page(b)
	h.Init(page.KindFreelist, level, l.Pages)
	h.SetTxID(l.Birth)
	le.PutUint64(b[offNextID:], uint64(p.Next.ID))
	le.PutUint64(b[offNextBirth:], uint64(p.Next.Birth))
	le.PutUint32(b[offNextPages:], p.Next.Pages)
	le.PutUint32(b[offPayloadLen:], uint32(len(p.Payload)))
	copy(b[PageOverhead:], p.Payload)
}

// DecodePage verifies and decodes b, the bytes of the page at l. The payload is
// part of b. Whatever b holds, the next link is older than l, so that a chain
// ends. Errors wrap page.ErrCorrupt.
func DecodePage(b []byte, l Link, fileID uint64) (Page, error) {
	h := page.Page(b)
	payload := le.Uint32(b[offPayloadLen:])
	p := Page{
		Checkpoint: h.Level() == 1,
		Next: Link{
			ID:    page.ID(le.Uint64(b[offNextID:])),
			Birth: page.TxID(le.Uint64(b[offNextBirth:])),
			Pages: le.Uint32(b[offNextPages:]),
		},
	}
	switch {
	case h.Kind() != page.KindFreelist || h.RunLen() != l.Pages:
		return p, page.Corrupt(l.ID, page.KindFreelist, "a %v page of %d pages", h.Kind(), h.RunLen())
	case h.ComputeChecksum(l.ID, fileID) != h.Checksum():
		return p, page.Corrupt(l.ID, page.KindFreelist, "wrong checksum")
	case h.TxID() != l.Birth:
		return p, page.Corrupt(l.ID, page.KindFreelist, "written by transaction %d, expected %d", h.TxID(), l.Birth)
	case h.Level() > 1 || uint64(payload) > uint64(len(b)-PageOverhead):
		return p, page.Corrupt(l.ID, page.KindFreelist, "level %d, a payload of %d bytes", h.Level(), payload)
	case p.Next.ID != 0 && (p.Next.Birth >= l.Birth || p.Checkpoint):
		return p, page.Corrupt(l.ID, page.KindFreelist, "the chain of freelist pages does not end")
	}
	p.Payload = b[PageOverhead : PageOverhead+int(payload)]
	return p, nil
}

// Layout returns the table of a freelist page.
func Layout() page.Table {
	return page.Table{Name: "Freelist page", Fields: []page.Field{
		{Offset: offNextID, Size: 8, Name: "next id", Meaning: "the next older freelist page; 0: this is the oldest"},
		{Offset: offNextBirth, Size: 8, Name: "next birth", Meaning: "its txid"},
		{Offset: offNextPages, Size: 4, Name: "next pages", Meaning: "its length in pages"},
		{Offset: offPayloadLen, Size: 4, Name: "payload length", Meaning: "bytes of the payload"},
		{Offset: offReserved, Size: PageOverhead - offReserved, Name: "reserved", Meaning: "zero"},
		{Offset: PageOverhead, Name: "payload", Meaning: "a checkpoint, or deltas one behind the other"},
	}}
}
