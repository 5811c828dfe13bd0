package sidecar

// This file is responsible for the newest meta, which is published by one and read
// by many without a lock.
//
// P1  The meta of Seq is in buffer Seq%2. The writer stores the next one into the
//     other buffer, and then Seq.
// P2  So the buffer that a reader found by Seq changes only after Seq has. It reads
//     Seq again afterwards, and has a whole meta if it is the same.
// P3  All words are stored and loaded by atomics, which are in one order: with plain
//     ones a processor could do the reader's second look before the copy, or the
//     writer's stores before the Seq that allows them. Where the processor does all stores
//     in their order, as others see it, the writer copies: between a load and a store of
//     Seq, both atomic, which keeps the compiler from moving the copy. Loads are atomic
//     everywhere.
// P4  A writer that dies in between leaves Seq and its buffer as they were.
// P5  Most of a meta is zero. A Writer is the only one to publish as long as it has W, so
//     it knows where the zeros of a buffer begin once it has published there itself, to
//     the end; only its own stores, or a cut of the file, which leaves zeros, change that.
//     From there on it need not look.

import (
	"encoding/binary"
	"runtime"
	"sync/atomic"
)

func (s *Sidecar) meta(seq uint64) *metaWords {
	return overlay[metaWords](s.bytes, metaOff+int(seq%2)*pageSize)
}

// Publish makes meta, of at most MetaSize bytes, the newest, and returns its
// number, or 0 after a fault. What is behind it in the buffer stays what it was. From used
// on it is zero, but for its last eight bytes. Only who may write to the database may call
// it, not concurrently.
func (s *Sidecar) Publish(meta []byte, used int) (seq uint64) {
	if !s.Guard(func() { seq = s.publish(meta, used) }) {
		return 0
	}
	return seq
}

func (s *Sidecar) publish(meta []byte, used int) uint64 {
	seq := s.head.seq.Load() + 1
	words, zeros := s.meta(seq), &s.zeros[seq%2]
	last := max(0, len(meta)-1) &^ 7
	end := min(last, max(used, MetaSize-*zeros)) // P5
	*zeros = 0
	if storesInOrder {
		b := s.bytes[metaOff+int(seq%2)*pageSize:][:pageSize:pageSize]
		copy(b[:end], meta)
		copy(b[last:len(meta)], meta[last:])
	} else {
		setWords(words[:], meta[:end])
		setWords(words[last/8:], meta[last:])
	}
	s.head.seq.Store(seq)
	if s.role == Writer && len(meta) == MetaSize {
		*zeros = MetaSize - used
	}
	return seq
}

// storesInOrder says that the processor does stores in their order (P3). The manuals of
// this one do (Intel: volume 3, "Memory Ordering"; AMD: volume 2, "Memory System"), but for
// those of one copy among each other, of which P3 asks nothing.
const storesInOrder = runtime.GOARCH == "amd64"

// setWords stores b where it is not there yet: most words of a meta are what they were, and
// a load is cheaper than a store.
func setWords(words []atomic.Uint64, b []byte) {
	whole := len(b) / 8
	for i := range words[:whole] {
		if v := binary.NativeEndian.Uint64(b[8*i:]); words[i].Load() != v {
			words[i].Store(v)
		}
	}
	if rest := b[8*whole:]; len(rest) > 0 {
		var w [8]byte
		binary.NativeEndian.PutUint64(w[:], words[whole].Load())
		copy(w[:], rest)
		words[whole].Store(binary.NativeEndian.Uint64(w[:]))
	}
}

// Seq returns the number of the newest meta; 0: there is none.
func (s *Sidecar) Seq() (seq uint64) {
	s.Guard(func() { seq = s.head.seq.Load() })
	return seq
}

// Read copies the newest meta, as much of it as dst holds, and returns its number.
// If that is 0, dst is as it was.
func (s *Sidecar) Read(dst []byte) (seq uint64) {
	dst = dst[:min(len(dst), MetaSize)]
	if !s.Guard(func() { seq = s.read(dst) }) {
		return 0
	}
	return seq
}

func (s *Sidecar) read(dst []byte) uint64 {
	for {
		seq := s.head.seq.Load()
		if seq == 0 {
			return 0
		}
		s.meta(seq).copyTo(dst)
		if s.head.seq.Load() == seq {
			return seq
		}
	}
}

func (m *metaWords) copyTo(dst []byte) {
	whole := len(dst) / 8
	for i := range m[:whole] {
		binary.NativeEndian.PutUint64(dst[8*i:], m[i].Load())
	}
	if rest := dst[8*whole:]; len(rest) > 0 {
		var b [8]byte
		binary.NativeEndian.PutUint64(b[:], m[whole].Load())
		copy(rest, b[:])
	}
}
