package btree_test

import (
	"bytes"
	"fmt"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

const fileID = 0x0123456789abcdef

// firstDirty is where the ids of dirty pages begin: far from those that commits
// give out, so that none of them can reach a committed page unnoticed.
const firstDirty page.ID = 1 << 40

// store is a btree.Store in maps. It panics, with a string, when a tree breaks
// a promise; freed and recycled memory is overwritten as soon as nobody may read
// it any more.
type store struct {
	size      int
	exposed   bool
	damaged   bool // what a tree does wrong may come from the file
	tx        page.TxID
	highWater page.ID
	pages     map[page.ID][]byte // committed: nodes, and whole runs by their first page
	verified  map[page.ID]bool   // nodes that were read before
	lent      map[page.ID]bool   // committed pages that were handed out in this transaction
	freed     map[page.ID]bool   // committed pages freed by this transaction
	dirty     map[page.ID][]byte
	next      page.ID // dirty id
	spare     [][]byte
	reads     int // nodes asked for
	aheads    int // calls of Ahead
}

func newStore(size int) *store {
	return &store{
		size: size, tx: 1, highWater: page.FirstID, next: firstDirty,
		pages: map[page.ID][]byte{}, verified: map[page.ID]bool{}, lent: map[page.ID]bool{},
		freed: map[page.ID]bool{}, dirty: map[page.ID][]byte{},
	}
}

var poisoned = bytes.Repeat([]byte{0xDB}, page.MaxSize)

func poison(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, poisoned):]
	}
}

func broken(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func (s *store) PageSize() int      { return s.size }
func (s *store) Exposed() bool      { return s.exposed }
func (s *store) Ahead(page.ID, int) { s.aheads++ }

func (s *store) Peek(id page.ID) (page.Page, bool) {
	s.reads++
	if p, ok := s.dirty[id]; ok {
		return p, true
	}
	if !s.verified[id] || s.freed[id] {
		return nil, false
	}
	s.lent[id] = true
	return s.pages[id], true
}

func (s *store) Read(id page.ID, birth page.TxID) (page.Page, error) {
	p, err := s.committed(id, birth)
	if err != nil {
		return nil, err
	}
	if len(p) > s.size {
		return nil, page.Corrupt(id, 0, "a run where a node is expected")
	}
	if err := btree.Verify(p, id, s.highWater); err != nil {
		return nil, err
	}
	return p, nil
}

func (s *store) Trust(id page.ID) { s.verified[id] = true }

// committed returns a committed page or run.
func (s *store) committed(id page.ID, birth page.TxID) (page.Page, error) {
	p, ok := s.pages[id]
	switch {
	case !ok || s.freed[id]:
		return nil, s.damage("page %d is read, but free (%v) or unknown", id, ok)
	case page.Page(p).TxID() != birth:
		return nil, s.damage("page %d was born in %d, not in %d", id, page.Page(p).TxID(), birth)
	}
	s.lent[id] = true
	return p, nil
}

// damage is for what cannot happen in a sound file.
func (s *store) damage(format string, args ...any) error {
	if !s.damaged {
		broken(format, args...)
	}
	return page.Corrupt(0, 0, format, args...)
}

func (s *store) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	run, ok := s.dirty[id]
	if !ok {
		var err error
		if run, err = s.committed(id, birth); err != nil {
			return nil, err
		}
		if btree.RunPages(n, s.size)*s.size != len(run) {
			return nil, s.damage("a run of %d bytes in %d", n, len(run))
		}
		if err := btree.VerifyRunHeader(run, id, birth, fileID, n, s.size); err != nil {
			return nil, err
		}
	}
	return btree.RunData(run, n), nil
}

func (s *store) Allocate() (page.ID, page.Page) {
	s.next++
	p := s.Spare()
	s.dirty[s.next] = p
	return s.next, p
}

func (s *store) AllocateRun(n int) (page.ID, []byte) {
	s.next++
	run := make([]byte, btree.RunPages(n, s.size)*s.size)
	s.dirty[s.next] = run
	return s.next, btree.InitRun(run, n, s.size)
}

func (s *store) Touch(id page.ID, birth page.TxID) (page.ID, page.Page, error) {
	if p, ok := s.dirty[id]; ok {
		return id, p, nil
	}
	old, err := s.committed(id, birth)
	if err != nil {
		return 0, nil, err
	}
	s.freed[id] = true
	to, p := s.Allocate()
	copy(p, old)
	return to, p, nil
}

