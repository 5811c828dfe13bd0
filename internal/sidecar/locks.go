package sidecar

// This file is responsible for the bytes that are locked, and for keeping writers
// apart from readers that nobody sees.
//
// Those of the data file are far behind anything it can hold:
//
//	W       who writes: exclusive if it is the only one (Writer), else shared
//	S       readers without a sidecar, shared: the file must not change
//	X       the write transaction, among SharedWriters
//	nonces  one byte stands for one life of a sidecar; see attach.go
//
// Those of the sidecar:
//
//	mutex   attaching and detaching
//	queue   shared by who waits in LockTx
//	blocks  the owner of a block of slots lives
//
// L1  A writer takes W, and then looks for S; a static reader takes S, and then
//     looks for W. Who sees the other lets its own lock go, and tries again later.
// L2  So they never both go on: the kernel puts the two takings in an order, and
//     the second looks after it, while the first still has its lock.
// L3  Nobody ever waits while it holds W or S without having looked, so there is no
//     deadlock; they can get in each other's way again and again only if both wait
//     for the same time again and again.

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/foliodb/folio/internal/vfs"
)

// Bytes of the data file.
const (
	lockBase  = 1 << 62
	byteW     = lockBase
	byteS     = lockBase + 1
	byteX     = lockBase + 2
	nonces    = lockBase + 1<<32
	noncesEnd = lockBase + 1<<61
	maxNonce  = 1 << 60
)

// Bytes of the sidecar.
const (
	byteMutex  = 0
	byteBlocks = 1 << 40
	byteQueue  = 1 << 41
)

// Supported returns why no file like data can have a sidecar on this system, or nil.
func Supported(data vfs.File) error {
	_, err := dataLocks(data)
	return err
}

// dataLocks returns data with the methods for locks.
func dataLocks(data vfs.File) (vfs.RangeLocks, error) {
	locks, ok := vfs.Innermost(data).(vfs.RangeLocks)
	if !ok || runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%w: locks between processes: %w", ErrUnavailable, errors.ErrUnsupported)
	}
	return locks, nil
}

// LockStatic makes sure that nobody writes to the file until data is closed, for a
// reader that cannot have a sidecar: other such readers go on, and so do those that
// only read by way of a sidecar. While there is a writer it calls wait, which sleeps
// or returns the error to give up with; nil is as in Options.
func LockStatic(data vfs.File, wait func() error) error {
	locks, err := dataLocks(data)
	if err != nil {
		return err
	}
	return lockAndLook(locks, byteS, false, byteW, waiter(wait))
}

// lockRole takes W for who writes.
func (s *Sidecar) lockRole(wait func() error) error {
	if !s.role.writes() {
		return nil
	}
	return lockAndLook(s.locks, byteW, s.role == Writer, byteS, wait)
}

// unlockRole lets W go, if it was taken.
func (s *Sidecar) unlockRole() error {
	if !s.role.writes() {
		return nil
	}
	return s.locks.UnlockRange(byteW, 1)
}

// lockAndLook locks a byte while nobody else has a lock on another one: L1.
func lockAndLook(locks vfs.RangeLocks, own int64, exclusive bool, other int64, wait func() error) error {
	for {
		ok, err := locks.TryLockRange(own, 1, exclusive)
		if err != nil {
			return err
		}
		if ok {
			_, held, err := locks.RangeHeld(other, 1, true)
			if err == nil && !held {
				return nil
			}
			if err = errors.Join(err, locks.UnlockRange(own, 1)); err != nil {
				return err
			}
		}
		if err := wait(); err != nil {
			return err
		}
	}
}

// OnlyWriter tells whether no other handle is a writer, at this instant.
func (s *Sidecar) OnlyWriter() (bool, error) {
	_, held, err := s.locks.RangeHeld(byteW, 1, true)
	return err == nil && !held, err
}
