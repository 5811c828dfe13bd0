package folio

// This file is responsible for the changed pages of write transactions, which live
// in the heap until they are written (commit.go, spill.go).
//
// A changed page has no place in the file yet. Its id is an index into the list of
// dirty pages, marked by dirtyBit; the commit knows how many pages there are before
// it decides where they go, so that they go into one piece, and a rollback has
// nothing to take back.
//
// Several transactions that will share a flush share a store, and a transaction can
// have savepoints. So a dirty page may have to stay as it is, for it belongs to a
// state that may have to come back:
//
//	D1  Every dirty page has the epoch in which it was made, and the store a
//	    boundary: pages of an epoch beyond it may be written in place, the others
//	    not, they are copied when touched, like pages of the file.
//	D2  A mark remembers the lengths of all lists, and raises the boundary, so that
//	    nothing that is in them changes any more. Going back to a mark cuts the
//	    lists to those lengths. Free entries may be filled since; so what was free
//	    at the mark is only taken from its end, and nothing is put back there.
//	D3  A page that a copy has taken the place of, or that was freed, but lies
//	    within the boundary, is superseded: not part of the newest state, but of
//	    one that a mark can bring back. It goes when that mark does.

import (
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

const dirtyBit page.ID = 1 << 62

// dirtyPage is a page, or a run, that exists in the heap only.
type dirtyPage struct {
	buf   []byte
	run   bool
	free  bool
	moved bool    // as it is in the file, see move
	epoch uint32  // in which it was made (D1)
	id    page.ID // where it is put in the file
	sum   uint64  // its checksum there, once it is written
}

// freedRun is pages of the file that the newest state does not need any more.
type freedRun struct {
	id    page.ID
	n     uint64
	birth page.TxID
}

func (f freedRun) extent() freelist.Extent { return freelist.Extent{Start: f.id, Len: f.n} }

// store is the btree.Store of the write transactions of a group.
type store struct {
	reader
	dirty      []dirtyPage
	unused     []int   // indices of dirty that are free, and were not at the newest mark
	spare      [][]int // those that were free at each mark, oldest first, as far as they still are
	added      uint64  // pages, to tell whether there were any
	superseded []int   // indices of dirty (D3)
	pages      uint64  // dirty ones of the newest state
	freed      []freedRun
	buffers    *bufferPool
	exposed    bool   // the application may hold slices of dirty pages
	shown      bool   // and of pages that were written early
	epoch      uint32 // of pages made now
	boundary   uint32 // pages up to this epoch are not to be changed (D1)
	maxDirty   uint64 // pages that may be in the heap
	spillAt    uint64 // pages at which some are written early (spill.go)
}

// newStore returns an empty store over a snapshot.
func newStore(r reader, buffers *bufferPool) *store {
	s := &store{reader: r, buffers: buffers, epoch: 1}
	s.dirty, s.freed = buffers.getLists()
	return s
}

// mark is a state that a store can go back to (D2).
type mark struct {
	dirty, superseded, freed int
	pages, added             uint64
	spare                    [][]int // with what was unused
	boundary                 uint32
}

// mark makes the present state one to go back to.
func (s *store) mark() mark {
	s.spare, s.unused = append(s.spare, s.unused), nil
	m := mark{
		len(s.dirty), len(s.superseded), len(s.freed), s.pages, s.added,
		slices.Clone(s.spare), s.boundary,
	}
	s.boundary = s.epoch
	s.epoch++
	return m
}

// rollback goes back to m, which stays.
func (s *store) rollback(m mark) {
	for k, was := range m.spare {
		for _, i := range was[len(s.spare[k]):] {
			s.drop(i)
		}
	}
	for i := range s.dirty[m.dirty:] {
		s.drop(m.dirty + i)
	}
	s.dirty = s.dirty[:m.dirty]
	s.superseded = s.superseded[:m.superseded]
	s.freed = s.freed[:m.freed]
	s.spare, s.unused = slices.Clone(m.spare), nil
	s.pages, s.added = m.pages, m.added
}

// forget makes m, the newest mark, no state to go back to any more: what only that
// would need goes.
func (s *store) forget(m mark) {
	s.boundary = m.boundary
	k := len(m.spare) - 1
	s.spare, s.unused = s.spare[:k], append(s.spare[k], s.unused...)
	kept := s.superseded[:m.superseded]
	for _, i := range s.superseded[m.superseded:] {
		if s.dirty[i].epoch > s.boundary {
			s.drop(i)
			s.unused = append(s.unused, i)
		} else {
			kept = append(kept, i)
		}
	}
	s.superseded = kept
}

// drop lets the memory of dirty page i go.
func (s *store) drop(i int) {
	if d := &s.dirty[i]; !d.free {
		s.recycle(d.buf)
		*d = dirtyPage{free: true}
	}
}

// changedSince tells whether there are changes since m.
func (s *store) changedSince(m mark) bool {
	return s.added != m.added || len(s.superseded) != m.superseded || len(s.freed) != m.freed
}

// Peek returns a dirty page, or a verified one.
func (s *store) Peek(id page.ID) (page.Page, bool) {
	if id&dirtyBit != 0 {
		return s.dirty[id&^dirtyBit].buf, true
	}
	return s.view.Page(id)
}

// Read verifies node id and returns it.
func (s *store) Read(id page.ID, birth page.TxID) (page.Page, error) {
	if id&dirtyBit != 0 {
		return s.dirty[id&^dirtyBit].buf, nil
	}
	return s.reader.Read(id, birth)
}

// Run returns the data of a run.
func (s *store) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	if id&dirtyBit != 0 {
		return btree.RunData(s.dirty[id&^dirtyBit].buf, n), nil
	}
	return s.reader.Run(id, birth, n)
}

