//go:build linux

package main

// This file is responsible for recordings: workers on a disk that logs.

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

// script is what is to happen in a recording.
type script struct {
	FS     disk.FileSystem
	Base   []byte // the disk at first
	Holds  uint64 // the transaction in the database on it
	Exists bool   // there is one
	Worker work.Config
	Kills  int         // of the worker, which is started again
	Fault  *disk.Fault // of the disk
	Drop   bool        // the disk ignores flushes
}

// recording is what has happened.
type recording struct {
	script
	Events []disk.Event
	fired  int // faults
	back   int // times that the database was opened in an older state (mayGoBack)
}

// sessionTime is how long a worker may take.
const sessionTime = 2 * time.Minute

func (l *lab) record(s script, rnd *rand.Rand) (r *recording, err error) {
	disk1 := disk.NewRecorder(s.Base)
	disk1.DropFlushes = s.Drop
	l.device.Set(disk1)
	if err := l.mount(s.FS); err != nil {
		return nil, err
	}
	defer func() {
		disk1.SetFault(nil)
		if unmountErr := l.unmount(); err == nil {
			err = unmountErr
		}
	}()
	disk1.SetFault(s.Fault)
	s.Worker.Path = filepath.Join(l.mnt, "db")
	w := &watch{script: &s, disk: disk1}
	w.tally.Add(work.Record{Kind: work.Synced, N: s.Holds})
	for kill := range s.Kills + 1 {
		if err := w.process(kill < s.Kills, rnd); err != nil {
			return &recording{script: s, Events: disk1.Events()}, err
		}
	}
	return &recording{script: s, Events: disk1.Events(), fired: disk1.Fired(), back: w.back}, nil
}

// watch follows the workers of a recording.
type watch struct {
	*script
	disk  *disk.Recorder
	tally work.Tally
	back  int
	mu    sync.Mutex
	err   error
}

// process is one worker, from its start to its end.
func (w *watch) process(kill bool, rnd *rand.Rand) error {
	p, err := work.Start(w.Worker, w.note)
	if err != nil {
		return err
	}
	limit := sessionTime
	if kill {
		limit = time.Duration(10+rnd.IntN(300)) * time.Millisecond
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
		p.Kill()
		if !kill {
			<-p.Done()
			return fmt.Errorf("the worker did not end within %v: %s", limit, p.Stderr())
		}
	}
	if err := p.Wait(); err != nil {
		if w.mayGoBack() && strings.Contains(err.Error(), syscall.EIO.Error()) {
			w.back++ // it could not read a meta page, and nothing else was left
			return nil
		}
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// note takes a report. What a worker finds when it opens the database must be all
// that was acknowledged: no power was cut. A disk with errors may have lost what was
// not durable.
func (w *watch) note(r work.Record) {
	w.disk.Mark(r)
	if r.Kind == work.Opened {
		least, _ := w.tally.AfterKill()
		if w.Fault != nil {
			least = w.tally.Durable()
		}
		switch {
		case r.N >= least:
		case w.mayGoBack():
			w.back++
		default:
			w.mu.Lock()
			w.err = fmt.Errorf("opened again it holds transaction %d; %d must be there", r.N, least)
			w.mu.Unlock()
		}
	}
	w.tally.Add(r)
}

// mayGoBack tells whether the database may be opened in an older state than the newest
// durable one: when a meta page cannot be read, the other one holds. That state need not
// be whole, if a commit was in flight when the power was cut: what it had freed was being
// written over. Then the file is damaged, and says so.
func (s *script) mayGoBack() bool { return s.Fault != nil && s.Fault.Target == disk.FailRead }

// relaxedSlack is how much longer than Options.FlushInterval a flush may take to come.
const relaxedSlack = 2 * time.Second

// bounds returns what the database must hold when the power is cut before event cut.
func (r *recording) bounds(cut int) (least, most uint64, exists bool) {
	least, exists = r.Holds, r.Exists
	var now time.Duration
	if cut > 0 {
		now = r.Events[cut-1].At
	}
	most = r.Holds
	openings := 0
	for i, e := range r.Events {
		if e.Kind != disk.Mark {
			continue
		}
		if e.Report.Kind == work.Opening {
			openings++
		}
		if e.Report.Kind == work.Begun {
			most = max(most, e.Report.N)
		}
		if i < cut {
			// A name that was made by who did not get further is durable with the first commit.
			exists = exists || e.Report.Kind == work.Opened && openings == 1
			if e.Report.Kind == work.Opened && r.mayGoBack() {
				least = min(least, e.Report.N)
			}
			if r.durable(e, now) {
				least = max(least, e.Report.N)
			}
		}
	}
	return least, most, exists
}

// durable tells whether what e reports must be on the disk at a time.
func (r *recording) durable(e disk.Event, now time.Duration) bool {
	switch e.Report.Kind {
	case work.Synced:
		return true
	case work.Seen: // full commits are seen when they are durable
		return r.Worker.Durability == "full"
	case work.Acked:
		switch e.Report.Durability {
		case folio.DurabilityFull:
			return true
		case folio.DurabilityRelaxed:
			return r.Kills == 0 && r.Fault == nil && now > e.At+r.Worker.Interval+relaxedSlack
		}
	}
	return false
}
