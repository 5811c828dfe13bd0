package folio

// This file is responsible for sets of pages that take memory only where there are
// members: a damaged file can be as long as the file system allows, and nearly empty.

import "github.com/foliodb/folio/internal/page"

const setChunk = 1 << 16 // pages

// bitmap is a set of pages.
type bitmap map[page.ID]*[setChunk / 64]uint64

func (b bitmap) has(id page.ID) bool {
	c := b[id/setChunk]
	return c != nil && c[id%setChunk/64]>>(id%64)&1 != 0
}

func (b bitmap) set(id page.ID) {
	c := b[id/setChunk]
	if c == nil {
		c = new([setChunk / 64]uint64)
		b[id/setChunk] = c
	}
	c[id%setChunk/64] |= 1 << (id % 64)
}

// owners says of which tree nodes are.
type owners map[page.ID]*[setChunk]uint32

func (o owners) get(id page.ID) uint32 {
	if c := o[id/setChunk]; c != nil {
		return c[id%setChunk]
	}
	return 0
}

func (o owners) set(id page.ID, tree uint32) {
	c := o[id/setChunk]
	if c == nil {
		c = new([setChunk]uint32)
		o[id/setChunk] = c
	}
	c[id%setChunk] = tree
}
