package sidecar

// This file is responsible for attaching: that all who have a database open use one
// sidecar, that exactly one of them finds it new, and that nobody writes into a file
// that is not theirs.
//
// A life of a sidecar has a nonce, a random number. Everybody who is attached has a
// shared lock on the byte of the data file that stands for it. Attaching and
// detaching happen under the mutex, a lock of the sidecar itself.
//
// A1  Under the mutex, who attaches makes sure that the path still names the sidecar
//     it has opened; if not it starts over. So it does that the path names the data
//     file, for it would spoil the sidecar of the file that is there now.
// A2  If nobody has a nonce locked, nobody is attached: what the sidecar holds is of
//     the dead. It is begun anew, page 0 first: a new nonce, the identities, and
//     ready 0; the rest is zeros. Who does that is First, and keeps the mutex until
//     Ready.
// A3  If a nonce is locked, and is the sidecar's, and the sidecar's identities are
//     those of the data file and of itself, they belong together: it joins, by a
//     lock on the same byte. Otherwise the sidecar in use is another one, which
//     cannot be found: ErrReplaced.
// A4  After it has taken the lock, who attaches makes sure that no other nonce is
//     locked. Of two with different nonces at least one sees the other, because both
//     look after they have locked. So all who are attached have the same nonce, and
//     as a First makes up its own, there is one First at a time.
// A5  A sidecar of another data file, when nobody has ours open, may still be in use
//     by those who have that file open under no name, or another. It is left to them:
//     only its name is removed. So is one of another version, in case.
// A6  If a sidecar is of our data file (A2), its users have the data file open, and
//     so its inode is not another file's; they would have a nonce locked.
// A7  Names of a sidecar are removed only by who has its mutex and has looked at the
//     name under it, so nobody removes the name of another sidecar.
// A8  A process can die anywhere, and its locks then go in any order. A First that
//     died leaves ready 0: who finds its nonce still locked waits for the kernel to
//     finish. Who has joined makes sure that another one is still there, and if not
//     starts over, as First perhaps. One that dies later is like any that dies.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"

	"github.com/foliodb/folio/internal/vfs"
)

// Open attaches to the sidecar of data, a file of vfs.OS which was opened at path, a
// path without symbolic links. A Writer or SharedWriter waits for other writers, and
// for static readers, first. The handle must be open for writing if it is a
// Writer's, or is to use LockTx. It has the locks: Close comes before data is closed.
//
// If the result is First, others wait in Open until Ready or Close is called. The
// errors are ErrUnavailable, ErrReplaced, ErrVersion, what Wait returns, and
// those of the file system.
//
// A handle serves one Sidecar in its life: its locks are the handle's, and a LockTx
// that gave up can leave one behind until data is closed.
func Open(data vfs.File, path string, o Options) (*Sidecar, error) {
	locks, err := dataLocks(data)
	if err != nil {
		return nil, err
	}
	s := &Sidecar{
		data: data, locks: locks, path: path, name: path + "-lock",
		role: o.Role, mode: o.mode(), owner: rand.Uint64(), onFault: o.OnFault,
		own: make([]bool, maxBlocks),
	}
	s.tx.init()
	if s.id, err = fileID(data); err != nil {
		return nil, err
	}
	wait := waiter(o.Wait)
	if err := s.lockRole(wait); err != nil {
		return nil, err
	}
	if err := s.attach(wait); err != nil {
		// What Wait has returned is the caller's, who compares it perhaps.
		if unlockErr := s.unlockRole(); unlockErr != nil {
			err = errors.Join(err, unlockErr)
		}
		return nil, err
	}
	// Others may look at the mapping at the moment of Close, and afterwards: Close
	// vacates it, and here it goes when nobody can.
	runtime.AddCleanup(s, func(m vfs.Mapping) { _ = m.Close() }, s.mapping)
	return s, nil
}

// step is what an attempt to attach leads to.
type step int

const (
	attached  step = iota
	startOver      // at once: what was in the way is gone
	waitFirst      // somebody else has to get on
)

// atOnce is how often to start over without a wait. It takes one or two, unless
// somebody keeps taking the file away, or the file system makes up inodes.
const atOnce = 20

func (s *Sidecar) attach(wait func() error) error {
	for tries := 0; ; tries++ {
		next, err := s.attempt()
		if err != nil || next == attached {
			return err
		}
		if next == startOver && tries < atOnce {
			continue
		}
		if err := wait(); err != nil {
			return err
		}
	}
}

// attempt opens the file and attaches, or leaves nothing behind.
func (s *Sidecar) attempt() (next step, err error) {
	if s.file, err = vfs.OS().OpenFile(s.name, openFlags, s.mode); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	s.fileLocks = s.file.(vfs.RangeLocks)
	defer func() {
		if err == nil && next == attached {
			return
		}
		err = errors.Join(err, s.drop())
		if s.mapping != nil {
			err = errors.Join(err, s.mapping.Close())
		}
		s.mapping, s.first = nil, false
	}()
	ok, err := s.fileLocks.TryLockRange(byteMutex, 1, true)
	if err != nil || !ok {
		return waitFirst, err
	}
	s.mutexHeld = true
	if same, err := vfs.SameFile(s.file, s.name); err != nil || !same {
		return startOver, err
	}
	if same, err := vfs.SameFile(s.data, s.path); err != nil {
		return 0, err
	} else if !same {
		return 0, s.giveUp(fmt.Errorf("%s is not the file that was opened: %w", s.path, ErrReplaced))
	}
	return s.attachTo()
}

// attachTo decides what to do with the file, whose mutex it has.
func (s *Sidecar) attachTo() (step, error) {
	found, err := s.look()
	if err != nil {
		return 0, err
	}
	at, held, err := s.locks.RangeHeld(nonces, noncesEnd-nonces, true)
	switch {
	case err != nil:
		return 0, err
	case found.kind == notOurs, found.kind == otherVersion && held:
		return 0, fmt.Errorf("%s: %w", s.name, ErrVersion)
	case held && found.kind == known && found.data == s.id && found.nonceAt == at:
		return s.join(at, found.ready)
	case held:
		return s.mismatch(found)
	case found.kind == otherVersion, found.kind == known && found.data != s.id:
		return startOver, vfs.OS().Remove(s.name)
	}
	return s.begin()
}

// mismatch is what to do when a nonce is locked that is not the sidecar's. If the
// sidecar's is locked as well, the other one is of somebody who is just about to see
// that (A4).
func (s *Sidecar) mismatch(found contents) (step, error) {
	if found.kind == known && found.data == s.id && found.nonceAt != 0 {
		if _, held, err := s.locks.RangeHeld(found.nonceAt, 1, true); err != nil || held {
			return waitFirst, err
		}
	}
	return 0, s.giveUp(fmt.Errorf("%s: %w", s.name, ErrReplaced))
}

// giveUp removes a file that was created in vain, and returns err.
func (s *Sidecar) giveUp(err error) error {
	if size, sizeErr := s.file.Size(); sizeErr == nil && size == 0 {
		err = errors.Join(err, vfs.OS().Remove(s.name))
	}
	return err
}
