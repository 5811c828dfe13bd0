package main

// This file is responsible for the data: keys of 16 to 24 hexadecimal digits in
// random order, and values that do not compress.

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// data is the keys of a run. Keys lie in memory one behind the other in the order
// of random, so that going through them costs the benchmark next to nothing.
type data struct {
	random [][]byte
	sorted [][]byte
	values []byte
}

const valueSize = 100

func newData(n int) *data {
	d := &data{values: make([]byte, 4<<20)}
	r := rand.New(rand.NewPCG(1, 2))
	for i := 0; i < len(d.values); i += 8 {
		le.PutUint64(d.values[i:], r.Uint64())
	}
	arena := make([]byte, 0, 24*n)
	for range n {
		start := len(arena)
		arena = appendKey(arena, r)
		d.random = append(d.random, arena[start:len(arena):len(arena)])
	}
	d.sorted = slices.SortedFunc(slices.Values(d.random), bytes.Compare)
	return d
}

// appendKey appends a random key.
func appendKey(dst []byte, r *rand.Rand) []byte {
	const digits = "0123456789abcdef"
	h, more := r.Uint64(), r.Uint64()
	for i := range 16 {
		dst = append(dst, digits[h>>(4*i)&15])
	}
	for i := range more % 9 {
		dst = append(dst, digits[more>>(4*i+8)&15])
	}
	return dst
}

// value returns the i-th value of n bytes.
func (d *data) value(i, n int) []byte {
	off := i * 104729 % (len(d.values) - n)
	return d.values[off : off+n]
}
