package work

import (
	"encoding/binary"

	"github.com/cespare/xxhash/v2"
)

// value is a value by its seed and size: the bytes are made when they are needed.
type value struct {
	seed uint64
	size int
}

// appendTo appends the bytes of v to b.
func (v value) appendTo(b []byte) []byte {
	x := v.seed | 1
	for i := 0; i < v.size; i += 8 {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		b = binary.LittleEndian.AppendUint64(b, x)
	}
	return b[:len(b)-(8-v.size%8)%8]
}

// sumOf returns what an entry adds to the digest of a state. The digest is their sum,
// so that it can be kept up to date without the others.
func sumOf(path string, value []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(path)
	_, _ = d.Write([]byte{0})
	_, _ = d.Write(value)
	return d.Sum64()
}

func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }
