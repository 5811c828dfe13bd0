package folio

// This file is responsible for where the trees of a transaction get their pages
// from: the map, checked when a page is first touched, and, in a write
// transaction, the heap, where changed pages live until the commit.
//
// A changed page has no place in the file yet. Its id is an index into the
// transaction's list of dirty pages, marked by dirtyBit; the commit knows how many
// pages there are before it decides where they go, so that they go into one
// piece, and a rollback has nothing to take back.

import (
	"fmt"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/pager"
)

const dirtyBit page.ID = 1 << 62

// verifyRunMax is the longest run in bytes whose data is checked on first touch.
const verifyRunMax = 256 << 10

// reader is the btree.Reader of a snapshot.
type reader struct {
	view      *pager.View
	highWater page.ID
	fileID    uint64
	pageSize  int
	verify    VerifyMode
}

// Peek returns node id if it has been verified before.
func (r *reader) Peek(id page.ID) (page.Page, bool) { return r.view.Page(id) }

// Read verifies node id and returns it.
func (r *reader) Read(id page.ID, birth page.TxID) (page.Page, error) {
	b, err := r.span(id, 1)
	if err != nil {
		return nil, err
	}
	if err := r.bringIn(id, 1); err != nil {
		return nil, err
	}
	p := page.Page(b)
	if p.ComputeChecksum(id, r.fileID) != p.Checksum() {
		return nil, page.Corrupt(id, 0, "wrong checksum")
	}
	if p.TxID() != birth {
		return nil, page.Corrupt(id, p.Kind(), "written by transaction %d, expected %d", p.TxID(), birth)
	}
	if err := btree.Verify(p, id, r.highWater); err != nil {
		return nil, err
	}
	if r.verify != VerifyAlways {
		r.view.SetVerified(id)
	}
	return p, nil
}

// span returns the n pages from id on, if the snapshot has them.
func (r *reader) span(id page.ID, n uint64) ([]byte, error) {
	if id < page.FirstID || id >= r.highWater || n > uint64(r.highWater-id) {
		return nil, page.Corrupt(id, 0, "%d pages from there on are not in the file", n)
	}
	b := r.view.Run(id, n)
	if b == nil {
		return nil, page.Corrupt(id, 0, "it lies outside the map")
	}
	return b, nil
}

// bringIn makes the kernel bring n pages from id on in: a fault would hold the
// processor for as long as the disk takes, and kill the process if it fails.
func (r *reader) bringIn(id page.ID, n uint64) error {
	if err := r.view.Populate(id, n); err != nil {
		return fmt.Errorf("%w: page %d: %w", ErrFault, id, err)
	}
	return nil
}

// Run returns the n data bytes of the overflow run at id.
func (r *reader) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	pages := uint64(btree.RunPages(n, r.pageSize))
	if _, ok := r.view.Page(id); ok && id+page.ID(pages) <= r.highWater {
		if run := r.view.Run(id, pages); run != nil && page.Page(run).TxID() == birth && btree.RunHolds(run, n) {
			return btree.RunData(run, n), nil
		}
	}
	return r.readRun(id, birth, n, r.verify != VerifyFirst || n <= verifyRunMax)
}

// readRun verifies the run at id, with its data if full, and returns the data.
func (r *reader) readRun(id page.ID, birth page.TxID, n int, full bool) ([]byte, error) {
	pages := uint64(btree.RunPages(n, r.pageSize))
	run, err := r.span(id, pages)
	if err != nil {
		return nil, err
	}
	first := pages
	if !full {
		first -= uint64(n / r.pageSize) // no less than what lies before the data
	}
	if err := r.bringIn(id, first); err != nil {
		return nil, err
	}
	if err := btree.VerifyRunHeader(run, id, birth, r.fileID, n, r.pageSize); err != nil {
		return nil, err
	}
	if full {
		if err := btree.VerifyRunData(run, id, r.fileID); err != nil {
			return nil, err
		}
	}
	if r.verify != VerifyAlways {
		r.view.SetVerified(id)
	}
	return btree.RunData(run, n), nil
}

// Ahead brings in the nodes [id, id+n), which a scan is about to read.
func (r *reader) Ahead(id page.ID, n int) {
	if id >= page.FirstID && id < r.highWater {
		n := min(uint64(n), uint64(r.highWater-id))
		// An error comes back when the page itself is read.
		_ = r.view.Populate(id, n)
	}
}

