//go:build linux

package main

// This file is responsible for what the processes know of each other beside the
// database: two numbers in shared memory, and a log of each process, whose records
// are written by one call, so that they are there after a kill.

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// board is in memory that all processes share.
type board struct {
	acked atomic.Uint64 // no snapshot that begins now is older
	seen  atomic.Uint64 // nor than this
	stop  atomic.Uint64 // not 0: processes end
	reads atomic.Uint64 // snapshots that were certified
	holds atomic.Uint64 // of them, those that were certified again later
	late  atomic.Uint64 // transactions that gave up waiting
	stale atomic.Uint64 // openings that gave up waiting
	txs   atomic.Uint64 // transactions acknowledged
}

func boardPath(dir string) string { return filepath.Join(dir, "board") }

// openBoard maps the board of a run. It stays mapped.
func openBoard(dir string) (*board, error) {
	f, err := os.OpenFile(boardPath(dir), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := f.Truncate(4096); err != nil {
		return nil, err
	}
	b, err := unix.Mmap(int(f.Fd()), 0, 4096, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*board)(unsafe.Pointer(unsafe.SliceData(b))), nil
}

func raise(v *atomic.Uint64, n uint64) {
	for old := v.Load(); n > old && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

// floor is the least number that a snapshot can have which begins now.
func (b *board) floor() uint64 { return max(b.acked.Load(), b.seen.Load()) }

// Kinds of records.
const (
	begun = 'B' // a transaction is about to be committed
	acked = 'A' // its commit has returned
	saw   = 'S' // a snapshot shows it
)

const recordSize = 17

// journal is the log of a process.
type journal struct{ f *os.File }

func openJournal(dir, name string) (journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, "log-"+name), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	return journal{f}, err
}

func (j journal) note(kind byte, s stamp) {
	if _, err := j.f.Write(append([]byte{kind}, s.bytes()...)); err != nil {
		panic(err)
	}
}

// history is what all logs say.
type history struct {
	ids    map[uint64]uint64 // of transactions that were acknowledged or seen
	acked  map[uint64]string // by whom
	begun  map[stamp]bool
	doubts uint64
}

func readHistory(dir string) (*history, error) {
	h := &history{ids: map[uint64]uint64{}, acked: map[uint64]string{}, begun: map[stamp]bool{}}
	logs, err := filepath.Glob(filepath.Join(dir, "log-*"))
	if err != nil {
		return nil, err
	}
	for _, name := range logs {
		b, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		for ; len(b) >= recordSize; b = b[recordSize:] {
			s := stamp{binary.BigEndian.Uint64(b[1:]), binary.BigEndian.Uint64(b[9:])}
			if err := h.add(b[0], s, filepath.Base(name)); err != nil {
				return nil, err
			}
		}
	}
	return h, nil
}

func (h *history) add(kind byte, s stamp, who string) error {
	if kind == begun {
		h.begun[s] = true
		return nil
	}
	if id, ok := h.ids[s.n]; ok && id != s.id {
		return fmt.Errorf("%s: there were two transactions %d", who, s.n)
	}
	h.ids[s.n] = s.id
	if kind == acked {
		if other := h.acked[s.n]; other != "" {
			return fmt.Errorf("transaction %d was acknowledged to %s and to %s", s.n, other, who)
		}
		h.acked[s.n] = who
	}
	return nil
}

// verify compares the logs with a database whose newest transaction is last.
func (h *history) verify(last stamp) error {
	for n := range h.ids {
		if n > last.n {
			return fmt.Errorf("transaction %d is lost: the newest is %d", n, last.n)
		}
	}
	if id, ok := h.ids[last.n]; ok && id != last.id {
		return fmt.Errorf("the newest transaction %d is not the one that was acknowledged or seen", last.n)
	}
	for s := range h.begun {
		if h.acked[s.n] == "" && (h.ids[s.n] == s.id || h.ids[s.n] == 0) {
			h.doubts++ // some of them of the same number
		}
	}
	for n := uint64(1); n <= last.n; n++ {
		if h.acked[n] == "" && !h.tried(n) {
			return fmt.Errorf("nobody has made transaction %d", n)
		}
	}
	return nil
}

// tried tells whether somebody was about to commit a transaction n.
func (h *history) tried(n uint64) bool {
	if id, ok := h.ids[n]; ok {
		return h.begun[stamp{n, id}]
	}
	for s := range h.begun {
		if s.n == n {
			return true
		}
	}
	return false
}
