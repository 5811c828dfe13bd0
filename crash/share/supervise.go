//go:build linux

package main

// This file is responsible for the processes: that there are some, and that they die.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// config is a run on one file.
type config struct {
	seed             uint64
	dir, mode        string
	time             time.Duration
	writers, readers int
	bug              int
}

func (c *config) path() string { return filepath.Join(c.dir, "db") }

// process is a worker as the supervisor sees it.
type process struct {
	cmd    *exec.Cmd
	writes bool
	stderr bytes.Buffer
	ended  chan error
	killed bool
	goesOn time.Time // when it is stopped: until then; else zero
}

// supervisor starts, stops and kills workers.
type supervisor struct {
	*config
	rnd                     *rand.Rand
	procs                   []*process
	started                 int
	kills, stops, massacres int
	spoils                  int
}

func (c *config) run() error {
	b, err := openBoard(c.dir)
	if err != nil {
		return err
	}
	s := &supervisor{config: c, rnd: rand.New(rand.NewPCG(c.seed, 99))}
	defer s.killAll()
	for end := time.Now().Add(c.time); time.Now().Before(end); {
		if err := s.step(); err != nil {
			return err
		}
	}
	b.stop.Store(1)
	if err := s.finish(); err != nil {
		return err
	}
	report, err := c.verify()
	if err == nil {
		fmt.Printf("seed %d, %s: %.0f s, %d processes, %d kills (%d times of all), %d stops, %d lock files spoilt; %d transactions, %d gave up, "+
			"%d openings too; %d snapshots, %d looked at again; %s\n", c.seed, c.mode, c.time.Seconds(), s.started, s.kills,
			s.massacres, s.stops, s.spoils, b.txs.Load(), b.late.Load(), b.stale.Load(), b.reads.Load(), b.holds.Load(), report)
	}
	return err
}

// step does one thing to the processes, and waits for a moment.
func (s *supervisor) step() error {
	if err := s.collect(); err != nil {
		return err
	}
	for s.count(true) < s.writers || s.count(false) < s.readers {
		if err := s.start(s.count(true) < s.writers); err != nil {
			return err
		}
	}
	now := time.Now()
	for _, p := range s.procs {
		if !p.goesOn.IsZero() && now.After(p.goesOn) {
			p.goesOn = time.Time{}
			p.signal(syscall.SIGCONT)
		}
	}
	p := s.procs[s.rnd.IntN(len(s.procs))]
	switch what := s.rnd.IntN(100); {
	case what < 1:
		s.massacres++
		s.killAll()
	case what < 2:
		s.spoil()
	case what < 14:
		s.kill(p)
	case what < 34 && p.goesOn.IsZero():
		s.stops++
		p.signal(syscall.SIGSTOP)
		hold := time.Duration(s.rnd.IntN(20_000)) * time.Microsecond
		if s.rnd.IntN(5) == 0 {
			hold *= 20
		}
		p.goesOn = now.Add(hold)
	}
	time.Sleep(time.Duration(s.rnd.IntN(30_000)) * time.Microsecond)
	return nil
}

func (s *supervisor) count(writes bool) (n int) {
	for _, p := range s.procs {
		if p.writes == writes {
			n++
		}
	}
	return n
}

func (s *supervisor) start(writes bool) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.started++
	name := fmt.Sprintf("%d", s.started)
	p := &process{writes: writes, ended: make(chan error, 1)}
	p.cmd = exec.Command(self, command, "-dir", s.dir, "-path", s.path(), "-name", name, "-mode", s.mode,
		fmt.Sprintf("-writes=%t", writes), fmt.Sprintf("-seed=%d", s.rnd.Uint64()), fmt.Sprintf("-bug=%d", s.bug))
	p.cmd.Stderr = &p.stderr
	if os.Getuid() == 0 && s.rnd.IntN(3) == 0 {
		// As in a container: it is process 1, and so are others.
		p.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	}
	if _, err := p.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	go func() { p.ended <- p.cmd.Wait() }()
	s.procs = append(s.procs, p)
	return nil
}

func (p *process) signal(sig syscall.Signal) { _ = p.cmd.Process.Signal(sig) }

func (s *supervisor) kill(p *process) {
	if !p.killed {
		s.kills++
		p.killed = true
		p.signal(syscall.SIGKILL)
	}
}

func (s *supervisor) killAll() {
	for _, p := range s.procs {
		s.kill(p)
	}
}

// spoil writes nonsense into the lock file, or cuts it off, while it is used. Whatever the
// processes make of that (they may well die of it), the database must be as good as ever.
func (s *supervisor) spoil() {
	f, err := os.OpenFile(s.path()+"-lock", os.O_RDWR, 0)
	if err != nil {
		return // nobody has the database open
	}
	defer f.Close()
	s.spoils++
	for _, p := range s.procs {
		p.killed = true // so it may fail
		p.signal(syscall.SIGCONT)
	}
	for range 1 + s.rnd.IntN(15) {
		noise := make([]byte, 8*(1+s.rnd.IntN(30)))
		if s.rnd.IntN(3) > 0 {
			binary.LittleEndian.PutUint64(noise, s.rnd.Uint64())
		}
		at := 8 * s.rnd.Int64N([]int64{64, 512, 12000}[s.rnd.IntN(3)])
		if _, err = f.WriteAt(noise, at); err == nil && s.rnd.IntN(10) == 0 {
			err = f.Truncate(at)
		}
		if err != nil {
			panic(err)
		}
		time.Sleep(time.Duration(s.rnd.IntN(4000)) * time.Microsecond)
	}
	for _, p := range s.procs {
		p.signal(syscall.SIGKILL)
		p.ended <- <-p.ended
	}
	// What is there now is no lock file, and nobody would dare to remove it.
	_ = os.Remove(s.path() + "-lock")
}

// collect forgets the processes that have ended. None may end by itself.
func (s *supervisor) collect() error {
	kept := s.procs[:0]
	var errs []error
	for _, p := range s.procs {
		select {
		case err := <-p.ended:
			if !p.killed && err != nil {
				errs = append(errs, fmt.Errorf("a process has failed: %w\n%.6000s", err, p.stderr.String()))
			}
		default:
			kept = append(kept, p)
		}
	}
	s.procs = kept
	return errors.Join(errs...)
}

// patience is how long processes may take to end.
const patience = 30 * time.Second

// finish waits until all processes have ended, of which some may be killed already.
func (s *supervisor) finish() error {
	for _, p := range s.procs {
		p.signal(syscall.SIGCONT)
	}
	for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		if err := s.collect(); err != nil || len(s.procs) == 0 {
			return err
		}
		if time.Now().After(end) {
			return s.hung()
		}
	}
}

// hung says what a process is doing that does not end.
func (s *supervisor) hung() error {
	p := s.procs[0]
	p.signal(syscall.SIGQUIT)
	select {
	case <-p.ended:
	case <-time.After(5 * time.Second):
		return errors.New("a process does not end, not even by SIGQUIT")
	}
	return fmt.Errorf("a process does not end:\n%.20000s", p.stderr.String())
}
