package sidecar

// This file is responsible for letting others in, and for leaving.
//
// D1  Who leaves frees its slots, and then its blocks, and after that, under the
//     mutex, its nonce: nobody who could begin the file anew finds it still in use.
//     Before the blocks are anybody's it lets go of the mapping: a store that comes
//     too late does not reach the slots of the next owner.
// D2  If nobody has a nonce locked afterwards, the file's name is removed, if it is
//     still this file's (A7). Who has the file open already and waits for the mutex
//     sees that the name is gone, and makes a new one (A1).
// D3  Who does not get the mutex within a second (its holder may be stopped, or be a
//     First that takes long) leaves as one that is killed does: the file stays.

import (
	"errors"
	"time"

	"github.com/foliodb/folio/internal/vfs"
)

// closeTries is how many milliseconds Close waits for the mutex.
const closeTries = 1000

// First tells whether nobody else was attached when Open was called, so that nothing
// is published and all slots are free. Others wait in Open until Ready or Close.
func (s *Sidecar) First() bool { return s.first }

// Ready lets others in after the First has done what it had to. If this one is not
// the First it does nothing.
func (s *Sidecar) Ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.mutexHeld || s.closed {
		return nil
	}
	if !s.Guard(func() { s.head.ready.Store(1) }) {
		return s.Err()
	}
	return s.unlockMutex()
}

// Close lets go of all slots and locks, and removes the file if nobody else is
// attached. A First that has not called Ready leaves nothing behind: the next one is
// First. Calling it again does nothing.
func (s *Sidecar) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	s.Guard(s.freeBlocks) // H3
	var errs []error
	if m, ok := s.mapping.(vfs.Vacater); ok {
		errs = append(errs, m.Vacate())
	}
	errs = append(errs, s.unlockBlocks(), s.tx.close(s))
	locked, err := s.lockMutex()
	errs = append(errs, err, s.unlockNonce())
	if locked {
		errs = append(errs, s.removeLast())
	}
	return errors.Join(append(errs, s.unlockRole(), s.drop())...)
}

// lockMutex takes the mutex, if it is to be had in time.
func (s *Sidecar) lockMutex() (bool, error) {
	for range closeTries {
		if s.mutexHeld {
			break
		}
		ok, err := s.fileLocks.TryLockRange(byteMutex, 1, true)
		if err != nil {
			return false, err
		}
		if s.mutexHeld = ok; !ok {
			time.Sleep(time.Millisecond)
		}
	}
	return s.mutexHeld, nil
}

// removeLast removes the file's name if nobody is attached: D2. That it fails is no
// reason to fail: the next one uses the file.
func (s *Sidecar) removeLast() error {
	if _, held, err := s.locks.RangeHeld(nonces, noncesEnd-nonces, true); err != nil || held {
		return err
	}
	if same, err := vfs.SameFile(s.file, s.name); err == nil && same {
		_ = vfs.OS().Remove(s.name)
	}
	return nil
}
