package meta

import (
	"encoding/binary"
	"fmt"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for writing a meta page.

// Encode writes m to dst, which has Size bytes, as the meta of the given slot. It
// may sort the record. It panics if m does not fit (see [Meta.Fits]), if its record
// has a page twice or one that cannot be, or if there is a record and Synced or Weak is set.
// The other fields are the caller's to verify (see [Meta.Check]).
func Encode(dst []byte, m *Meta, slot int) {
	if len(dst) != Size {
		panic(fmt.Sprintf("folio: a meta takes %d bytes, not %d", Size, len(dst)))
	}
	if room := m.Room(); room < 0 {
		panic(fmt.Sprintf("folio: a meta is %d bytes too long", -room))
	}
	if detail := m.checkRecord(); detail != "" {
		panic("folio: " + detail)
	}
	clear(dst)
	le := binary.LittleEndian
	copy(dst[offMagic:], Magic[:])
	le.PutUint32(dst[offVersion:], Version)
	le.PutUint32(dst[offPageSize:], m.PageSize)
	le.PutUint64(dst[offFileID:], m.FileID)
	le.PutUint64(dst[offTxID:], uint64(m.TxID))
	le.PutUint64(dst[offRootID:], uint64(m.Root.ID))
	le.PutUint64(dst[offRootBirth:], uint64(m.Root.Birth))
	le.PutUint64(dst[offRootCount:], m.Root.Count)
	le.PutUint64(dst[offRootSequence:], m.Root.Sequence)
	le.PutUint64(dst[offHighWater:], uint64(m.HighWater))
	le.PutUint64(dst[offFreelistHead:], uint64(m.Freelist.Head))
	le.PutUint64(dst[offFreelistBirth:], uint64(m.Freelist.HeadBirth))
	le.PutUint64(dst[offFreePages:], m.Freelist.FreePages)
	le.PutUint32(dst[offHeadPages:], m.Freelist.HeadPages)
	le.PutUint32(dst[offFlags:], m.flags())
	encodeBody(dst, m)
	le.PutUint64(dst[offChecksum:], checksum(dst, slot))
}

// Used returns how many bytes of b, which Encode has made, are in use: what follows them
// is zero up to the checksum (M5).
func Used(b []byte) int {
	le := binary.LittleEndian
	n := offBody + int(le.Uint16(b[offTailSize:])) + int(le.Uint16(b[offRecordIDSize:])) + sumSize*int(le.Uint16(b[offRecordCount:]))
	if le.Uint32(b[offFlags:])&flagWeak != 0 {
		n += sinceSize
	}
	return n
}

// Spoil gives dst, which has Size bytes, a checksum that is wrong, whatever is in it, so
// that nobody takes it for the meta of the given slot.
func Spoil(dst []byte, slot int) {
	binary.LittleEndian.PutUint64(dst[offChecksum:], ^checksum(dst, slot))
}

// encodeBody writes tail and record and their sizes.
func encodeBody(dst []byte, m *Meta) {
	le := binary.LittleEndian
	body := append(dst[offBody:offBody:offChecksum], m.Freelist.Tail...)
	if m.Weak {
		le.PutUint16(dst[offTailSize:], uint16(len(m.Freelist.Tail)))
		le.AppendUint64(body, uint64(m.Since))
		return
	}
	body = appendIDs(body, m.Record)
	le.PutUint16(dst[offTailSize:], uint16(len(m.Freelist.Tail)))
	le.PutUint16(dst[offRecordCount:], uint16(len(m.Record)))
	le.PutUint16(dst[offRecordIDSize:], uint16(len(body)-len(m.Freelist.Tail)))
	for _, u := range m.Record {
		body = le.AppendUint64(body, u.Sum)
	}
}

func (m *Meta) flags() (f uint32) {
	if m.Synced {
		f |= flagSynced
	}
	if m.Clean {
		f |= flagClean
	}
	if m.Weak {
		f |= flagWeak
	}
	return f
}

// checksum returns what the checksum field of b must hold in the given slot (M4).
func checksum(b []byte, slot int) uint64 {
	fileID := binary.LittleEndian.Uint64(b[offFileID:])
	return page.Sum(b[:offChecksum], page.Seed(page.ID(slot), fileID))
}
