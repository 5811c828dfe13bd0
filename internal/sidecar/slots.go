package sidecar

// This file is responsible for the slots: who has them, and when they are free.
//
// B1  A block belongs to the handle that has the lock on its byte. Claim takes the
//     lock, and writes the whole block by a system call, for that fails on a full
//     disk; only then is it used, and counted in header.blocks.
// B2  The writer publishes, then looks at blocks, and then at the slots. A reader's
//     block is counted, then its slot is stored, and then it looks at Seq. All are
//     sequentially consistent atomics, so either the writer sees the slot, or the
//     reader sees what was published.
// B3  A slot in a block whose lock is free is of a dead owner. Who finds one takes
//     the lock, frees the slots, and lets go: while it has the lock nobody can claim
//     the block. A new owner that came before the lock was tried has the lock.
// B4  Stores go to blocks that their owners have written. A block that is counted
//     but not written (a later one was written first) is a hole, which is read as
//     zeros, and so never stored to.
// B5  Within a handle the kernel's locks keep nobody apart: mu does.
// B6  Who enters no slot of its own, as one that alone writes, has a block only to be
//     seen. It is empty for as long as the lock is held, so its owner does not look at it.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
)

// Claim takes a block of free slots for this handle, until Close. Slots may be shared
// between goroutines. It returns ErrFull when there is none, and the file system's
// error when there is no room for it.
func (s *Sidecar) Claim() ([]Slot, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.claim()
	if err != nil {
		return nil, err
	}
	return s.block(i).slots[:], nil
}

// Show takes a block whose slots stay free, so that Processes lists this handle. It is
// called once, and its errors are those of Claim.
func (s *Sidecar) Show() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, err := s.claim()
	if err == nil {
		s.shown = i + 1
	}
	return err
}

// claim takes a block. It needs mu.
func (s *Sidecar) claim() (int, error) {
	for i := range s.own {
		if s.own[i] {
			continue
		}
		ok, err := s.fileLocks.TryLockRange(byteBlocks+int64(i), 1, true)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		if err := s.writeBlock(i); err != nil {
			return 0, errors.Join(err, s.unlockBlock(i))
		}
		if !s.Guard(func() { s.countBlock(i) }) {
			return 0, errors.Join(s.Err(), s.unlockBlock(i))
		}
		s.own[i] = true
		return i, nil
	}
	return 0, fmt.Errorf("%s: %w", s.name, ErrFull)
}

// writeBlock writes a block with all slots free.
func (s *Sidecar) writeBlock(i int) error {
	b := make([]byte, pageSize)
	for j, w := range []uint64{uint64(os.Getpid()), uint64(time.Now().UnixNano()), uint64(s.role), s.owner, pidSpace()} {
		binary.NativeEndian.PutUint64(b[8*j:], w)
	}
	_, err := s.file.WriteAt(b, blocksOff+int64(i)*pageSize)
	return err
}

// countBlock makes sure that the block is among those that are looked at.
func (s *Sidecar) countBlock(i int) {
	for {
		n := s.head.blocks.Load()
		if n > uint64(i) || s.head.blocks.CompareAndSwap(n, uint64(i)+1) {
			return
		}
	}
}

func (s *Sidecar) unlockBlock(i int) error {
	return s.fileLocks.UnlockRange(byteBlocks+int64(i), 1)
}

// blocks is how many blocks there are to look at. Who counts one has written it before;
// so if the file is shorter, somebody has spoilt the number, and to believe it would be
// a fault.
func (s *Sidecar) blocks() int {
	n := min(s.head.blocks.Load(), maxBlocks)
	if n > s.written.Load() {
		if size, err := s.file.Size(); err == nil {
			s.written.Store(uint64(max(0, size-blocksOff)) / pageSize)
		}
	}
	return int(min(n, s.written.Load()))
}

// freeBlocks frees all slots of this handle.
func (s *Sidecar) freeBlocks() {
	for i, own := range s.own {
		if own {
			s.block(i).free()
		}
	}
}

// unlockBlocks gives the blocks of this handle away.
func (s *Sidecar) unlockBlocks() error {
	var errs []error
	for i, own := range s.own {
		if own {
			errs = append(errs, s.unlockBlock(i))
			s.own[i] = false
		}
	}
	return errors.Join(errs...)
}

// free frees all slots of a block. It stores only where there is something: B4.
func (b *block) free() {
	for i := range b.slots {
		if s := &b.slots[i]; s.TxID.Load() != 0 {
			s.TxID.Store(0)
		}
	}
	if b.pid.Load() != 0 {
		b.pid.Store(0)
	}
}

// Live returns the txids in the slots of living owners, this handle's included, in no
// order, each as often as it is there. Slots of dead owners are freed. After a fault
// some can be missing (H2).
func (s *Sidecar) Live() (live []uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Guard(func() { live = s.live() })
	return live
}

func (s *Sidecar) live() (live []uint64) {
	for i := range s.blocks() {
		if i+1 == s.shown {
			continue // B6
		}
		b, before := s.block(i), len(live)
		for j := range b.slots {
			if id := b.slots[j].TxID.Load(); id != 0 {
				live = append(live, id)
			}
		}
		if len(live) > before && !s.own[i] && s.reap(i) {
			live = live[:before]
		}
	}
	return live
}

// reap frees the slots of a block if its owner is dead: B3. If the system does not
// say, it is not. It needs mu.
func (s *Sidecar) reap(i int) bool {
	ok, err := s.fileLocks.TryLockRange(byteBlocks+int64(i), 1, true)
	if err != nil || !ok {
		return false
	}
	s.block(i).free()
	_ = s.unlockBlock(i)
	return true
}

// Retain notes in all slots with the txid how much cannot be reused because of it.
func (s *Sidecar) Retain(txid uint64, bytes uint64) {
	s.Guard(func() { s.retain(txid, bytes) })
}

func (s *Sidecar) retain(txid uint64, bytes uint64) {
	for i := range s.blocks() {
		b := s.block(i)
		for j := range b.slots {
			if b.slots[j].TxID.Load() == txid {
				b.slots[j].Retained.Store(bytes)
			}
		}
	}
}
