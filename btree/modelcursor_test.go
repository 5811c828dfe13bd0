package btree_test

import (
	"bytes"
	"errors"
	"slices"

	"github.com/foliodb/folio/btree"
)

// modelCursor is a cursor and what is expected of it.
type modelCursor struct {
	c   btree.Cursor
	pos int // as in the constants below
	key []byte
}

const (
	posNew = iota
	posKey
	posDeleted // on key, which was deleted through the cursor
	posEnd
)

// cursor moves one of the cursors, all of which see changes between steps.
// In a transaction that hands nothing out, a cursor must not stay.
func (r *run) cursor(s *subject, key []byte, o op) {
	m := &s.cursors[o.b%numCursors]
	if !r.seen {
		m = &modelCursor{}
		m.c.Init(s.tree)
		m.step(r, s, key, 2, 0)
		m.step(r, s, key, o.b>>8%16, o.c)
		return
	}
	for i := range 1 + o.c>>32%4 {
		m.step(r, s, key, o.b>>8%16+i*(o.b>>16%3), o.c)
	}
}

func (m *modelCursor) step(r *run, s *subject, key []byte, what, c uint64) {
	var it btree.Item
	var err error
	to := -1 // the expected slot; len(s.model): none, the cursor does not move
	last := len(s.model) - 1
	switch what %= 16; {
	case what == 0:
		it, err = m.c.First()
		to = m.jump(s, 0)
	case what == 1:
		it, err = m.c.Last()
		to = m.jump(s, last)
	case what < 4:
		it, err = m.c.Seek(key)
		i, _ := s.find(key)
		to = m.jump(s, i)
	case what == 4:
		i := int(c % uint64(len(s.model)+1))
		it, err = m.c.At(uint64(i))
		to = m.jump(s, i)
	case what < 10:
		it, err = m.c.Next()
		to = m.next(s)
	case what < 13:
		it, err = m.c.Prev()
		to = m.prev(s)
	default:
		m.delete(s)
		return
	}
	check(err)
	if to < 0 || to > last {
		expect(it.Key == nil, "a cursor is on key %.60x, expected none", it.Key)
		return
	}
	r.compare(s.model[to], it)
	r.hand(it.Key)
	r.hand(it.Value)
	m.pos, m.key = posKey, s.model[to].key
}

// jump is a move that does not depend on where the cursor is.
func (m *modelCursor) jump(s *subject, i int) int {
	if i < 0 || i >= len(s.model) {
		m.pos, m.key = posEnd, nil
	}
	return i
}

func (m *modelCursor) next(s *subject) int {
	switch m.pos {
	case posNew:
		return m.jump(s, 0)
	case posEnd:
		return -1
	}
	i, exact := s.find(m.key)
	if exact {
		i++
	}
	m.stay(s, i == len(s.model), exact)
	return i
}

func (m *modelCursor) prev(s *subject) int {
	if m.pos == posNew || m.pos == posEnd {
		return m.jump(s, len(s.model)-1)
	}
	i, exact := s.find(m.key)
	m.stay(s, i == 0, exact)
	return i - 1
}

func (m *modelCursor) stay(s *subject, stays, exact bool) {
	if stays && exact {
		m.pos = posKey
	} else if stays {
		m.pos = posDeleted
	}
}

func (m *modelCursor) delete(s *subject) {
	i, exact := s.find(m.key)
	if m.pos != posKey {
		found, err := m.c.Delete(0)
		check(err)
		expect(!found && m.c.Key() == nil, "a cursor that is nowhere deleted something")
		return
	}
	expect(bytes.Equal(m.c.Key(), m.key), "Key %.60x, expected %.60x", m.c.Key(), m.key)
	if exact && s.model[i].bucket {
		_, err := m.c.Delete(0)
		expect(errors.Is(err, btree.ErrIncompatible), "error %v for the wrong sort of cell", err)
	}
	found, err := m.c.Delete(want(exact && s.model[i].bucket))
	check(err)
	expect(found == exact, "Delete found %v, expected %v", found, exact)
	if exact {
		s.model = slices.Delete(slices.Clone(s.model), i, i+1)
	}
	m.pos = posDeleted
}
