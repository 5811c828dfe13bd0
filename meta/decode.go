package meta

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for reading a meta page. Rules:
//
//	M6  Decoding is total: any bytes give a Meta that holds what this package
//	    promises of it, or an error.
//	M7  What decodes encodes to the same bytes.
//	M8  The version is only believed when the checksum is right.

// Errors of Decode, besides those that wrap page.ErrCorrupt.
var (
	// ErrNotFolio says that the bytes do not start as a folio file does.
	ErrNotFolio = errors.New("not a folio file")
	// ErrBlank is the ErrNotFolio of bytes that are all zero, or none at all.
	ErrBlank = fmt.Errorf("%w: nothing is written there", ErrNotFolio)
	// ErrVersion says that a newer folio wrote the file.
	ErrVersion = errors.New("the file has a newer format version")
)

// Decode returns the meta in b, the first Size bytes of a meta page or more. It
// keeps nothing of b. The error wraps ErrNotFolio, ErrVersion or page.ErrCorrupt.
func Decode(b []byte, slot int) (Meta, error) {
	b = b[:min(len(b), Size)]
	corrupt := func(format string, args ...any) (Meta, error) {
		return Meta{}, page.Corrupt(page.ID(slot), 0, "meta page: "+format, args...)
	}
	if !bytes.HasPrefix(b, Magic[:]) {
		if len(bytes.Trim(b, "\x00")) == 0 {
			return Meta{}, ErrBlank
		}
		return Meta{}, ErrNotFolio
	}
	if len(b) < Size {
		return corrupt("%d bytes instead of %d", len(b), Size)
	}
	le := binary.LittleEndian
	if le.Uint64(b[offChecksum:]) != checksum(b, slot) {
		return corrupt("wrong checksum")
	}
	version := le.Uint32(b[offVersion:])
	if version > Version {
		return Meta{}, fmt.Errorf("%w: %d, this program reads up to %d", ErrVersion, version, Version)
	}
	if version != Version {
		return corrupt("there is no format version %d", version)
	}
	flags := le.Uint32(b[offFlags:])
	if flags&^flagsKnown != 0 || le.Uint16(b[offReserved:]) != 0 {
		return corrupt("unknown flags") // M5
	}
	m := decodeFields(b)
	m.Synced, m.Clean, m.Weak = flags&flagSynced != 0, flags&flagClean != 0, flags&flagWeak != 0
	detail := m.checkFields()
	if detail == "" {
		detail = m.decodeBody(b)
	}
	if detail == "" {
		detail = m.checkRecord()
	}
	if detail != "" {
		return corrupt("%s", detail)
	}
	return m, nil
}

func decodeFields(b []byte) Meta {
	u32 := func(off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }
	u64 := func(off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }
	return Meta{
		PageSize: u32(offPageSize),
		FileID:   u64(offFileID),
		TxID:     page.TxID(u64(offTxID)),
		Root: Root{
			ID:       page.ID(u64(offRootID)),
			Birth:    page.TxID(u64(offRootBirth)),
			Count:    u64(offRootCount),
			Sequence: u64(offRootSequence),
		},
		HighWater: page.ID(u64(offHighWater)),
		Freelist: Freelist{
			Head:      page.ID(u64(offFreelistHead)),
			HeadBirth: page.TxID(u64(offFreelistBirth)),
			HeadPages: u32(offHeadPages),
			FreePages: u64(offFreePages),
		},
	}
}

// decodeBody sets tail and record. It says what is wrong with them, or returns "".
func (m *Meta) decodeBody(b []byte) string {
	le := binary.LittleEndian
	tailSize := int(le.Uint16(b[offTailSize:]))
	count := int(le.Uint16(b[offRecordCount:]))
	idSize := int(le.Uint16(b[offRecordIDSize:]))
	if tailSize+idSize+sumSize*count > bodySize {
		return fmt.Sprintf("a tail of %d bytes and a record of %d units", tailSize, count)
	}
	body := b[offBody:offChecksum]
	if tailSize > 0 {
		m.Freelist.Tail = bytes.Clone(body[:tailSize])
	}
	if m.Weak {
		return m.decodeSince(body[tailSize:], count+idSize)
	}
	ids, sums := body[tailSize:tailSize+idSize], body[tailSize+idSize:]
	if count > 0 {
		m.Record = make([]Unit, count)
	}
	if detail := decodeIDs(m.Record, ids); detail != "" {
		return detail
	}
	for i := range m.Record {
		m.Record[i].Sum = le.Uint64(sums[sumSize*i:])
	}
	if len(bytes.TrimLeft(sums[sumSize*count:], "\x00")) > 0 { // M5
		return "bytes follow the commit record"
	}
	return ""
}

// decodeSince is decodeBody for what follows the tail of a weak meta. others is zero
// if it has no record.
func (m *Meta) decodeSince(b []byte, others int) string {
	if len(b) < sinceSize || others != 0 {
		return "a weak meta that is too long, or with a commit record"
	}
	m.Since = page.TxID(binary.LittleEndian.Uint64(b))
	if len(bytes.TrimLeft(b[sinceSize:], "\x00")) > 0 { // M5
		return "bytes follow those of a weak meta"
	}
	return ""
}
