package pager

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
)

// This file is responsible for bytes that go to the file and come back by
// system calls (P1, P2).

// Write writes contiguous pages, the first of them page id. The buffers together
// are whole pages; how they are cut does not matter. The file must hold the
// pages already, see EnsureSize. Write does not sync, and touches no mark of a
// View. It does not keep bufs.
//
// After an error any part of the pages can be written. Without room the error
// wraps ErrNoSpace; any other failure latches.
func (p *Pager) Write(id page.ID, bufs [][]byte) error {
	if err := p.checkWrite(); err != nil {
		return err
	}
	var total int64
	for _, b := range bufs {
		total += int64(len(b))
	}
	if total == 0 {
		return nil
	}
	size := p.size.Load()
	switch {
	case total%p.pageSize != 0:
		return fmt.Errorf("pager: write page %d: %d bytes are not whole pages", id, total)
	case id < page.FirstID:
		return fmt.Errorf("pager: write page %d: meta pages go through WriteMeta", id)
	case id > page.MaxID || total > size-int64(id)*p.pageSize:
		return fmt.Errorf("pager: write page %d: %d bytes end behind the file of %d", id, total, size)
	}
	p.countWrite(total)
	var err error
	if off := int64(id) * p.pageSize; len(bufs) == 1 {
		err = p.writeAt(bufs[0], off)
	} else {
		err = p.file.WriteVecAt(bufs, off)
	}
	if err != nil {
		return p.writeFailed(fmt.Sprintf("write page %d", id), err)
	}
	return nil
}

// StartWrite has the device begin with n pages from id on, which Write has written, and
// does not wait for it. A Sync is needed all the same. Errors are those of Write: the pages
// are lost then, and a Sync might not say so.
func (p *Pager) StartWrite(id page.ID, n uint64) error {
	if err := p.file.StartWrite(int64(id)*p.pageSize, int64(n)*p.pageSize); err != nil {
		return p.writeFailed(fmt.Sprintf("write page %d", id), err)
	}
	return nil
}

// WriteMeta writes the start of meta page slot, 0 or 1; b is at most a page. The
// file must hold the meta pages. It does not sync. Nobody may read the slot
// through a View at the same time. Errors are those of Write. It is one system call: if
// the process dies meanwhile, the old bytes or the new ones are left.
//
// A store through a mapping would spare the call, and costs more: the system takes all of
// the piece of its cache that the page is in for changed. In a file that was copied by
// large writes, a restored backup, that can be 2 MiB for each commit (docs/mapping.md).
func (p *Pager) WriteMeta(slot int, b []byte) error {
	if err := p.checkWrite(); err != nil {
		return err
	}
	if slot < 0 || slot >= page.NumMetas || int64(len(b)) > p.pageSize {
		return fmt.Errorf("pager: write meta %d: no such slot, or %d bytes are too many", slot, len(b))
	}
	if p.size.Load() < page.NumMetas*p.pageSize {
		return fmt.Errorf("pager: write meta %d: the file holds no meta pages", slot)
	}
	p.writes.Add(1)
	p.pagesWritten.Add(1)
	p.bytesWritten.Add(uint64(len(b)))
	if err := p.writeAt(b, int64(slot)*p.pageSize); err != nil {
		return p.writeFailed(fmt.Sprintf("write meta %d", slot), err)
	}
	return nil
}

// UndoMeta writes b over meta page slot after a failure, although the pager is latched:
// nobody who looks at the page cache should take the commit that failed for a durable
// one. It does not sync. It is one system call, as WriteMeta is.
func (p *Pager) UndoMeta(slot int, b []byte) error {
	return p.writeAt(b, int64(slot)*p.pageSize)
}

func (p *Pager) writeAt(b []byte, off int64) error {
	n, err := p.file.WriteAt(b, off)
	if err == nil && n < len(b) {
		err = io.ErrShortWrite
	}
	return err
}

func (p *Pager) countWrite(total int64) {
	p.writes.Add(1)
	p.pagesWritten.Add(uint64(total / p.pageSize))
	p.bytesWritten.Add(uint64(total))
}

// Sync makes everything written before the call durable. When it fails, for
// whatever reason, the pager latches (P2), and no later Sync is tried. A pager that has
// latched for another reason still syncs what was written before. On a read-only pager
// it makes durable what others wrote, if the system lets it, and never latches.
func (p *Pager) Sync() error {
	if p.opts.ReadOnly {
		p.syncs.Add(1)
		err := p.file.Sync()
		if err == nil || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return fmt.Errorf("pager: sync: %w", err)
	}
	// One at a time: of two syncs in progress the kernel would tell only one that
	// the device failed, and the other one must not return success then.
	p.syncMu.Lock()
	defer p.syncMu.Unlock()
	if p.syncErr != nil {
		return p.syncErr
	}
	if err := p.Err(); err != nil && bugs.On(bugs.LatchedUnsynced) {
		return err
	}
	p.syncs.Add(1)
	if err := p.file.Sync(); err != nil {
		failed := fmt.Errorf("pager: sync: %w: %w", ErrLatched, err)
		if !bugs.On(bugs.SyncUnlatched) {
			p.syncErr = failed
			p.Latch(fmt.Errorf("sync: %w", err))
		}
		return failed
	}
	return nil
}

// ReadAt fills b with bytes from the start of page id, by a system call and not
// through the mapping: recovery asks what the file holds, and an unreadable
// block is an error then. A file that ends early is io.ErrUnexpectedEOF. A
// latched pager reads on.
func (p *Pager) ReadAt(b []byte, id page.ID) error {
	if id > page.MaxID {
		return fmt.Errorf("pager: read page %d: %w", id, io.ErrUnexpectedEOF)
	}
	n, err := p.file.ReadAt(b, int64(id)*p.pageSize)
	if n == len(b) {
		return nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("pager: read page %d: %w", id, err)
}

// ReadCached fills b with bytes from the start of page id if they are in memory, and
// tells whether it has: vfs.File.ReadCached.
func (p *Pager) ReadCached(b []byte, id page.ID) bool {
	return id <= page.MaxID && p.file.ReadCached(b, int64(id)*p.pageSize)
}

// DropCache asks the system to read n pages from id on from the device next
// time, as vfs.File.DropCache does.
func (p *Pager) DropCache(id page.ID, n uint64) error {
	if n == 0 || id > page.MaxID {
		return nil
	}
	n = min(n, uint64(page.MaxID-id)+1)
	if err := p.file.DropCache(int64(id)*p.pageSize, int64(n)*p.pageSize); err != nil {
		return fmt.Errorf("pager: drop pages %d+%d from the cache: %w", id, n, err)
	}
	return nil
}
