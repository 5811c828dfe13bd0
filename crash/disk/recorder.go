//go:build linux

package disk

// This file is responsible for the log of a disk.

import (
	"sync"
	"syscall"
	"time"

	"github.com/foliodb/folio/crash/work"
)

// EventKind says what an event is.
type EventKind byte

// Kinds of events.
const (
	Write EventKind = iota
	Flush
	Mark   // a report of a worker
	Failed // a write that was answered with an error, and is not on the disk
)

// Event is something that happened to a disk.
type Event struct {
	Kind   EventKind
	Off    int64  // of a write, or one that failed
	Data   []byte // of the same
	Report work.Record
	At     time.Duration // since the recording began
}

// Recorder is a disk that logs.
type Recorder struct {
	// DropFlushes leaves the flushes out of the log, as if the disk had promised
	// what it has not done.
	DropFlushes bool

	mu     sync.Mutex
	live   []byte
	events []Event
	begun  time.Time
	fault  *Fault
	stall  chan struct{} // the next read of data waits for it
}

// NewRecorder returns a recorder of a disk that holds base.
func NewRecorder(base []byte) *Recorder {
	return &Recorder{live: append([]byte(nil), base...), begun: time.Now()}
}

// ReadAt is part of Backend.
func (r *Recorder) ReadAt(p []byte, off int64) error {
	r.mu.Lock()
	stall := r.stall
	r.stall = nil
	r.mu.Unlock()
	if stall != nil {
		<-stall
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault.hits(onRead, nil) {
		return syscall.EIO
	}
	copy(p, r.live[off:])
	return nil
}

// WriteAt is part of Backend.
func (r *Recorder) WriteAt(p []byte, off int64) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault.hits(onWrite, p) {
		r.log(Event{Kind: Failed, Off: off, Data: append([]byte(nil), p...)})
		return syscall.EIO
	}
	copy(r.live[off:], p)
	r.log(Event{Kind: Write, Off: off, Data: append([]byte(nil), p...)})
	return nil
}

// Flush is part of Backend.
func (r *Recorder) Flush() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault.hits(onFlush, nil) {
		return syscall.EIO
	}
	if !r.DropFlushes {
		r.log(Event{Kind: Flush})
	}
	return nil
}

// Mark logs a report of a worker.
func (r *Recorder) Mark(report work.Record) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.log(Event{Kind: Mark, Report: report})
}

func (r *Recorder) log(e Event) {
	e.At = time.Since(r.begun)
	r.events = append(r.events, e)
}

// Events returns what has been logged.
func (r *Recorder) Events() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[:len(r.events):len(r.events)]
}

// SetFault makes the disk fail from now on; nil: not any more.
func (r *Recorder) SetFault(f *Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Fired returns how often the disk has failed.
func (r *Recorder) Fired() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fault == nil {
		return 0
	}
	return r.fault.fired
}

// StallNextRead makes the next read wait until the channel is closed.
func (r *Recorder) StallNextRead(until chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stall = until
}

// Stalled tells whether a read has begun to wait.
func (r *Recorder) Stalled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stall == nil
}
