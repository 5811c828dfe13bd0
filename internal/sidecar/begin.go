package sidecar

// This file is responsible for the two ways to be attached, and for undoing an
// attempt.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/foliodb/folio/internal/vfs"
)

// begin makes the file new: A2. That the bytes are written, and overwritten in place,
// is what keeps a full disk an error here instead of a fault at some store through
// the mapping. The first block is among them: who has got here can claim it.
func (s *Sidecar) begin() (step, error) {
	own, err := fileID(s.file)
	if err != nil {
		return 0, err
	}
	l := label{Mark: mark, Nonce: rand.Uint64N(maxNonce), Data: s.id, Own: own}
	b := make([]byte, blocksOff+pageSize)
	if _, err := binary.Encode(b, binary.NativeEndian, l); err != nil {
		return 0, err
	}
	s.giveToOwner()
	vfs.OverwriteInPlace(s.file)
	if _, err := s.file.WriteAt(b, 0); err != nil {
		// Nobody is attached, and the next one may find room.
		if vfs.IsNoSpace(err) {
			err = fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return 0, errors.Join(err, vfs.OS().Remove(s.name))
	}
	if ok, err := s.lockNonce(nonces + int64(l.Nonce)); err != nil || !ok {
		return waitFirst, err
	}
	s.first = true
	return attached, s.mapFile()
}

// join attaches to a file that others use, with the nonce at a byte: A3.
func (s *Sidecar) join(at int64, ready bool) (step, error) {
	if !ready {
		return waitFirst, nil // A8
	}
	if ok, err := s.lockNonce(at); err != nil || !ok {
		return waitFirst, err
	}
	if _, others, err := s.locks.RangeHeld(at, 1, true); err != nil || !others {
		return startOver, err
	}
	if err := s.mapFile(); err != nil {
		return 0, err
	}
	return attached, s.unlockMutex()
}

// lockNonce takes the lock on a nonce's byte, and tells whether no other one is
// locked: A4.
func (s *Sidecar) lockNonce(at int64) (ok bool, err error) {
	if ok, err = s.locks.TryLockRange(at, 1, false); err != nil || !ok {
		return false, err
	}
	s.nonceAt = at
	for _, r := range [2][2]int64{{nonces, at}, {at + 1, noncesEnd}} {
		if r[0] == r[1] {
			continue
		}
		if _, held, err := s.locks.RangeHeld(r[0], r[1]-r[0], true); err != nil || held {
			return false, err
		}
	}
	return true, nil
}

// mapFile maps what the file can grow to; what is behind its end is not touched.
func (s *Sidecar) mapFile() (err error) {
	if s.mapping, err = s.file.MapWritable(mapLength); err != nil {
		return err
	}
	s.bytes = s.mapping.Bytes()
	s.head = overlay[header](s.bytes, 0)
	s.ring = overlay[[ringEntries]ringEntry](s.bytes, ringOff)
	return nil
}

// drop undoes an attempt, or ends an attachment. The locks are let go one by one,
// the mutex last: a process that is being started at this instant can have copies of
// the handles, which keep locks alive for a moment after Close.
func (s *Sidecar) drop() error {
	errs := []error{s.unlockNonce()}
	if s.mutexHeld {
		errs = append(errs, s.unlockMutex())
	}
	return errors.Join(append(errs, s.file.Close())...)
}

func (s *Sidecar) unlockNonce() error {
	if s.nonceAt == 0 {
		return nil
	}
	at := s.nonceAt
	s.nonceAt = 0
	return s.locks.UnlockRange(at, 1)
}

func (s *Sidecar) unlockMutex() error {
	s.mutexHeld = false
	return s.fileLocks.UnlockRange(byteMutex, 1)
}
