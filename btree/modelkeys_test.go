package btree_test

import (
	"bytes"
	"encoding/binary"

	"github.com/foliodb/folio/btree"
)

const numKeyKinds, numValueKinds = 8, 4

// makeKey returns one of the run's keys, always the same for the same x.
func (r *run) makeKey(x uint64) []byte {
	x %= r.numKeys
	kind := uint64(r.keys % numKeyKinds)
	if kind == numKeyKinds-1 {
		kind = x % (numKeyKinds - 1)
	}
	h := hash(x + 1)
	switch kind {
	case 0: // short
		return be64(h)[:1+h>>8%8]
	case 1: // counters of users
		return append(be64(x%7), be64(x)...)[4:]
	case 2: // a few bytes that sort at the edges, and keys that begin other keys
		return pick("\x00\xffa", h, 1+x%9)
	case 3: // a long shared prefix, with short keys in it
		key := bytes.Repeat([]byte("prefix/"), r.pageSize/8/7-1)
		if x%8 == 0 {
			return key[:1+h%uint64(len(key))]
		}
		return append(key, be64(h)[:2+x%6]...)
	case 4: // long keys that only their runs tell apart, between short ones
		key := bytes.Repeat([]byte{'k'}, r.pageSize/16-2)
		return append(append(key, pick("k\x00z", h, h>>40%5)...), r.tail(x, h)...)
	case 5: // about the limits
		return append(be64(x%5), bytes.Repeat([]byte{byte(x)}, r.pageSize/8-12+int(x%8))...)
	}
	// Two places, each with a counter: ascending runs in the middle.
	return binary.BigEndian.AppendUint32([]byte{byte(x % 2 * 200)}, uint32(x))
}

// pick returns n letters of the alphabet.
func pick(alphabet string, h, n uint64) []byte {
	key := make([]byte, n)
	for i := range key {
		key[i] = alphabet[h%uint64(len(alphabet))]
		h = hash(h)
	}
	return key
}

// tail makes a key long, mostly, with bytes shared up to the last.
func (r *run) tail(x, h uint64) []byte {
	n := r.pageSize/16 + int(x%11)
	switch {
	case x%5 == 0:
		n = 0
	case x%5 == 1:
		n = btree.MaxKeySize - r.pageSize/16 - 20
	case x%5 == 2:
		n = min(r.pageSize/2, 20000)
	}
	return append(bytes.Repeat([]byte{'k'}, n), be64(h)...)
}

// makeValue returns the value that o puts.
func (r *run) makeValue(o op) []byte {
	h := hash(o.b ^ o.c<<20)
	n := h >> 8 % 100
	switch r.values % numValueKinds {
	case 0:
		n %= 20
	case 2: // up to the limits of a cell
		n = h >> 8 % uint64(r.pageSize*5/9)
	case 3:
		switch h % 16 {
		case 0:
			n = h >> 8 % (70 << 10)
		case 1:
			n = h >> 8 % uint64(r.pageSize)
		case 2:
			if h>>4%16 == 0 {
				n = h >> 8 % (300 << 10)
			}
		}
	}
	value := make([]byte, n)
	for i := 0; i < len(value); i += 8 {
		h += 0x9E3779B97F4A7C15
		if i+8 <= len(value) {
			binary.LittleEndian.PutUint64(value[i:], h)
		} else {
			value[i] = byte(h)
		}
	}
	return value
}