func (s *store) Free(id page.ID, n int, birth page.TxID) {
	if p, ok := s.dirty[id]; ok {
		if len(p) != n*s.size {
			_ = s.damage("%d pages from %d on are freed, there are %d bytes", n, id, len(p))
			return
		}
		delete(s.dirty, id)
		s.Recycle(p)
		return
	}
	if p, err := s.committed(id, birth); err == nil {
		if len(p) != n*s.size {
			_ = s.damage("%d pages from %d on are freed, there are %d bytes", n, id, len(p))
		}
		s.freed[id] = true
	}
}

func (s *store) Spare() page.Page {
	if n := len(s.spare); n > 0 {
		p := s.spare[n-1]
		s.spare = s.spare[:n-1]
		return p
	}
	p := make([]byte, s.size)
	poison(p)
	return p
}

func (s *store) Recycle(p page.Page) {
	if s.exposed {
		return
	}
	poison(p)
	if len(p) == s.size {
		s.spare = append(s.spare, p)
	}
}

func (s *store) Replace(id page.ID, p page.Page) {
	old, ok := s.dirty[id]
	if !ok {
		broken("page %d is replaced, but not dirty", id)
	}
	s.dirty[id] = p
	s.Recycle(old)
}

// commit gives all dirty pages below h their places and returns the header as a
// file would hold it.
func (s *store) commit(h btree.Header) btree.Header {
	for id := range s.lent {
		s.checkUnchanged(id)
	}
	placed := map[page.ID]bool{}
	h.Root, h.Birth = s.place(btree.Ref{ID: h.Root, Birth: h.Birth}, placed)
	if len(placed) != len(s.dirty) {
		broken("%d dirty pages or runs, only %d of them are reachable", len(s.dirty), len(placed))
	}
	s.end()
	return h
}

// rollback forgets the transaction.
func (s *store) rollback() {
	clear(s.freed)
	s.end()
}

func (s *store) end() {
	for _, p := range s.dirty {
		poison(p)
	}
	clear(s.dirty)
	for id := range s.freed {
		poison(s.pages[id])
		delete(s.pages, id)
		delete(s.verified, id)
	}
	clear(s.freed)
	clear(s.lent)
	s.exposed = false
	s.tx++
}

// checkUnchanged fails if a committed page was written to.
func (s *store) checkUnchanged(id page.ID) {
	p := page.Page(s.pages[id])
	if p.Kind() == page.KindOverflow {
		if err := btree.VerifyRunData(p, id, fileID); err != nil {
			broken("%v", err)
		}
		return
	}
	if p.ComputeChecksum(id, fileID) != p.Checksum() {
		broken("committed page %d was written to", id)
	}
}

// place writes the page or run of ref, and all below it, to the file.
func (s *store) place(ref btree.Ref, placed map[page.ID]bool) (page.ID, page.TxID) {
	src, ok := s.dirty[ref.ID]
	if !ok {
		if ref.ID != 0 && s.freed[ref.ID] {
			broken("page %d is freed and in use", ref.ID)
		}
		return ref.ID, ref.Birth
	}
	if placed[ref.ID] {
		broken("dirty page %d is referred to twice", ref.ID)
	}
	placed[ref.ID] = true
	dst := page.Page(make([]byte, len(src)))
	if ref.Bytes > 0 {
		copy(dst, src)
	} else {
		poison(dst)
		btree.Layout(dst, src)
		s.checkLayout(dst, src)
		btree.SetRefs(dst, 0, func(r btree.Ref) (page.ID, page.TxID) { return s.place(r, placed) })
	}
	id := s.highWater
	s.highWater += page.ID(len(dst) / s.size)
	dst.SetTxID(s.tx)
	if ref.Bytes > 0 {
		btree.SealRun(dst, id, fileID)
	} else {
		if err := btree.Verify(dst, id, s.highWater); err != nil {
			broken("a page that was just laid out: %v", err)
		}
		dst.Seal(id, fileID)
	}
	s.pages[id] = dst
	return id, s.tx
}

// checkLayout fails if Layout left a header field that a commit does not set.
func (s *store) checkLayout(dst, src page.Page) {
	if dst.Kind() != src.Kind() || dst.Level() != src.Level() || dst.RunLen() != 1 ||
		dst.Count() != src.Count() || dst.Hint() != src.Hint() {
		broken("Layout changed the header: % x, was % x", dst[:page.HeaderSize], src[:page.HeaderSize])
	}
	again, from := page.Page(bytes.Repeat([]byte{0xDB}, len(dst))), bytes.Clone(dst)
	if dst.Kind() == page.KindBranch {
		btree.Untidy(from) // or Layout would copy it as it is
	}
	btree.Layout(again, from)
	copy(again[:page.OffKind], dst)
	if !bytes.Equal(again, dst) {
		broken("a second Layout is not the same as the first")
	}
}
