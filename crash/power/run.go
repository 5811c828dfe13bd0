//go:build linux

package main

// This file is responsible for the sessions of a run.

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"time"

	"github.com/foliodb/folio/crash/disk"
)

// tally is what a case has come to.
type tally struct {
	sessions, states, events, transactions, fired, back int
	recording, exploring                                time.Duration
}

func (t *tally) add(o tally) {
	t.sessions += o.sessions
	t.states += o.states
	t.events += o.events
	t.transactions += o.transactions
	t.fired += o.fired
	t.back += o.back
	t.recording += o.recording
	t.exploring += o.exploring
}

func (t tally) String() string {
	var back string
	if t.back > 0 {
		back = fmt.Sprintf(" with %d times an older state,", t.back)
	}
	return fmt.Sprintf("%d recordings (%d transactions, %d writes, flushes and reports, %d errors of the disk,%s %.0f s), %d states, %.0f a second",
		t.sessions, t.transactions, t.events, t.fired, back, t.recording.Seconds(), t.states,
		float64(t.states)/max(t.exploring.Seconds(), 0.001))
}

// cases returns the cases that are wanted and possible, and makes their file systems.
func (r *run) cases(l *lab) (cases []testCase, bases map[string][]byte, err error) {
	only, err := regexp.Compile(r.only)
	if err != nil {
		return nil, nil, err
	}
	bases = make(map[string][]byte)
	for _, name := range []string{"ext4", "xfs"} {
		fs := disk.FileSystem{Name: name, Size: diskSize}
		if err := fs.Missing(); err != nil {
			fmt.Printf("SKIPPED: %s: %v\n", name, err)
			continue
		}
		if bases[name], err = fs.Make(l.dir); err != nil {
			return nil, nil, err
		}
	}
	for _, c := range testCases {
		if bases[c.fs] != nil && only.MatchString(c.name) {
			cases = append(cases, c)
		}
	}
	return cases, bases, nil
}

// all runs the controls and the sessions, each of the next case.
func (r *run) all(l *lab) error {
	cases, bases, err := r.cases(l)
	if err != nil || len(cases) == 0 {
		return err
	}
	if !r.skip {
		if err := r.controls(l, bases); err != nil {
			return err
		}
		if err := r.stall(l, bases); err != nil {
			return err
		}
	}
	fmt.Printf("seed %d: %d recordings, %d states of each\n", r.seed, r.sessions, r.states)
	var total tally
	of := make([]tally, len(cases))
	for i := r.first; i < r.first+r.sessions && !r.interrupted.Load() && err == nil; i++ {
		c := cases[i%len(cases)]
		rnd := rand.New(rand.NewPCG(r.seed, uint64(i)))
		var t tally
		if t, err = r.session(l, c, c.script(bases, rnd), r.states, rnd); err != nil {
			err = fmt.Errorf("session %d (-seed %d -session %d -sessions 1 -only %q), %s: %w", i, r.seed, i, r.only, c.name, err)
		}
		of[i%len(cases)].add(t)
		total.add(t)
	}
	for i, c := range cases {
		if of[i].sessions > 0 {
			fmt.Printf("  %-36s %v\n", c.name, of[i])
		}
	}
	fmt.Println(total)
	return err
}

// session records once, and tries a number of states of it.
func (r *run) session(l *lab, c testCase, s script, states int, rnd *rand.Rand) (t tally, err error) {
	if c.full {
		s.Worker.Ballast = filepath.Join(l.mnt, "ballast")
	}
	begun := time.Now()
	rec, err := l.record(s, rnd)
	t = tally{sessions: 1, recording: time.Since(begun)}
	if err != nil {
		return t, r.keep(rec, 0, nil, err)
	}
	t.events, t.fired, t.back = len(rec.Events), rec.fired, rec.back
	_, most, _ := rec.bounds(0)
	t.transactions = int(most - s.Holds)
	begun = time.Now()
	x := l.newExploration(rec, rnd.Uint64())
	if c.deep {
		states = max(1, states/deepStates)
	}
	var deeper tally
	for state, cut := range rec.cuts(states, rnd) {
		if r.interrupted.Load() {
			break
		}
		if err := x.try(state, cut, c.deep); err != nil {
			return t, r.keep(rec, x.seed, err, nil)
		}
		if c.deep && x.found.Exists {
			inner, err := r.again(l, c, x, rnd)
			deeper.add(inner)
			if err != nil {
				return t, fmt.Errorf("in a state of a state: %w", err)
			}
		}
	}
	t.states = x.tried
	t.exploring = time.Since(begun) - deeper.recording - deeper.exploring
	t.add(deeper)
	return t, nil
}

// deepStates is how many states of a state are tried; the number of states whose
// states are tried is smaller by that.
const deepStates = 20

// again records the state that was tried last, in which the file system and the
// database recover, and cuts the power again.
func (r *run) again(l *lab, c testCase, x *exploration, rnd *rand.Rand) (tally, error) {
	s := x.rec.script
	s.Base, s.Holds, s.Exists = x.before, x.found.N, true
	s.Worker.Txs = 5 + rnd.IntN(20)
	s.Kills = rnd.IntN(2)
	if c.fault != "" {
		c.addFault(&s, rnd)
	}
	return r.session(l, testCase{}, s, deepStates, rnd)
}
