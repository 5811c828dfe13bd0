package folio

// This file is responsible for the writer lock: one write transaction at a time, in
// the order in which they came. It is no sync.Mutex because a waiter can give up,
// because it must be handed over in order (the order of the lock is the order of
// the commits, and nobody starves), and because a goroutine that has to write out
// the transactions which wait for it goes first.

import (
	"context"
	"sync"
)

// writerLock is a lock with a queue. The zero value is free.
type writerLock struct {
	mu    sync.Mutex
	held  bool
	first chan struct{}   // who writes a group out (pipeline.go), nil: nobody waits to
	queue []chan struct{} // transactions
}

// tryLock takes the lock if it is free.
func (l *writerLock) tryLock() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held {
		return false
	}
	l.held = true
	return true
}

// lock waits for the lock until ctx is done.
func (l *writerLock) lock(ctx context.Context) error {
	l.mu.Lock()
	if !l.held {
		l.held = true
		l.mu.Unlock()
		return nil
	}
	turn := make(chan struct{}, 1)
	l.queue = append(l.queue, turn)
	l.mu.Unlock()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	l.mu.Lock()
	for i, c := range l.queue {
		if c == turn {
			l.queue = append(l.queue[:i:i], l.queue[i+1:]...)
			l.mu.Unlock()
			return context.Cause(ctx)
		}
	}
	l.mu.Unlock()
	// It was handed to us at the same moment.
	<-turn
	l.unlock()
	return context.Cause(ctx)
}

// lockFirst waits for the lock before all others, or until it is not needed any more,
// and tells whether it has the lock. Only one goroutine at a time may need it here; one
// that does not any more, and has yet to notice, can lose its place to the next.
func (l *writerLock) lockFirst(unneeded <-chan signal) bool {
	l.mu.Lock()
	if !l.held {
		l.held = true
		l.mu.Unlock()
		return true
	}
	turn := make(chan struct{}, 1)
	l.first = turn
	l.mu.Unlock()
	select {
	case <-turn:
		return true
	case <-unneeded:
	}
	l.mu.Lock()
	if l.first == turn {
		l.first = nil
	}
	handed := len(turn) > 0 // at the same moment
	l.mu.Unlock()
	if handed {
		l.unlock()
	}
	return false
}

// unlock hands the lock to the next in line.
func (l *writerLock) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.first != nil:
		l.first <- struct{}{}
		l.first = nil
	case len(l.queue) > 0:
		l.queue[0] <- struct{}{}
		l.queue[0] = nil
		l.queue = l.queue[1:]
	default:
		l.held = false
	}
}
