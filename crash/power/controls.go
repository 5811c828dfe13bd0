//go:build linux

package main

// This file is responsible for the negative controls: workers and disks that do
// something wrong. If that is not found, the tests find nothing.

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

var controls = []struct {
	name    string
	options string // of the mount
	drop    bool   // the disk ignores flushes
	lose    bool   // the disk loses writes that were flushed
	lie     string // of the worker
}{
	{name: "commits without a flush that are said to be durable", lie: work.LieDurability},
	{name: "a file system that does not flush (barrier=0)", options: "barrier=0"},
	{name: "a disk that ignores flushes", drop: true},
	{name: "a disk that loses a write after a flush", lose: true},
	{name: "transactions that are not whole", lie: work.LieHalf},
}

// controlStates is how many states a control may take.
const controlStates = 400

func (r *run) controls(l *lab, bases map[string][]byte) error {
	if bases["ext4"] == nil {
		return nil
	}
	for i, c := range controls {
		rnd := rand.New(rand.NewPCG(r.seed, 1<<32+uint64(i)))
		s := testCase{fs: "ext4", options: c.options}.script(bases, rnd)
		s.Worker.Durability, s.Worker.Txs, s.Worker.Readers, s.Worker.Lie = "full", 100, 0, c.lie
		s.Drop = c.drop
		tried, err := r.control(l, s, c.lose, rnd)
		switch {
		case r.interrupted.Load():
			return nil
		case err == nil:
			return fmt.Errorf("control: %s: not found in %d states", c.name, tried)
		}
		var w *wrongState
		if !errors.As(err, &w) {
			err = fmt.Errorf("while recording: %w", err)
		}
		fmt.Printf("control: %s: found after %d states: %.150s\n", c.name, tried, err)
	}
	return nil
}

// control records and tries states until something is found.
func (r *run) control(l *lab, s script, lose bool, rnd *rand.Rand) (tried int, err error) {
	rec, err := l.record(s, rnd)
	if err != nil {
		return 0, err
	}
	for tried < controlStates && !r.interrupted.Load() {
		x := l.newExploration(rec, rnd.Uint64())
		x.cutter = disk.NewCutter(rec.Base, rec.Events)
		x.cutter.LoseWrite = lose
		order := rec.cuts(20, rnd)
		for state, cut := range order {
			tried++
			if err := x.try(state, cut, false); err != nil {
				return tried, err
			}
		}
	}
	return tried, nil
}
