package folio

// This file is responsible for the memory of Buckets. Lookups of nested buckets are
// what programs with namespaces do most, and what one costs is mostly its memory.

import "sync/atomic"

// handle is a Bucket, and memory for its name.
type handle struct {
	bucket Bucket
	name   [16]byte
}

// handles is where a reader takes them from: the first costs no allocation, and those
// after it come several at a time.
//
// Programs written for bbolt open buckets of one reader in several goroutines, which
// it happened to bear. They must not get the same memory: one would read another's
// bucket.
type handles struct {
	first  [1]handle
	handed atomic.Int32 // of first
	chunk  atomic.Pointer[handleChunk]
}

type handleChunk struct {
	handed  atomic.Int32
	handles []handle
}

// Sizes of chunks: few transactions open many buckets, and those that do open more.
const (
	leastHandles = 2
	mostHandles  = 16
)

func (h *handles) take() *handle {
	if int(h.handed.Load()) < len(h.first) {
		if i := int(h.handed.Add(1)); i <= len(h.first) {
			return &h.first[i-1]
		}
	}
	for {
		c, size := h.chunk.Load(), leastHandles
		if c != nil {
			if i := int(c.handed.Add(1)); i <= len(c.handles) {
				return &c.handles[i-1]
			}
			size = min(2*len(c.handles), mostHandles)
		}
		h.chunk.CompareAndSwap(c, &handleChunk{handles: make([]handle, size)})
	}
}

// writableHandle is a Bucket of a write transaction.
type writableHandle struct {
	handle
	opened opened
}

// newBucket returns memory for the Bucket name, with the name in it.
func (tx *Tx) newBucket(name []byte) *Bucket {
	var h *handle
	if tx.writable {
		w := new(writableHandle)
		w.bucket.opened = &w.opened
		h = &w.handle
	} else {
		h = tx.handles.take()
		h.bucket.opened = &notOpened
	}
	h.bucket.name = append(h.name[:0:len(h.name)], name...)
	return &h.bucket
}
