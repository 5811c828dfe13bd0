package meta

import (
	"encoding/binary"
	"math/bits"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for the ids of the commit record, in few bytes. The
// units of a commit mostly lie in one or two stretches of single pages, so ids
// are coded as stretches of consecutive ones, ascending, each as
//
//	Field     Meaning
//	gap<<1|m  ids between this stretch and the lowest place that it could have:
//	          page.FirstID for the first, else the last id before it plus two;
//	          m is 1 if it has several ids
//	count-2   ids less two; only present if m is 1
//
// in unsigned varints in their shortest form. Rules:
//
//	M1  Ids ascend without repeats; the gaps cannot say otherwise.
//	M2  A record has one encoding.

// sumSize is what a unit takes besides its id.
const sumSize = 8

// appendIDs appends the ids of r, which is sorted, to dst.
func appendIDs(dst []byte, r []Unit) []byte {
	eachID(r, func(v uint64) { dst = binary.AppendUvarint(dst, v) })
	return dst
}

// idsSize returns how many bytes appendIDs appends.
func idsSize(r []Unit) (n int) {
	eachID(r, func(v uint64) { n += (bits.Len64(v|1) + 6) / 7 })
	return n
}

// eachID calls fn with the numbers that code the ids of r.
func eachID(r []Unit, fn func(uint64)) {
	next := page.FirstID
	for len(r) > 0 {
		n := 1
		for n < len(r) && r[n].ID == r[0].ID+page.ID(n) {
			n++
		}
		gap := uint64(r[0].ID-next) << 1
		if n == 1 {
			fn(gap)
		} else {
			fn(gap | 1)
			fn(uint64(n - 2))
		}
		next = r[n-1].ID + 2
		r = r[n:]
	}
}

// decodeIDs decodes the ids of len(r) units from all of b. It returns what is wrong,
// or "". Ids may lie outside the file, or wrap around: checkRecord sees either, for
// then one is too large.
func decodeIDs(r []Unit, b []byte) string {
	const cutOff = "the ids of the commit record are cut off"
	next := page.FirstID
	for len(r) > 0 {
		v, n := uvarint(b)
		if n == 0 {
			return cutOff
		}
		b = b[n:]
		count := uint64(1)
		if v&1 != 0 {
			if count, n = uvarint(b); n == 0 {
				return cutOff
			}
			b = b[n:]
			if count >= bodySize || count+2 > uint64(len(r)) {
				return "the commit record has more pages than it says"
			}
			count += 2
		}
		first := next + page.ID(v>>1)
		for i := range r[:count] {
			r[i].ID = first + page.ID(i)
		}
		r, next = r[count:], first+page.ID(count)+1
	}
	if len(b) > 0 {
		return "bytes follow the ids of the commit record"
	}
	return ""
}

// uvarint returns the number at the front of b and its length, 0 if there is no
// number in its shortest form (M2).
func uvarint(b []byte) (v uint64, n int) {
	v, n = binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return v, n
}
