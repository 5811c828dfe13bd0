package freelist

import (
	"math/bits"

	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for the free pages as bits. To find what touches a page
// takes one or two words of memory, where a tree of extents takes a search. Rule:
//
//	F20  A chunk that is not there has no free pages; one that has no others is
//	     allFree, which all bitmaps share. So what is free in long stretches takes
//	     little memory, however long. A chunk counts its bits, and those of each window.

const (
	chunkBits  = 12 // pages of a chunk, as a power of two
	chunkPages = 1 << chunkBits
	chunkWords = chunkPages / 64

	windowWords = WindowPages / 64
)

type chunk struct {
	free    int // bits that are set
	words   [chunkWords]uint64
	windows [chunkWords / windowWords]uint8 // bits that are set in each window
}

var allFree = func() *chunk {
	c := &chunk{free: chunkPages}
	for i := range c.words {
		c.words[i] = ^uint64(0)
	}
	for i := range c.windows {
		c.windows[i] = WindowPages
	}
	return c
}()

// bitmap is a set of pages. The zero value is empty.
type bitmap struct {
	chunks []*chunk // by id >> chunkBits
	spare  []*chunk // empty ones, for the next pages
}

const maxSpare = 64

// set puts the pages of e, none of which is in the set, into it.
func (m *bitmap) set(e Extent) {
	if n := int((e.End()-1)>>chunkBits) + 1; n > len(m.chunks) {
		m.chunks = append(m.chunks, make([]*chunk, n-len(m.chunks))...)
	}
	m.change(e, func(c *chunk, word int, mask uint64) {
		n := bits.OnesCount64(mask)
		c.words[word] |= mask
		c.windows[word/windowWords] += uint8(n)
		c.free += n
	}, nil, allFree)
}

// clear takes the pages of e, all of which are in the set, out of it.
func (m *bitmap) clear(e Extent) {
	m.change(e, func(c *chunk, word int, mask uint64) {
		n := bits.OnesCount64(mask)
		c.words[word] &^= mask
		c.windows[word/windowWords] -= uint8(n)
		c.free -= n
	}, allFree, nil)
}

// change calls fn for each word of bits that e has pages in. Chunks that are from
// before are full when all their pages have changed; such ones are to then.
func (m *bitmap) change(e Extent, fn func(c *chunk, word int, mask uint64), from, to *chunk) {
	full := 0
	if to != nil {
		full = to.free
	}
	for at := e.Start; at < e.End(); {
		slot := &m.chunks[at>>chunkBits]
		end := min(e.End(), (at|(chunkPages-1))+1)
		if end-at == chunkPages {
			*slot, at = to, end
			continue
		}
		if *slot == from {
			*slot = m.take()
			if from != nil {
				**slot = *from
			}
		}
		c := *slot
		for at < end {
			next := min(end, (at|63)+1)
			fn(c, int(at>>6)%chunkWords, ^uint64(0)>>(64-uint(next-at))<<(at&63))
			at = next
		}
		if c.free == full {
			*slot = to
			if full == 0 && len(m.spare) < maxSpare {
				m.spare = append(m.spare, c)
			}
		}
	}
}

// take returns an empty chunk.
func (m *bitmap) take() *chunk {
	n := len(m.spare) - 1
	if n < 0 {
		return new(chunk)
	}
	c := m.spare[n]
	m.spare = m.spare[:n]
	return c
}

// word returns 64 bits, from page 64*i on.
func (m *bitmap) word(i page.ID) uint64 {
	if n := i / chunkWords; n < page.ID(len(m.chunks)) && m.chunks[n] != nil {
		return m.chunks[n].words[i%chunkWords]
	}
	return 0
}

// has tells whether page id is in the set.
func (m *bitmap) has(id page.ID) bool { return m.word(id>>6)>>(id&63)&1 != 0 }

// below returns how many pages right below id are in the set, up to 64.
func (m *bitmap) below(id page.ID) uint64 {
	w := m.word(id>>6) << (63 - id&63) << 1 // the bit of the page below id comes highest
	n := uint64(bits.LeadingZeros64(^w))
	if k := uint64(id & 63); n == k && id >= 64 {
		n += min(64-k, uint64(bits.LeadingZeros64(^m.word(id>>6-1))))
	}
	return n
}

// above returns how many pages from id on are in the set, up to 64.
func (m *bitmap) above(id page.ID) uint64 {
	k := uint64(64 - id&63) // bits that the first word has to say about
	n := uint64(bits.TrailingZeros64(^(m.word(id>>6) >> (id & 63))))
	if n == k {
		n += min(64-k, uint64(bits.TrailingZeros64(^m.word(id>>6+1))))
	}
	return n
}

// overlaps tells whether any page of e is in the set.
func (m *bitmap) overlaps(e Extent) bool {
	id, ok := m.next(e.Start, e.End())
	return ok && id < e.End()
}

// next returns the lowest page in the set from id on, if it is below limit. It may
// look a little further.
func (m *bitmap) next(id, limit page.ID) (page.ID, bool) {
	limit = min(limit, page.ID(len(m.chunks))*chunkPages)
	if id >= limit {
		return 0, false
	}
	i := id >> 6
	for w := m.word(i) >> (id & 63) << (id & 63); ; w = m.word(i) {
		if w != 0 {
			return i<<6 + page.ID(bits.TrailingZeros64(w)), true
		}
		if i++; i%chunkWords == 0 {
			for i<<6 < limit && m.chunks[i/chunkWords] == nil {
				i += chunkWords
			}
		}
		if i<<6 >= limit {
			return 0, false
		}
	}
}

// runs returns which pages of word i are the first of exactly n that are in the set,
// which is less than 64.
func (m *bitmap) runs(i page.ID, n uint64) uint64 {
	lo := m.word(i)
	first := lo &^ (lo << 1)
	if first == 0 {
		return 0
	}
	if first&1 != 0 && i > 0 && m.word(i-1)>>63 != 0 {
		first--
	}
	// Of each page: are it and the k-1 behind it in the set? k grows up to n.
	hi := m.word(i + 1)
	longer := lo>>n | hi<<(64-n)
	for k := uint64(1); k < n; {
		by := min(k, n-k)
		lo &= lo>>by | hi<<(64-by)
		hi &= hi >> by
		k += by
	}
	return first & lo &^ longer
}

// stretches returns the pages in the set as extents, in order.
func (m *bitmap) stretches() (es []Extent) {
	for at := page.ID(0); ; {
		start, ok := m.next(at, page.MaxID)
		if !ok {
			return es
		}
		at = start
		for n := m.above(at); n > 0; n = m.above(at) {
			at += page.ID(n)
			for at%chunkPages == 0 && at>>chunkBits < page.ID(len(m.chunks)) && m.chunks[at>>chunkBits] == allFree {
				at += chunkPages
			}
		}
		es = append(es, Extent{Start: start, Len: uint64(at - start)})
	}
}

// end returns the end of the highest page in the set, or 0.
func (m *bitmap) end() page.ID {
	for n := len(m.chunks) - 1; n >= 0; n-- {
		if m.chunks[n] == nil {
			continue
		}
		for i := chunkWords - 1; i >= 0; i-- {
			if w := m.chunks[n].words[i]; w != 0 {
				return page.ID(n)*chunkPages + page.ID(i*64+bits.Len64(w))
			}
		}
	}
	return 0
}

// inWindow returns how many pages are in the set of the window that page id is in.
func (m *bitmap) inWindow(id page.ID) int {
	if n := id >> chunkBits; n < page.ID(len(m.chunks)) && m.chunks[n] != nil {
		return int(m.chunks[n].windows[id%chunkPages/WindowPages])
	}
	return 0
}