// Ahead brings pages in, if they are in the file.
func (s *store) Ahead(id page.ID, n int) {
	if id&dirtyBit == 0 {
		s.reader.Ahead(id, n)
	}
}

func (s *store) PageSize() int { return s.pageSize }

func (s *store) pagesOf(d *dirtyPage) uint64 { return uint64(len(d.buf) / s.pageSize) }

func (s *store) add(p dirtyPage) page.ID {
	p.epoch = s.epoch
	s.pages += s.pagesOf(&p)
	s.added++
	if i, ok := s.vacant(); ok {
		s.dirty[i] = p
		return page.ID(i) | dirtyBit
	}
	s.dirty = append(s.dirty, p)
	return page.ID(len(s.dirty)-1) | dirtyBit
}

// vacant returns a free entry of dirty.
func (s *store) vacant() (int, bool) {
	if n := len(s.unused); n > 0 {
		i := s.unused[n-1]
		s.unused = s.unused[:n-1]
		return i, true
	}
	for k := len(s.spare) - 1; k >= 0; k-- {
		if n := len(s.spare[k]); n > 0 {
			i := s.spare[k][n-1]
			s.spare[k] = s.spare[k][:n-1]
			return i, true
		}
	}
	return 0, false
}

// Allocate returns a new dirty page.
func (s *store) Allocate() (page.ID, page.Page) {
	buf := s.buffers.get()
	return s.add(dirtyPage{buf: buf}), buf
}

// AllocateRun returns a new dirty run for n data bytes.
func (s *store) AllocateRun(n int) (page.ID, []byte) {
	run := s.bufferFor(btree.RunPages(n, s.pageSize))
	clear(run)
	data := btree.InitRun(run, n, s.pageSize)
	return s.add(dirtyPage{buf: run, run: true}), data
}

// Touch returns a page that may be changed: page id itself, or a dirty copy.
func (s *store) Touch(id page.ID, birth page.TxID) (page.ID, page.Page, error) {
	var p page.Page
	if id&dirtyBit != 0 {
		i := int(id &^ dirtyBit)
		d := &s.dirty[i]
		if d.epoch > s.boundary {
			return id, d.buf, nil
		}
		p = d.buf
		s.supersede(i)
	} else {
		var ok bool
		if p, ok = s.view.Page(id); !ok {
			var err error
			if p, err = s.reader.Read(id, birth); err != nil {
				return 0, nil, err
			}
		}
		s.freed = append(s.freed, freedRun{id, 1, p.TxID()})
	}
	buf := s.buffers.get()
	copy(buf, p)
	return s.add(dirtyPage{buf: buf}), buf, nil
}

func (s *store) supersede(i int) {
	s.superseded = append(s.superseded, i)
	s.pages -= s.pagesOf(&s.dirty[i])
}

// Free gives pages back.
func (s *store) Free(id page.ID, n int, birth page.TxID) {
	if id&dirtyBit == 0 {
		s.freed = append(s.freed, freedRun{id, uint64(n), birth})
		return
	}
	i := int(id &^ dirtyBit)
	d := &s.dirty[i]
	invariants.Check(!d.free, "dirty page %d freed twice", i)
	switch {
	case d.free:
	case d.epoch <= s.boundary:
		s.supersede(i)
	default:
		s.pages -= s.pagesOf(d)
		s.drop(i)
		s.unused = append(s.unused, i)
	}
}

// Spare returns a buffer of one page.
func (s *store) Spare() page.Page { return s.buffers.get() }

// Recycle takes a spare buffer back.
func (s *store) Recycle(p page.Page) { s.buffers.put(p) }

// Replace makes p the content of dirty page id, which has been touched.
func (s *store) Replace(id page.ID, p page.Page) {
	d := &s.dirty[id&^dirtyBit]
	invariants.Check(d.epoch > s.boundary, "dirty page %d replaced within the boundary", id&^dirtyBit)
	s.recycle(d.buf)
	d.buf = p
}

// recycle reuses the memory of a dirty page that has been given up, unless the
// application may still look at it.
func (s *store) recycle(buf []byte) {
	if !s.exposed {
		s.keepBuffer(buf)
	}
}

// bufferFor returns a buffer of n pages, which is not cleared.
func (s *store) bufferFor(n int) []byte {
	if n == 1 {
		return s.buffers.get()
	}
	return make([]byte, n*s.pageSize)
}

// keepBuffer keeps buf for reuse, if it is a page.
func (s *store) keepBuffer(buf []byte) {
	if len(buf) == s.pageSize {
		s.buffers.put(buf)
	}
}

// Exposed tells whether the application may hold slices of dirty pages.
func (s *store) Exposed() bool { return s.exposed }

// release gives all memory back when no transaction uses the store any more.
func (s *store) release() {
	for i := range s.dirty {
		if d := &s.dirty[i]; !d.free {
			s.keepBuffer(d.buf)
		}
	}
	s.buffers.putLists(s.dirty, s.freed)
	s.dirty, s.unused, s.spare, s.superseded, s.freed = nil, nil, nil, nil, nil
	s.buffers.trim()
}
