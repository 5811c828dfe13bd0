package sidecar

// This file is responsible for the turn to write among processes: X.
//
// T1  Within a handle, turn is a lock that its goroutines hold from LockTx to
//     UnlockTx: the kernel would let all of them have X.
// T2  The system call that waits for X cannot be interrupted, so a goroutine of its
//     own makes it. If whoever wanted X gives up, it goes on waiting; the next LockTx
//     of the handle wants what it gets, and if nobody does, it lets X go.
// T3  While it waits nobody else of the handle asks the kernel for X, for what one
//     gets the other would let go.
// T4  Who waits has the queue's byte locked before it counts in waiting, and as long
//     as it does. So when waiting is 0 nobody waits, and when it is not, because a
//     waiter was killed, the byte tells.

import (
	"context"
	"errors"
	"sync"
)

// txLock is the state of a handle's X.
type txLock struct {
	turn chan struct{} // holds a token while the turn is taken

	mu      sync.Mutex
	pending *pendingTx // the goroutine that waits for X, nil: there is none
}

// pendingTx is a goroutine that waits for X. mu guards wanted.
type pendingTx struct {
	wanted bool
	done   chan struct{} // closed when err is set and X was taken, or let go again
	err    error
}

func (l *txLock) init() { l.turn = make(chan struct{}, 1) }

// LockTx waits for the turn to write, among all handles and the goroutines of this
// one, until ctx is done, whose cause it returns then. Turns come in no order.
func (s *Sidecar) LockTx(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case s.tx.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := s.lockX(ctx)
	if err != nil {
		<-s.tx.turn
	}
	return err
}

// TryLockTx takes the turn to write if it is free. It may say false for a moment
// after a LockTx of this handle gave up.
func (s *Sidecar) TryLockTx() (bool, error) {
	select {
	case s.tx.turn <- struct{}{}:
	default:
		return false, nil
	}
	ok, err := s.tryX()
	if !ok {
		<-s.tx.turn
	}
	return ok, err
}

// UnlockTx gives the turn to write away.
func (s *Sidecar) UnlockTx() error {
	err := s.locks.UnlockRange(byteX, 1)
	<-s.tx.turn
	return err
}

// OthersWait tells whether another handle waits in LockTx. Who has the turn to write
// and waits for nobody else asks it.
func (s *Sidecar) OthersWait() bool {
	var waiting uint64
	if s.Guard(func() { waiting = s.head.waiting.Load() }) && waiting == 0 {
		return false
	}
	_, held, err := s.fileLocks.RangeHeld(byteQueue, 1, true)
	return held || err != nil
}

// tryX takes X if it is free. It needs the turn.
func (s *Sidecar) tryX() (bool, error) {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if s.tx.pending != nil {
		return false, nil // T3
	}
	return s.locks.TryLockRange(byteX, 1, true)
}

// lockX waits for X. It needs the turn.
func (s *Sidecar) lockX(ctx context.Context) error {
	if ok, err := s.tryX(); ok || err != nil {
		return err
	}
	if _, err := s.fileLocks.TryLockRange(byteQueue, 1, false); err != nil {
		return err
	}
	if !s.Guard(func() { s.head.waiting.Add(1) }) {
		return errors.Join(s.Err(), s.fileLocks.UnlockRange(byteQueue, 1))
	}
	defer func() {
		s.Guard(func() { s.head.waiting.Add(^uint64(0)) })
		_ = s.fileLocks.UnlockRange(byteQueue, 1) // if it stays, others ask in vain
	}()
	p := s.want()
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return s.giveUpX(p, context.Cause(ctx))
	}
}

// want returns the goroutine that waits for X, which is told that it is for us.
func (s *Sidecar) want() *pendingTx {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if s.tx.pending == nil {
		s.tx.pending = &pendingTx{done: make(chan struct{})}
		go s.waitForX(s.tx.pending)
	}
	s.tx.pending.wanted = true
	return s.tx.pending
}

// waitForX is that goroutine.
func (s *Sidecar) waitForX(p *pendingTx) {
	p.err = s.locks.LockRange(byteX, 1, true)
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if p.err == nil && !p.wanted {
		// An error means that the handle was closed, and X with it.
		_ = s.locks.UnlockRange(byteX, 1)
	}
	s.tx.pending = nil
	close(p.done)
}

// giveUpX tells the goroutine that it waits for nobody, or lets go what it got.
func (s *Sidecar) giveUpX(p *pendingTx, cause error) error {
	s.tx.mu.Lock()
	defer s.tx.mu.Unlock()
	if s.tx.pending == p {
		p.wanted = false
		return cause
	}
	if p.err != nil {
		return p.err
	}
	return errors.Join(cause, s.locks.UnlockRange(byteX, 1))
}

// close lets X go if this handle has it.
func (l *txLock) close(s *Sidecar) error { return s.locks.UnlockRange(byteX, 1) }
