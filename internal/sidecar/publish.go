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
//     writer's stores before the Seq that allows them.
// P4  A writer that dies in between leaves Seq and its buffer as they were.
// P5  Most of a meta is what it was two publications ago, so the writer compares first, by
//     plain loads: nobody stores while it may write, and the lock by which it may came
//     after the stores of those before it, dead ones too. It trusts nothing that it
//     remembers, only what is there, but for P6.
// P6  Most of a meta is zero. A Writer is the only one to publish as long as it has W, so
//     it knows where the zeros of a buffer begin once it has published there itself, to
//     the end; only its own stores, or a cut of the file, which leaves zeros, change that.

import (
	"bytes"
	"encoding/binary"
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
	b := buffer{s.meta(seq), s.bytes[metaOff+int(seq%2)*pageSize:][:pageSize:pageSize]}
	last := max(0, len(meta)-1) &^ (lineSize - 1)
	zeros := &s.zeros[seq%2]
	end := min(last, max(used, MetaSize-*zeros)) // P6
	*zeros = 0
	b.set(meta[:end], 0)
	b.set(meta[last:], last)
	s.head.seq.Store(seq)
	if s.role == Writer && len(meta) == MetaSize {
		*zeros = MetaSize - used
	}
	return seq
}

// buffer is one of the two, as words to be stored and as bytes to be compared.
type buffer struct {
	words *metaWords
	bytes []byte
}

// lineSize is what a processor loads at once.
const lineSize = 64

// set stores v at offset off, a multiple of lineSize, where it is not there yet. As long
// as it is, more is compared at a time.
func (b *buffer) set(v []byte, off int) {
	for next := lineSize; len(v) > 0; {
		n := min(next, len(v))
		switch {
		case n <= lineSize:
			if next = lineSize; !b.setLine(v[:n], off) {
				next *= 2
			}
		case bytes.Equal(v[:n], b.bytes[off:off+n]):
			next *= 2
		default:
			next = lineSize
			continue
		}
		v, off = v[n:], off+n
	}
}

// setLine is set for a line or less, and tells whether it has stored anything. It loads
// each word first, which is cheaper than to store it.
func (b *buffer) setLine(v []byte, off int) (stored bool) {
	if len(v) < lineSize {
		var line [lineSize]byte
		copy(line[:], b.bytes[off:]) // what is behind v stays
		copy(line[:], v)
		v = line[:]
	}
	words := (*[lineSize / 8]atomic.Uint64)(b.words[off/8:])
	v = v[:lineSize]
	for i := range words {
		if now := binary.NativeEndian.Uint64(v[8*i:]); words[i].Load() != now {
			words[i].Store(now)
			stored = true
		}
	}
	return stored
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
