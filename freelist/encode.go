package freelist

import (
	"encoding/binary"
	"fmt"
	"math/bits"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for the bytes of extents and deltas (see the package
// comment for the format). Rules:
//
//	F11  Decoding is total: any bytes give a value or an error that wraps
//	     page.ErrCorrupt, and never more extents than there are bytes.
//	F12  A value has one encoding: what decodes encodes to the same bytes.
//	F13  Extents of a list ascend and never touch; the gaps cannot say otherwise.

// Delta is what one commit did to the set of free and pending pages.
type Delta struct {
	TxID  page.TxID
	Taken []Extent // by allocation, and cut off the end of the file
	Freed []Extent
}

// Append appends the encoding of d to dst. It sorts and merges the extents of d
// in place.
func (d *Delta) Append(dst []byte) []byte {
	d.Taken, d.Freed = normalise(d.Taken), normalise(d.Freed)
	dst = binary.AppendUvarint(dst, uint64(d.TxID))
	dst = binary.AppendUvarint(dst, uint64(len(d.Taken)))
	dst = binary.AppendUvarint(dst, uint64(len(d.Freed)))
	return appendExtents(appendExtents(dst, d.Taken), d.Freed)
}

// Size returns an upper bound of what Append adds, mostly within a few bytes.
func (d *Delta) Size() int {
	size := uvarintLen(uint64(d.TxID))
	for _, es := range [...][]Extent{d.Taken, d.Freed} {
		var end page.ID
		var pages uint64
		for _, e := range es {
			end = max(end, e.End())
			pages += e.Len
		}
		size += extentsBound(len(es), end, pages)
	}
	return size
}

// DecodeDeltas calls fn for each delta of a concatenation, with all pages in
// [page.FirstID, limit). The extents belong to fn only until it returns. Bytes
// that are no such deltas give an error that wraps page.ErrCorrupt; an error of
// fn ends the decoding and is returned as it is.
func DecodeDeltas(b []byte, limit page.ID, fn func(Delta) error) error {
	var d Delta
	var err error
	for r := (reader{b: b}); len(r.b) > 0; {
		if d, err = r.delta(d, limit); err != nil {
			return err
		}
		if err = fn(d); err != nil {
			return err
		}
	}
	return nil
}

func appendExtents(dst []byte, es []Extent) []byte {
	next := page.FirstID
	for _, e := range es {
		gap := uint64(e.Start-next) << 1
		if e.Len == 1 {
			dst = binary.AppendUvarint(dst, gap)
		} else {
			dst = binary.AppendUvarint(dst, gap|1)
			dst = binary.AppendUvarint(dst, e.Len-2)
		}
		next = e.End() + 1
	}
	return dst
}

// extentsBound returns an upper bound of the bytes of n extents below end with
// the given number of pages in all, their count included. It also holds if they
// are merged to fewer extents.
//
// A varint needs a byte, and one more for each k with a value of 1<<7k or more.
// The values add up to 2*end at most (each page is in one gap or in one extent),
// so at most 2*end>>7k of them reach 1<<7k; likewise for the lengths, of which
// there is one for each extent of two pages or more.
func extentsBound(n int, end page.ID, pages uint64) int {
	size := uvarintLen(uint64(n))
	gaps, lengths := uint64(n), min(uint64(n), pages/2)
	for k := 0; k < 64; k += 7 {
		size += int(min(gaps, 2*uint64(end)>>k) + min(lengths, pages>>k))
	}
	return size
}

func uvarintLen(v uint64) int { return max(1, (bits.Len64(v)+6)/7) }

// corrupt returns an error about bytes that are no freelist.
func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: freelist: %s", page.ErrCorrupt, fmt.Sprintf(format, args...))
}

// reader decodes from the front of b.
type reader struct{ b []byte }

func (r *reader) uvarint() (uint64, error) {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		return 0, corrupt("a number is cut off or too large")
	}
	if n > 1 && r.b[n-1] == 0 {
		return 0, corrupt("a number is longer than it need be")
	}
	r.b = r.b[n:]
	return v, nil
}

// count reads a number of extents. Each takes a byte at least (F11).
func (r *reader) count() (uint64, error) {
	n, err := r.uvarint()
	if err == nil && n > uint64(len(r.b)) {
		err = corrupt("%d extents in %d bytes", n, len(r.b))
	}
	return n, err
}

// delta reads a delta into the memory of d.
func (r *reader) delta(d Delta, limit page.ID) (Delta, error) {
	txid, err := r.uvarint()
	if err != nil {
		return d, err
	}
	d.TxID = page.TxID(txid)
	taken, err := r.count()
	if err != nil {
		return d, err
	}
	freed, err := r.count()
	if err != nil {
		return d, err
	}
	if d.Taken, err = r.extents(d.Taken[:0], taken, limit); err != nil {
		return d, err
	}
	d.Freed, err = r.extents(d.Freed[:0], freed, limit)
	return d, err
}

// extents reads n extents within [page.FirstID, limit) and appends them to es.
func (r *reader) extents(es []Extent, n uint64, limit page.ID) ([]Extent, error) {
	limit = min(limit, page.MaxID)
	next := page.FirstID
	for range n {
		v, err := r.uvarint()
		if err != nil {
			return es, err
		}
		length := uint64(1)
		if v&1 != 0 {
			if length, err = r.uvarint(); err != nil {
				return es, err
			}
			if length > uint64(page.MaxID) {
				return es, corrupt("an extent of more than %d pages", length)
			}
			length += 2
		}
		// Both sides of each comparison are in range: limit is far below
		// overflow, and next exceeds it by one at most.
		if next >= limit || v>>1 >= uint64(limit-next) {
			return es, corrupt("an extent starts outside the file")
		}
		e := Extent{Start: next + page.ID(v>>1), Len: length}
		if length > uint64(limit-e.Start) {
			return es, corrupt("%d pages from page %d are not in the file", length, e.Start)
		}
		es = append(es, e)
		next = e.End() + 1
	}
	return es, nil
}
