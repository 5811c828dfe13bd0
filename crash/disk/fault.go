//go:build linux

package disk

// This file is responsible for disks that fail.

import (
	"bytes"
	"fmt"
)

type operation int

const (
	onRead operation = iota
	onWrite
	onFlush
)

// Target is what fails.
type Target string

// Targets.
const (
	FailData    Target = "data"    // writes that are none of the journal
	FailJournal Target = "journal" // writes of the journal, or the log of xfs
	FailFlush   Target = "flush"
	FailRead    Target = "read"
)

// Targets are all of them.
var Targets = []Target{FailData, FailJournal, FailFlush, FailRead}

// Fault is an error of a disk: the nth operation of a kind fails, and Count-1 that
// follow.
type Fault struct {
	Target     Target
	Nth, Count int
	seen       int
	fired      int
}

func (f *Fault) String() string { return fmt.Sprintf("%s %d, %d times", f.Target, f.Nth, f.Count) }

// Beginnings of blocks of journals.
var (
	jbd2Magic   = []byte{0xc0, 0x3b, 0x39, 0x98}
	xfsLogMagic = []byte{0xfe, 0xed, 0xba, 0xbe}
)

func (f *Fault) applies(op operation, data []byte) bool {
	journal := bytes.HasPrefix(data, jbd2Magic) || bytes.HasPrefix(data, xfsLogMagic)
	switch f.Target {
	case FailData:
		return op == onWrite && !journal
	case FailJournal:
		return op == onWrite && journal
	case FailFlush:
		return op == onFlush
	}
	return op == onRead
}

// hits tells whether an operation fails.
func (f *Fault) hits(op operation, data []byte) bool {
	if f == nil || !f.applies(op, data) {
		return false
	}
	f.seen++
	if f.seen < f.Nth || f.seen >= f.Nth+f.Count {
		return false
	}
	f.fired++
	return true
}