// dirtyPage is a page, or a run, that exists in the heap only.
type dirtyPage struct {
	buf   []byte
	run   bool
	free  bool
	moved bool    // as it is in the file, see move
	id    page.ID // where the commit puts it
}

// freedRun is pages of the committed state that the transaction does not need
// any more.
type freedRun struct {
	id    page.ID
	n     uint64
	birth page.TxID
}

// store is the btree.Store of a write transaction.
type store struct {
	reader
	dirty   []dirtyPage
	unused  []int // indices of dirty that are free
	pages   uint64
	freed   []freedRun
	buffers *bufferPool
	pager   *pager.Pager
	exposed bool // the application may hold slices of dirty pages
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

func (s *store) add(p dirtyPage) page.ID {
	s.pages += uint64(len(p.buf) / s.pageSize)
	if n := len(s.unused); n > 0 {
		i := s.unused[n-1]
		s.unused = s.unused[:n-1]
		s.dirty[i] = p
		return page.ID(i) | dirtyBit
	}
	s.dirty = append(s.dirty, p)
	return page.ID(len(s.dirty)-1) | dirtyBit
}

// Allocate returns a new dirty page.
func (s *store) Allocate() (page.ID, page.Page) {
	buf := s.buffers.get()
	return s.add(dirtyPage{buf: buf}), buf
}

// AllocateRun returns a new dirty run for n data bytes.
func (s *store) AllocateRun(n int) (page.ID, []byte) {
	run := make([]byte, btree.RunPages(n, s.pageSize)*s.pageSize)
	data := btree.InitRun(run, n, s.pageSize)
	return s.add(dirtyPage{buf: run, run: true}), data
}

// Touch returns a dirty copy of page id.
func (s *store) Touch(id page.ID, birth page.TxID) (page.ID, page.Page, error) {
	if id&dirtyBit != 0 {
		return id, s.dirty[id&^dirtyBit].buf, nil
	}
	p, ok := s.view.Page(id)
	if !ok {
		var err error
		if p, err = s.reader.Read(id, birth); err != nil {
			return 0, nil, err
		}
	}
	buf := s.buffers.get()
	copy(buf, p)
	s.freed = append(s.freed, freedRun{id, 1, page.Page(buf).TxID()})
	return s.add(dirtyPage{buf: buf}), buf, nil
}

// move returns a dirty copy of page id, which a commit gives another place, or false
// if it has not been verified, or is not in memory: nobody asked for that page.
func (s *store) move(id page.ID, birth page.TxID) (page.ID, bool) {
	if _, ok := s.view.Page(id); !ok {
		return 0, false
	}
	buf := s.buffers.get()
	if !s.pager.ReadCached(buf, id) || page.Page(buf).TxID() != birth {
		s.buffers.put(buf)
		return 0, false
	}
	s.freed = append(s.freed, freedRun{id, 1, birth})
	return s.add(dirtyPage{buf: buf, moved: true}), true
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
	if d.free {
		return
	}
	s.pages -= uint64(len(d.buf) / s.pageSize)
	if !d.run {
		s.recycle(d.buf)
	}
	*d = dirtyPage{free: true}
	s.unused = append(s.unused, i)
}

// Spare returns a buffer of one page.
func (s *store) Spare() page.Page { return s.buffers.get() }

// Recycle takes a spare buffer back.
func (s *store) Recycle(p page.Page) { s.buffers.put(p) }

// Replace makes p the content of dirty page id.
func (s *store) Replace(id page.ID, p page.Page) {
	d := &s.dirty[id&^dirtyBit]
	s.recycle(d.buf)
	d.buf = p
}

// recycle reuses the memory of a dirty page that has been given up, unless the
// application may still look at it.
func (s *store) recycle(buf []byte) {
	if !s.exposed {
		s.buffers.put(buf)
	}
}

// Exposed tells whether the application may hold slices of dirty pages.
func (s *store) Exposed() bool { return s.exposed }

// release gives all memory back at the end of the transaction.
func (s *store) release() {
	for i := range s.dirty {
		if d := &s.dirty[i]; !d.free && !d.run {
			s.buffers.put(d.buf)
		}
	}
	s.dirty, s.unused, s.freed = nil, nil, nil
}

// bufferPool keeps page buffers from one write transaction to the next. It
// belongs to the writer lock.
type bufferPool struct {
	pageSize int
	free     [][]byte
	idle     int // buffers that have been free since the last trim
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
