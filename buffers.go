package folio

// This file is responsible for the memory of changed pages.

import (
	"github.com/foliodb/folio/internal/invariants"
)

// bufferPool keeps page buffers from one write transaction to the next. It
// belongs to the writer lock.
type bufferPool struct {
	pageSize int
	free     [][]byte
	idle     int // buffers that have been free since the last trim

	// What a store begins its lists with; nil: a store has them.
	dirty []dirtyPage
	freed []freedRun
}

// Of the buffers, poolMin bytes are kept in any case and poolMax at most; slabSize
// is how many bytes are allocated at once.
const (
	poolMin  = 8 << 20
	poolMax  = 64 << 20
	slabSize = 64 << 10
)

func (p *bufferPool) get() []byte {
	if len(p.free) == 0 {
		slab := make([]byte, max(slabSize, p.pageSize))
		for o := 0; o < len(slab); o += p.pageSize {
			p.free = append(p.free, slab[o:o+p.pageSize:o+p.pageSize])
		}
	}
	n := len(p.free) - 1
	b := p.free[n]
	p.free = p.free[:n]
	p.idle = min(p.idle, n)
	return b
}

func (p *bufferPool) put(b []byte) {
	if invariants.Enabled {
		for i := range b {
			b[i] = 0xDB // late use shows
		}
	}
	p.free = append(p.free, b)
}

// listMax is how many entries a list may have room for that is kept.
const listMax = 4096

// getLists returns empty lists of dirty pages and of freed ones.
func (p *bufferPool) getLists() (dirty []dirtyPage, freed []freedRun) {
	dirty, freed = p.dirty, p.freed
	p.dirty, p.freed = nil, nil
	if dirty == nil {
		dirty, freed = make([]dirtyPage, 0, 8), make([]freedRun, 0, 8)
	}
	return dirty, freed
}

// putLists keeps them for the next store, unless they are long.
func (p *bufferPool) putLists(dirty []dirtyPage, freed []freedRun) {
	if dirty == nil || cap(dirty) > listMax || cap(freed) > listMax {
		return
	}
	clear(dirty)
	p.dirty, p.freed = dirty[:0], freed[:0]
}

// trim lets go of some buffers at the end of a transaction: an eighth of those that
// it had no use for, so that a bulk load finds its memory again, and its memory is
// gone some commits after it.
func (p *bufferPool) trim() {
	keep := max(len(p.free)-(p.idle+7)/8, poolMin/p.pageSize)
	if keep = min(keep, poolMax/p.pageSize); len(p.free) > keep {
		clear(p.free[keep:])
		p.free = p.free[:keep]
	}
	p.idle = len(p.free)
}
