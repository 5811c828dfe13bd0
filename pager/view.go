package pager

import (
	"fmt"
	"sync/atomic"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// This file is responsible for reading pages from the mapping.
//
//	V1. What a View hands out stays readable until the pager is closed, and
//	    follows writes to the file as long as the mapping does.
//	V2. A View covers pages that the file does not hold yet. Whoever reads a
//	    page id knows, from a high-water mark that EnsureSize has seen, that the
//	    file is long enough; else the read is a fault.
//	V3. A set bit in verified means that this process has checked the page as it
//	    is. A missing bit means nothing. Bits get lost when a View is replaced;
//	    they never come back once cleared (see Pager.viewMu).
//	V4. The bitmaps are as long as the file needs, not as the mapping is; a page
//	    beyond them is not verified.
//	V5. Once the pager has latched, no page is marked. What could not be written the
//	    system shows for as long as it likes, and then the bytes of before.

// View is the mapping of the file at one time. All its methods may be called
// concurrently. It stays valid until the pager is closed; a newer one may cover
// more.
type View struct {
	data      []byte // the mapping
	verified  []atomic.Uint64
	populated []atomic.Uint64
	pages     uint64 // whole pages in data
	pageSize  page.ID
	shift     uint8 // log2 of pageSize
	mapping   vfs.Mapping
	pager     *Pager
}

// Page returns page id and whether it is marked as verified, or nil when the
// mapping ends before it. The bytes are read-only and stay as they are for as
// long as nobody writes the page.
func (v *View) Page(id page.ID) (p page.Page, verified bool) {
	// The inliner takes this as it is and little more; TestPageInlines watches.
	if uint64(id) < v.pages {
		off := id << (v.shift & 63)
		p = v.data[off : off+v.pageSize : off+v.pageSize]
		if w := id / 64; w < page.ID(len(v.verified)) {
			verified = v.verified[w].Load()>>(id%64)&1 != 0
		}
	}
	return
}

// Run returns n contiguous pages from id in one slice without spare capacity, or
// nil when the mapping ends before the last of them.
func (v *View) Run(id page.ID, n uint64) []byte {
	if uint64(id) >= v.pages || n > v.pages-uint64(id) {
		return nil
	}
	off, end := uint64(id)<<v.shift, (uint64(id)+n)<<v.shift
	return v.data[off:end:end]
}

// SetVerified marks page id as checked. On a View too old to have a bit for it, and in
// a pager that has latched, it does nothing (V5).
func (v *View) SetVerified(id page.ID) {
	if w := id / 64; w < page.ID(len(v.verified)) {
		v.verified[w].Or(1 << (id % 64))
		if v.Changeable() { // after the bit is set: Latch stores first and clears then
			v.verified[w].And(^(uint64(1) << (id % 64)))
		}
	}
}

// Changeable tells whether pages can change though nobody writes them (V5).
func (v *View) Changeable() bool { return v.pager != nil && v.pager.latch.Load() != nil }

// ClearVerified takes the mark from n pages from id on, in this and in every
// other View of the pager. The writer calls it for pages that it writes anew.
func (v *View) ClearVerified(id page.ID, n uint64) {
	p := v.pager
	if p == nil {
		return
	}
	p.viewMu.Lock()
	defer p.viewMu.Unlock()
	for _, w := range p.views {
		clearBits(w.verified, uint64(id), n)
	}
}

// Populate pulls n pages from id on into memory, as vfs.Mapping.Populate does,
// unless a call for them has done so before. What the kernel has evicted since
// comes back by page faults.
func (v *View) Populate(id page.ID, n uint64) error { return v.pull(id, n, vfs.Mapping.Populate) }

// fetchedPart is the part of the file, 1/fetchedPart, that is fetched without what lies around.
// Who wants more will want most of it, and that comes faster in large pieces.
const fetchedPart = 32

// Fetch is Populate for pages of which, for all that is known, hardly any neighbour will be
// needed (vfs.Mapping.Fetch): until a good part of the file has been fetched.
func (v *View) Fetch(id page.ID, n uint64) error {
	if p := v.pager; p != nil && p.pulled.Load() > p.FileSize()/p.pageSize/fetchedPart {
		return v.Populate(id, n)
	}
	return v.pull(id, n, vfs.Mapping.Fetch)
}

func (v *View) pull(id page.ID, n uint64, by func(m vfs.Mapping, off, n int64) error) error {
	if n == 0 || v.hasPopulated(id, n) {
		return nil
	}
	if v.Run(id, n) == nil {
		return fmt.Errorf("pager: populate pages %d+%d: outside the mapping", id, n)
	}
	if err := by(v.mapping, int64(id)<<v.shift, int64(n)<<v.shift); err != nil {
		return fmt.Errorf("pager: populate pages %d+%d: %w", id, n, err)
	}
	if v.pager != nil {
		v.pager.pulled.Add(int64(n))
	}
	for i := uint64(id); i < min(uint64(id)+n, 64*uint64(len(v.populated))); i++ {
		v.populated[i/64].Or(1 << (i % 64))
	}
	return nil
}

// hasPopulated tells whether all n > 0 pages from id on were populated.
func (v *View) hasPopulated(id page.ID, n uint64) bool {
	size := 64 * uint64(len(v.populated))
	if uint64(id) >= size || n > size-uint64(id) {
		return false
	}
	for i := uint64(id); i < uint64(id)+n; i++ {
		if v.populated[i/64].Load()>>(i%64)&1 == 0 {
			return false
		}
	}
	return true
}

// clearBits clears the bits [id, id+n) of a bitmap, as far as it goes.
func clearBits(bits []atomic.Uint64, id, n uint64) {
	size := 64 * uint64(len(bits))
	if id >= size {
		return
	}
	end := id + min(n, size-id)
	for id < end {
		next := min((id|63)+1, end) // where the word or the range ends
		mask := ^uint64(0) << (id % 64)
		if next%64 != 0 {
			mask &= 1<<(next%64) - 1
		}
		if w := &bits[id/64]; w.Load()&mask != 0 {
			w.And(^mask)
		}
		id = next
	}
}
