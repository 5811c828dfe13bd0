package pager

import (
	"errors"
	"fmt"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// This file is responsible for the length of the file (P4, P5, P6).

const (
	// smallFile is what a new database takes up at most, if that holds it.
	smallFile = 16 << 10
	// minStepPages and maxStep bound how far the file is extended ahead of need.
	minStepPages = 4
	maxStep      = 4 << 20
	// largeGrowth is so much that the blocks of what the caller writes next are
	// worth more than those ahead of it: zeros would cost it more than they save
	// the commits to come (1.9 against 2.9 ms for a commit of 800 KiB).
	largeGrowth = 256 << 10
	// zerosSize is the size of the buffer that growth writes over and over.
	zerosSize = 64 << 10
)

var zeros [zerosSize]byte

// EnsureSize makes the file hold the pages [0, hwm), and the current View map
// them. It writes zeros where nothing was, but not necessarily into all of the
// pages asked for, so the caller writes those; it does not sync. It costs
// nothing when the file is long enough.
//
// Without room it returns an error that wraps ErrNoSpace, or ErrMaxSize, and the
// file is as long as before.
func (p *Pager) EnsureSize(hwm page.ID) error {
	if err := p.checkWrite(); err != nil {
		return err
	}
	if hwm > page.MaxID {
		return fmt.Errorf("pager: %d pages: %w", hwm, ErrMaxSize)
	}
	need := int64(hwm) * p.pageSize
	if need <= p.ready.Load() {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if need > p.size.Load() {
		if err := p.growLocked(need); err != nil {
			return err
		}
	}
	return p.coverLocked(p.size.Load())
}

// Refresh looks at the length of the file again, which another process may have
// changed, and makes the View cover it. A process calls it when it follows what
// another one has written, or becomes the writer.
func (p *Pager) Refresh() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.statLocked(); err != nil {
		return err
	}
	return p.coverLocked(p.size.Load())
}

// statLocked looks at the length of the file. It needs p.mu.
func (p *Pager) statLocked() error {
	size, err := p.file.Size()
	if err != nil {
		return fmt.Errorf("pager: %w", err)
	}
	old := p.size.Swap(size)
	if size < old {
		p.forgetFrom(size)
		p.ready.Store(min(p.ready.Load(), size))
		p.pinned = min(p.pinned, size)
	}
	if size != old {
		return p.mapMovedLocked()
	}
	return nil
}

// growLocked makes the file at least need bytes long. It needs p.mu.
func (p *Pager) growLocked(need int64) error {
	// Zeros over pages that another process appended would destroy them, so the
	// length is looked at again: growth is rare.
	if err := p.statLocked(); err != nil {
		return err
	}
	size := p.size.Load()
	if need <= size {
		return nil
	}
	if limit := p.opts.MaxSize; limit > 0 && need > limit {
		return fmt.Errorf("pager: %d bytes, limit %d: %w", need, limit, ErrMaxSize)
	}
	target, zeroFrom := p.plan(size, need)
	err := p.extend(zeroFrom, target)
	full := vfs.IsNoSpace(err)
	if full && target > need {
		// The slack is a convenience; what is needed may still fit.
		if err = p.file.Truncate(size); err == nil {
			target = need
			err = p.extend(min(zeroFrom, need), need)
		}
	}
	p.full.Store(full)
	if err != nil {
		if vfs.IsNoSpace(err) {
			// Give back what a part of the zeros took. Should that fail, the file
			// is longer than it says here, which harms nobody.
			_ = p.file.Truncate(size)
		}
		return errors.Join(p.writeFailed("grow the file", err), p.mapMovedLocked())
	}
	p.grows.Add(1)
	p.size.Store(target)
	return nil
}

// Full tells whether a page could not be written lately for lack of room, or the file could
// not grow as far as it should. Until it can again, growth leaves no holes, so that a
// commit learns from EnsureSize whether there is room, and not when it has no choice left.
func (p *Pager) Full() bool { return p.full.Load() }

// plan returns the length that a file of size bytes grows to when need are
// needed, and where the zeros start that are written for it.
func (p *Pager) plan(size, need int64) (target, zeroFrom int64) {
	step := min(max(p.wholePages(size/8), minStepPages*p.pageSize), maxStep)
	if p.full.Load() {
		return p.limit(need+step, need), size
	}
	// What is still missing after that is for the same commit, mostly.
	if large := need-size >= largeGrowth; large || p.grewLarge {
		p.grewLarge = large
		return need, need
	}
	target = need + step
	if need <= smallFile {
		target = smallFile
	}
	target = p.limit(target, need)
	if need-size > step {
		// The caller writes all of that next. Zeros first would double the work.
		// If it gives up instead, a hole stays, which costs a later commit some
		// journal and nothing else.
		return target, need
	}
	return target, size
}

// extend makes the file target bytes long, the part from zeroFrom on with
// written zeros.
//
// The zeros alone set the length. To set it first, by Truncate, would be one
// more change of metadata to journal, and would leave a longer file with holes
// in the slack if the disk is full half way. Only when there is nothing to fill
// does the length need a call of its own; the caller's writes fill that hole
// before the next sync.
func (p *Pager) extend(zeroFrom, target int64) error {
	if zeroFrom >= target {
		return p.file.Truncate(target)
	}
	var bufs [][]byte
	for left := target - zeroFrom; left > 0; left -= zerosSize {
		bufs = append(bufs, zeros[:min(left, zerosSize)])
	}
	return p.file.WriteVecAt(bufs, zeroFrom)
}

// Shrink cuts the file to hwm pages and forgets what it knew of the others,
// which nobody may read any more. It does not sync, and does nothing if the file
// is not longer.
//
// Shrinking is a convenience: when it fails (Windows refuses to cut a mapped
// file) the error says so, the file is as long as it was, and nothing latches.
func (p *Pager) Shrink(hwm page.ID) error {
	if err := p.checkWrite(); err != nil {
		return err
	}
	if hwm < page.FirstID {
		return fmt.Errorf("pager: shrink to %d pages: the meta pages must stay", hwm)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if hwm > page.MaxID || int64(hwm)*p.pageSize >= p.size.Load() {
		return nil
	}
	size := int64(hwm) * p.pageSize
	p.forgetFrom(size)
	// The lengths go down first, so that they are never too long (P6).
	old, ready := p.size.Swap(size), p.ready.Swap(min(size, p.ready.Load()))
	if err := p.file.Truncate(size); err != nil {
		p.size.Store(old)
		p.ready.Store(ready)
		return fmt.Errorf("pager: shrink: %w", err)
	}
	p.pinned = min(p.pinned, size)
	return nil
}
