package work

// This file is responsible for worker processes as seen by the one that starts them.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"

	"github.com/foliodb/folio"
)

// Command is the first argument that makes a program of the crash tests a worker:
// Main must be called with those behind it.
const Command = "worker"

// Process is a worker process.
type Process struct {
	Stdin  io.WriteCloser
	cmd    *exec.Cmd
	stderr bytes.Buffer
	done   chan struct{} // closed when it has ended, and all of its reports are read
	err    error
	killed bool
}

// Start starts a worker, and calls on, in another goroutine, for all that it reports.
func Start(c Config, on func(Record)) (*Process, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	reports, theirs, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p := &Process{done: make(chan struct{})}
	p.cmd = exec.Command(self, append([]string{Command}, c.Args()...)...)
	p.cmd.Stderr = &p.stderr
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.Stdin, err = p.cmd.StdinPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	_ = theirs.Close()
	if err != nil {
		_ = reports.Close()
		return nil, err
	}
	go p.collect(reports, on)
	return p, nil
}

func (p *Process) collect(reports *os.File, on func(Record)) {
	for {
		r, err := ReadRecord(reports)
		if err != nil {
			break // its end of the pipe is closed
		}
		on(r)
	}
	_ = reports.Close()
	p.err = p.cmd.Wait()
	close(p.done)
}

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill kills the worker at once.
func (p *Process) Kill() {
	p.killed = true
	p.Signal(syscall.SIGKILL)
}

// Done is closed when the worker has ended and all of its reports have been read.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits until the worker has ended. It is an error if it has neither finished
// nor been killed by Kill.
func (p *Process) Wait() error {
	<-p.done
	var exit *exec.ExitError
	if p.err == nil || errors.As(p.err, &exit) && p.killed && exit.ExitCode() < 0 {
		return nil
	}
	return fmt.Errorf("the worker ended by itself: %w\n%s", p.err, p.Stderr())
}

// Stderr returns what the worker has printed, cut to a readable length. It must have
// ended.
func (p *Process) Stderr() string {
	<-p.done
	return fmt.Sprintf("%.4000s", p.stderr.String())
}

// Tally is what is known of a database by the reports of its workers.
type Tally struct {
	mu     sync.Mutex
	begun  uint64
	acked  uint64 // in whatever mode
	full   uint64 // with DurabilityFull, or made durable by Sync
	seen   uint64
	counts map[Kind]int
}

// Add takes note of a report.
func (t *Tally) Add(r Record) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts = make(map[Kind]int)
	}
	t.counts[r.Kind]++
	switch r.Kind {
	case Begun:
		t.begun = max(t.begun, r.N)
	case Opened, Seen:
		t.seen = max(t.seen, r.N)
	case Acked:
		t.acked = max(t.acked, r.N)
		if r.Durability == folio.DurabilityFull {
			t.full = max(t.full, r.N)
		}
	case Synced:
		t.full = max(t.full, r.N)
	}
}

// Count returns how many reports of a kind there were.
func (t *Tally) Count(k Kind) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counts[k]
}

// AfterKill returns the bounds of what the database holds after the workers were
// killed: all that was acknowledged or seen, in whatever mode, and nothing that was
// not begun.
func (t *Tally) AfterKill() (least, most uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return max(t.acked, t.full, t.seen), t.begun
}

// Durable returns the newest transaction that was acknowledged as durable.
func (t *Tally) Durable() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full
}
