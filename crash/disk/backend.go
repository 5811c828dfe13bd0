//go:build linux

package disk

// This file is responsible for what holds the bytes of a device.

import "sync"

// Backend is what is behind a device. Its methods are called by several goroutines.
type Backend interface {
	ReadAt(p []byte, off int64) error
	WriteAt(p []byte, off int64) error
	Flush() error
}

// blockSize is how much of its base an overlay copies at a time.
const blockSize = 4096

// Overlay is a disk with changes on top, which can be dropped.
type Overlay struct {
	base    []byte // never changed
	mu      sync.Mutex
	changed map[int64][]byte // by number of the block
}

// NewOverlay returns base without changes.
func NewOverlay(base []byte) *Overlay {
	return &Overlay{base: base, changed: make(map[int64][]byte)}
}

// ReadAt is part of Backend.
func (o *Overlay) ReadAt(p []byte, off int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pieces(p, off, func(p []byte, block, at int64) {
		if b, ok := o.changed[block]; ok {
			copy(p, b[at:])
		} else {
			copy(p, o.base[block*blockSize+at:])
		}
	})
	return nil
}

// WriteAt is part of Backend.
func (o *Overlay) WriteAt(p []byte, off int64) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pieces(p, off, func(p []byte, block, at int64) {
		b, ok := o.changed[block]
		if !ok {
			b = make([]byte, blockSize)
			copy(b, o.base[block*blockSize:])
			o.changed[block] = b
		}
		copy(b[at:], p)
	})
	return nil
}

// Flush is part of Backend.
func (o *Overlay) Flush() error { return nil }

// pieces cuts p at the borders of blocks.
func (o *Overlay) pieces(p []byte, off int64, fn func(p []byte, block, at int64)) {
	for len(p) > 0 {
		block, at := off/blockSize, off%blockSize
		n := min(blockSize-at, int64(len(p)))
		fn(p[:n], block, at)
		p, off = p[n:], off+n
	}
}

// Bytes returns the whole disk.
func (o *Overlay) Bytes() []byte {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := append([]byte(nil), o.base...)
	for block, b := range o.changed {
		copy(all[block*blockSize:], b)
	}
	return all
}
