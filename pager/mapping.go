package pager

import (
	"fmt"
	"math"
	"math/bits"
	"sync/atomic"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// This file is responsible for the data mapping (P3) and for the Views of it.

// minBitWords is the least length of the bitmaps of a View, if its mapping has so
// many pages.
const minBitWords = 8

// defaultReserve costs nothing where addresses have 64 bits. Elsewhere it is a
// third of all there is; it is halved when taken.
func defaultReserve() int64 {
	if bits.UintSize == 64 {
		return 1 << 40
	}
	return 1 << 30
}

// wholePages returns size rounded down to pages.
func (p *Pager) wholePages(size int64) int64 { return size &^ (p.pageSize - 1) }

// reserveLocked makes the first mapping. It needs p.mu.
func (p *Pager) reserveLocked() error {
	size := p.wholePages(p.size.Load())
	want := p.opts.Reserve
	if want == 0 {
		want = defaultReserve()
	}
	if limit := p.opts.MaxSize; limit > 0 {
		want = min(want, limit)
	}
	err := p.mapLocked(p.wholePages(want), size)
	if size == 0 {
		// Some systems cannot map an empty file. EnsureSize tries again.
		return nil
	}
	return err
}

// mapLocked maps want bytes, or half as many until the system agrees, but at
// least the first size bytes, and publishes a View of that. It needs p.mu.
func (p *Pager) mapLocked(want, size int64) error {
	floor := max(size, p.pageSize)
	for length := max(want, floor); ; length = max(p.wholePages(length/2), floor) {
		m, err := p.file.Map(length)
		if err == nil {
			if len(p.maps) > 0 {
				p.remaps.Add(1)
			}
			p.maps = append(p.maps, m)
			p.pinned = 0
			p.publishLocked(m, size)
			return nil
		}
		if length == floor {
			return fmt.Errorf("pager: map %d bytes: %w", length, err)
		}
	}
}

// remapLocked makes a mapping that is larger than the current one if it can be,
// for the first size bytes of the file. It needs p.mu.
func (p *Pager) remapLocked(size int64) error {
	return p.mapLocked(p.limit(max(2*int64(len(p.View().data)), size), size), size)
}

// mapMovedLocked replaces a mapping that does not follow the file, after the
// length of the file has changed in other ways than by growLocked succeeding.
// It needs p.mu.
func (p *Pager) mapMovedLocked() error {
	v := p.View()
	if v.mapping == nil || v.mapping.MayExceedFile() {
		return nil
	}
	size := p.wholePages(p.size.Load())
	return p.mapLocked(max(int64(len(v.data)), size), size)
}

// coverLocked makes the current View map and have bits for the first size bytes
// of the file, and pins them if that is asked for. It needs p.mu.
func (p *Pager) coverLocked(size int64) error {
	size = p.wholePages(size)
	v := p.View()
	switch {
	case size > int64(len(v.data)):
		if err := p.remapLocked(size); err != nil {
			return err
		}
	case size > 64*int64(len(v.verified))*p.pageSize:
		p.publishLocked(v.mapping, size)
	}
	if p.opts.Mlock && size > p.pinned {
		if err := p.View().mapping.Lock(p.pinned, size-p.pinned); err != nil {
			return fmt.Errorf("pager: pin the file in memory: %w", err)
		}
		p.pinned = size
	}
	v = p.View()
	invariants.Check(size <= int64(len(v.data)), "%d bytes mapped of %d", len(v.data), size)
	invariants.Check(size <= 64*int64(len(v.verified))*p.pageSize, "%d words of bits for %d bytes", len(v.verified), size)
	p.ready.Store(size)
	return nil
}

// limit returns size bounded by MaxSize, but not less than atLeast.
func (p *Pager) limit(size, atLeast int64) int64 {
	if p.opts.MaxSize > 0 {
		size = min(size, p.wholePages(p.opts.MaxSize))
	}
	return max(size, atLeast)
}

// publishLocked makes a View of mapping m the current one, with bitmaps for the
// first size bytes, and twice as long as before if longer at all. It needs p.mu.
func (p *Pager) publishLocked(m vfs.Mapping, size int64) {
	old, data := p.View(), m.Bytes()
	v := &View{
		data:     data,
		pages:    uint64(len(data)) / uint64(p.pageSize),
		pageSize: page.ID(p.pageSize),
		shift:    uint8(bits.TrailingZeros64(uint64(p.pageSize))),
		mapping:  m,
		pager:    p,
	}
	words, need := len(old.verified), wordsFor(uint64(size/p.pageSize))
	if need > words || words == 0 {
		words = min(max(need, 2*words, minBitWords), wordsFor(v.pages))
	}
	v.verified = make([]atomic.Uint64, words)
	v.populated = make([]atomic.Uint64, words)

	p.viewMu.Lock()
	defer p.viewMu.Unlock()
	for i := range old.verified {
		v.verified[i].Store(old.verified[i].Load())
	}
	if sameData(old.data, data) {
		for i := range old.populated {
			v.populated[i].Store(old.populated[i].Load())
		}
	}
	p.views = append(p.views, v)
	p.view.Store(v)
}

// wordsFor returns how many words hold the bits of n pages.
func wordsFor(n uint64) int { return int((n + 63) / 64) }

// sameData tells whether two slices start at the same byte.
func sameData(a, b []byte) bool { return len(a) > 0 && len(b) > 0 && &a[0] == &b[0] }

// ForgetVerified takes the mark from all pages: another process can have written any
// of them.
func (p *Pager) ForgetVerified() { p.forgetFrom(0) }

// forgetFrom clears what is known of the pages from byte size on, in all Views.
func (p *Pager) forgetFrom(size int64) {
	id := uint64(size / p.pageSize)
	p.viewMu.Lock()
	defer p.viewMu.Unlock()
	for _, v := range p.views {
		clearBits(v.verified, id, math.MaxUint64)
		clearBits(v.populated, id, math.MaxUint64)
	}
}
