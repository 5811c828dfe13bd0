//go:build unix

package main

// This file is responsible for when a worker is killed.

import (
	"math/rand/v2"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/foliodb/folio/crash/work"
)

// plan says when: some time after the nth report of a kind, or after the start.
type plan struct {
	kind   work.Kind
	nth    int32
	after  time.Duration
	freeze time.Duration // stop the process for so long before, and let it go on
	frozen bool          // kill it while it is stopped
}

func newPlan(rnd *rand.Rand, closes bool) plan {
	micros := func(n int) time.Duration { return time.Duration(rnd.IntN(n)) * time.Microsecond }
	var p plan
	switch way := rnd.IntN(10); {
	case way == 0:
		p.after = micros(15_000)
	case way < 3:
		p.kind, p.nth, p.after = work.Opening, 1, micros(4000)
	case way < 5 && closes:
		p.kind, p.nth, p.after = work.Closing, 1+rnd.Int32N(2), micros(3000)
	case way < 7:
		p.kind, p.nth, p.after = work.Begun, 1+rnd.Int32N(30), micros(800)
	default:
		p.kind, p.nth, p.after = work.Acked, 1+rnd.Int32N(40), micros(3000)
	}
	if rnd.IntN(8) == 0 {
		p.freeze = micros(10_000)
		p.frozen = rnd.IntN(2) == 0
	}
	return p
}

// patience is how long a report may take to come; then the worker is killed without.
const patience = 5 * time.Second

// run starts a worker and kills it according to plan.
func (p plan) run(c work.Config, on func(work.Record)) (*work.Process, error) {
	due := make(chan struct{})
	var seen atomic.Int32
	if p.kind == 0 {
		close(due)
	}
	proc, err := work.Start(c, func(r work.Record) {
		on(r)
		if r.Kind == p.kind && seen.Add(1) == p.nth {
			close(due)
		}
	})
	if err != nil {
		return nil, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-due:
	case <-late.C:
	case <-proc.Done():
		return proc, nil // by itself; Wait says whether it may
	}
	time.Sleep(p.after)
	p.end(proc)
	return proc, nil
}

func (p plan) end(proc *work.Process) {
	if p.freeze > 0 {
		proc.Signal(syscall.SIGSTOP)
		time.Sleep(p.freeze)
		if !p.frozen {
			proc.Signal(syscall.SIGCONT)
			time.Sleep(p.freeze)
		}
	}
	proc.Kill()
}
