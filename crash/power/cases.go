//go:build linux

package main

// This file is responsible for what is tried: file systems, and what happens on them.

import (
	"math/rand/v2"

	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

// testCase is a kind of session.
type testCase struct {
	name    string
	fs      string
	options string
	killed  bool        // the worker is killed and started again before the power is cut
	deep    bool        // a state is recorded again, and the power is cut again
	fault   disk.Target // that is bad, at last
	full    bool        // the disk is full now and then
}

var testCases = []testCase{
	{name: "ext4", fs: "ext4"},
	{name: "xfs", fs: "xfs"},
	{name: "ext4, killed before", fs: "ext4", killed: true},
	{name: "xfs, killed before", fs: "xfs", killed: true},
	{name: "ext4, cut twice", fs: "ext4", deep: true},
	{name: "xfs, cut twice", fs: "xfs", deep: true},
	{name: "ext4 data=writeback", fs: "ext4", options: "data=writeback"},
	{name: "ext4 nodelalloc", fs: "ext4", options: "nodelalloc", killed: true},
	{name: "ext4, full disk", fs: "ext4", full: true},
	{name: "xfs, full disk", fs: "xfs", full: true},
	{name: "ext4, data cannot be written", fs: "ext4", fault: disk.FailData},
	{name: "ext4, the journal cannot be written", fs: "ext4", fault: disk.FailJournal},
	{name: "ext4, flushes fail", fs: "ext4", fault: disk.FailFlush},
	{name: "xfs, data cannot be written", fs: "xfs", fault: disk.FailData},
	{name: "xfs, the log cannot be written", fs: "xfs", fault: disk.FailJournal},
	{name: "xfs, flushes fail", fs: "xfs", fault: disk.FailFlush},
	{name: "ext4, reads fail after a cut", fs: "ext4", deep: true, fault: disk.FailRead},
	{name: "xfs, reads fail after a cut", fs: "xfs", deep: true, fault: disk.FailRead},
	{name: "ext4, data cannot be written after a cut", fs: "ext4", deep: true, fault: disk.FailData},
	{name: "xfs, flushes fail after a cut", fs: "xfs", deep: true, fault: disk.FailFlush},
}

// script returns a session of the case. bases has the file systems, empty.
func (c testCase) script(bases map[string][]byte, rnd *rand.Rand) script {
	w := work.RandomConfig(rnd)
	w.Large, w.Txs, w.Readers = 60<<10, 40+rnd.IntN(120), rnd.IntN(2)
	s := script{
		FS:   disk.FileSystem{Name: c.fs, Size: diskSize, Options: c.options},
		Base: bases[c.fs],
	}
	if c.killed {
		s.Kills = 1 + rnd.IntN(3)
	}
	if c.deep {
		w.Txs = 20 + rnd.IntN(30)
	}
	s.Worker = w
	if c.fault != "" && !c.deep {
		c.addFault(&s, rnd)
	}
	return s
}

// addFault makes the disk of s one that fails, and its worker one that goes on then.
func (c testCase) addFault(s *script, rnd *rand.Rand) {
	s.Worker.Tolerate, s.Worker.Reopen = true, 10+rnd.IntN(30)
	s.Fault = c.newFault(rnd)
	// When ext4 could not write to a new block, it may call what is written there later
	// durable and leave the block marked as never written, which then reads as zeroes
	// after a power cut. So what a worker commits on top is at the mercy of that.
	s.Worker.Once = c.fs == "ext4" && c.fault == disk.FailData
}

func (c testCase) newFault(rnd *rand.Rand) *disk.Fault {
	f := &disk.Fault{Target: c.fault, Nth: 1 + rnd.IntN(80), Count: 1}
	switch c.fault {
	case disk.FailRead, disk.FailJournal:
		f.Nth = 1 + rnd.IntN(10)
	}
	switch rnd.IntN(4) {
	case 0:
		f.Count = 1 + rnd.IntN(4)
	case 1:
		f.Count = 1 << 30 // for ever
	}
	return f
}
