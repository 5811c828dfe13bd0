package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for sets of pages as bits. Whether a page is pending is
// asked for each page that a commit frees, what is around it never.

const (
	chunkBits  = 15 // pages of a chunk, as a power of two
	chunkWords = 1 << chunkBits / 64
)

type chunk [chunkWords]uint64

// set is a set of pages. The zero value is empty.
type set struct {
	chunks map[page.ID]*chunk
	last   *chunk // the one of lastID, which is asked for again most of the time
	lastID page.ID
}

// chunk returns the chunk that page id is in, or nil.
func (s *set) chunk(id page.ID) *chunk {
	if n := id >> chunkBits; s.last == nil || s.lastID != n {
		s.last, s.lastID = s.chunks[n], n
	}
	return s.last
}

// words calls fn for each word of bits that e has pages in, until fn returns false.
// A chunk that is not there is made if grow, else left out.
func (s *set) words(e Extent, grow bool, fn func(word *uint64, mask uint64) bool) {
	for id := e.Start; id < e.End(); {
		next := min(e.End(), (id|63)+1)
		c := s.chunk(id)
		if c == nil && grow {
			c = s.grow(id)
		}
		mask := ^uint64(0) >> (64 - uint(next-id)) << (id & 63)
		if c != nil && !fn(&c[id>>6%chunkWords], mask) {
			return
		}
		id = next
	}
}

// grow makes the chunk that page id is in.
func (s *set) grow(id page.ID) *chunk {
	if s.chunks == nil {
		s.chunks = make(map[page.ID]*chunk)
	}
	c := new(chunk)
	s.chunks[id>>chunkBits] = c
	s.last, s.lastID = c, id>>chunkBits
	return c
}

// overlaps tells whether any page of e is in the set.
func (s *set) overlaps(e Extent) (found bool) {
	s.words(e, false, func(word *uint64, mask uint64) bool {
		found = *word&mask != 0
		return !found
	})
	return found
}

// add puts the pages of e into the set.
func (s *set) add(e Extent) {
	s.words(e, true, func(word *uint64, mask uint64) bool {
		*word |= mask
		return true
	})
}

// remove takes the pages of e out of the set.
func (s *set) remove(e Extent) {
	s.words(e, false, func(word *uint64, mask uint64) bool {
		*word &^= mask
		return true
	})
}
