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

import "encoding/binary"

func (s *Sidecar) meta(seq uint64) *metaWords {
	return overlay[metaWords](s.bytes, metaOff+int(seq%2)*pageSize)
}

// Publish makes meta, of at most MetaSize bytes, the newest, and returns its
// number. What is behind it in the buffer stays what it was. Only who may write to
// the database may call it, not concurrently.
func (s *Sidecar) Publish(meta []byte) uint64 {
	seq := s.head.seq.Load() + 1
	words := s.meta(seq)
	for i := 0; i < len(meta); i += 8 {
		var b [8]byte
		copy(b[:], meta[i:])
		// Most words are what they were: a load is cheaper than a store.
		if v, w := binary.NativeEndian.Uint64(b[:]), &words[i/8]; w.Load() != v {
			w.Store(v)
		}
	}
	s.head.seq.Store(seq)
	return seq
}

// Seq returns the number of the newest meta; 0: there is none.
func (s *Sidecar) Seq() uint64 { return s.head.seq.Load() }

// Read copies the newest meta, as much of it as dst holds, and returns its number.
// If that is 0, dst is as it was.
func (s *Sidecar) Read(dst []byte) (seq uint64) {
	dst = dst[:min(len(dst), MetaSize)]
	for {
		seq = s.head.seq.Load()
		if seq == 0 {
			return 0
		}
		words := s.meta(seq)
		for i := 0; i < len(dst); i += 8 {
			var b [8]byte
			binary.NativeEndian.PutUint64(b[:], words[i/8].Load())
			copy(dst[i:], b[:])
		}
		if s.head.seq.Load() == seq {
			return seq
		}
	}
}
