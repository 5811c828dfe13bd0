package pager

import (
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// The rules that this package keeps:
//
//	P1. Data pages are written by positioned writes only. Their mapping is
//	    read-only: a stray store faults instead of corrupting, and a full disk is
//	    an error instead of a signal. Only the two meta pages have a writable
//	    mapping, of their own.
//	P2. After a failed sync, or a failed write that is not "no space", the pager
//	    is latched: it changes nothing any more. After a failed sync, what the page
//	    cache holds may never reach the disk, and a second one could return success,
//	    so none is tried. After anything else what was written before can be synced.
//	P3. A mapping is never unmapped before Close. Growth beyond it makes a larger
//	    one and publishes a new View; readers keep what they hold.
//	P4. MaxSize is checked before anything changes.
//	P5. The file is extended by written zeros ahead of need, so that a commit
//	    overwrites blocks that exist: that costs one flush of the device, where
//	    an append or a hole costs a journal commit too.
//	P6. What is known of the file's length is never more than its length, unless
//	    another process shortened it (see Refresh).
//
// Lock order: mu before viewMu.

// Options are the settings of a Pager.
type Options struct {
	// PageSize is the size of a page in bytes: a power of two from page.MinSize
	// to page.MaxSize.
	PageSize int
	// ReadOnly makes every call that would change the file fail with
	// ErrReadOnly.
	ReadOnly bool
	// MaxSize is the most bytes the file may grow to; zero means no limit.
	MaxSize int64
	// Mlock pins the mapped file in memory; New and EnsureSize fail if the
	// system refuses.
	Mlock bool
	// Populate makes New read the whole file into memory.
	Populate bool
	// Reserve is how many bytes of address space to map at first; zero means 1
	// TiB, or 1 GiB on 32-bit machines. What the system refuses is halved, down
	// to the size of the file.
	Reserve int64
	// OnLatch, if it is set, is called when the pager latches, by whoever finds out.
	OnLatch func()
}

// Stats are counters since New, and sizes as they are now.
type Stats struct {
	Syncs        uint64 // syncs that were asked of the file
	Writes       uint64 // positioned writes of pages that were asked of the file; a vector counts as one
	PagesWritten uint64 // data and meta pages; zeros written for growth do not count
	BytesWritten uint64
	Grows        uint64 // times the file was made longer
	Remaps       uint64 // mappings that replaced a smaller one
	FileSize     int64  // bytes
	Mapped       int64  // bytes of address space in the current View
}

// Pager reads and writes one file. All methods may be called concurrently,
// except that Close comes last, that concurrent writes must not overlap, and
// that nobody may read what Shrink cuts off.
type Pager struct {
	file     vfs.File
	opts     Options
	pageSize int64

	latch atomic.Pointer[latched]
	view  atomic.Pointer[View]
	size  atomic.Int64 // length of the file (P6)
	ready atomic.Int64 // bytes of the file that the View has bits for and that are pinned if they must be

	pulled atomic.Int64 // pages that Populate and Fetch have pulled into memory

	mu     sync.Mutex    // held while the length of the file or the mapping changes
	maps   []vfs.Mapping // every data mapping made, for Close; guarded by mu
	pinned int64         // bytes of the current mapping that are pinned; guarded by mu

	full      atomic.Bool // see Full
	grewLarge bool        // the file has grown by largeGrowth or more, and not since; guarded by mu

	closed bool // guarded by mu

	syncMu  sync.Mutex // held by Sync, alone
	syncErr error      // of the Sync that failed; guarded by syncMu

	// viewMu makes copying a bitmap into a new View and clearing bits exclude
	// each other, so that no cleared bit comes back (V3).
	viewMu sync.Mutex
	views  []*View // every View made, the current one last; guarded by viewMu

	syncs, writes, pagesWritten, bytesWritten, grows, remaps atomic.Uint64
}

// New returns a pager for an open file, which may be empty. It neither writes
// nor syncs. The pager owns f from then on, and Close closes it; after an error
// f is still the caller's.
func New(f vfs.File, o Options) (*Pager, error) {
	if o.PageSize < page.MinSize || o.PageSize > page.MaxSize || bits.OnesCount(uint(o.PageSize)) != 1 {
		return nil, fmt.Errorf("pager: invalid page size %d", o.PageSize)
	}
	if o.MaxSize < 0 || o.Reserve < 0 {
		return nil, fmt.Errorf("pager: negative size in options: MaxSize %d, Reserve %d", o.MaxSize, o.Reserve)
	}
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("pager: %w", err)
	}
	p := &Pager{file: f, opts: o, pageSize: int64(o.PageSize)}
	p.size.Store(size)
	p.view.Store(&View{})
	if err := p.open(); err != nil {
		return nil, errors.Join(err, p.unmap())
	}
	return p, nil
}

func (p *Pager) open() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	size := p.size.Load()
	if err := p.reserveLocked(); err != nil {
		return err
	}
	if err := p.coverLocked(size); err != nil {
		return err
	}
	if p.opts.Populate {
		return p.View().Populate(0, uint64(size/p.pageSize))
	}
	return nil
}

// View returns the current mapping. It never waits.
func (p *Pager) View() *View { return p.view.Load() }

// FileSize returns the length of the file in bytes. It never waits.
func (p *Pager) FileSize() int64 { return p.size.Load() }

// Stats returns the counters. It never waits; the numbers are not taken at one
// instant.
func (p *Pager) Stats() Stats {
	return Stats{
		Syncs:        p.syncs.Load(),
		Writes:       p.writes.Load(),
		PagesWritten: p.pagesWritten.Load(),
		BytesWritten: p.bytesWritten.Load(),
		Grows:        p.grows.Load(),
		Remaps:       p.remaps.Load(),
		FileSize:     p.size.Load(),
		Mapped:       int64(len(p.View().data)),
	}
}

// Close unmaps everything and closes the file, which releases its lock. It does
// not sync. Any later use of bytes from a View is fatal. A second call does
// nothing.
func (p *Pager) Close() error {
	p.mu.Lock()
	closed := p.closed
	p.closed = true
	p.mu.Unlock()
	if closed {
		return nil
	}
	return errors.Join(p.unmap(), p.file.Close())
}

// unmap closes all mappings. The View that is left covers nothing.
func (p *Pager) unmap() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.view.Store(&View{})
	p.ready.Store(0)
	p.viewMu.Lock()
	p.views = nil
	p.viewMu.Unlock()
	var err error
	for _, m := range p.maps {
		err = errors.Join(err, m.Close())
	}
	p.maps = nil
	return err
}
