package pager

import (
	"errors"
	"fmt"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/vfs"
)

var (
	// ErrLatched is what every error of a pager wraps that has seen a sync or a
	// write fail, along with the first failure. The file must be opened again.
	ErrLatched = errors.New("a write or sync failed earlier; the file must be opened again")
	// ErrNoSpace says that the disk, a quota or a limit leaves no room. It is
	// wrapped with the cause. Nothing is lost and the call can be made again.
	ErrNoSpace = errors.New("no space left for the file")
	// ErrMaxSize says that the file would outgrow Options.MaxSize. Nothing was
	// changed.
	ErrMaxSize = errors.New("the file would exceed its maximum size")
	// ErrReadOnly says that the pager was opened for reading only.
	ErrReadOnly = errors.New("the file is open for reading only")
)

// latched is the first failure after which nothing is written any more.
type latched struct{ err error }

// Err returns nil, or why the pager is latched: an error that wraps ErrLatched
// and the first cause. It never waits.
func (p *Pager) Err() error {
	if l := p.latch.Load(); l != nil {
		return l.err
	}
	return nil
}

// Latch makes every later call that changes the file fail with an error that
// wraps ErrLatched and err. The first latch stays. A nil err does nothing.
func (p *Pager) Latch(err error) {
	if err == nil {
		return
	}
	if bugs.On(bugs.MarksFirst) {
		p.forgetFrom(0)
		bugs.Pause()
	}
	first := p.latch.CompareAndSwap(nil, &latched{fmt.Errorf("pager: %w: %w", ErrLatched, err)})
	bugs.Pause()
	if !bugs.On(bugs.MarksKept) && !bugs.On(bugs.MarksFirst) {
		p.forgetFrom(0) // V5
	}
	if fn := p.opts.OnLatch; first && fn != nil {
		fn()
	}
}

// checkWrite returns why the file cannot be changed now.
func (p *Pager) checkWrite() error {
	if p.opts.ReadOnly {
		return fmt.Errorf("pager: %w", ErrReadOnly)
	}
	return p.Err()
}

// writeFailed turns the failure of a write into the error to return, and latches
// unless the failure only says that there is no room (P2).
func (p *Pager) writeFailed(op string, err error) error {
	if vfs.IsNoSpace(err) {
		p.full.Store(true)
		return fmt.Errorf("pager: %s: %w: %w", op, ErrNoSpace, err)
	}
	p.Latch(fmt.Errorf("%s: %w", op, err))
	return fmt.Errorf("pager: %s: %w: %w", op, ErrLatched, err)
}
