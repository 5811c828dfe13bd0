//go:build unix

package main

// This file is responsible for rounds in which the file is open for reading in several
// processes: they share it, nobody can write meanwhile, one that stands still changes
// nothing, and when they have been killed nothing of them is left.

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/crash/work"
)

func (l *life) readersRound() error {
	l.run.stats.readers.Add(1)
	c := l.config
	c.Reading, c.Writers, c.Readers, c.FileLimit, c.MemLimit = true, 0, 1, false, 0
	procs := make([]*work.Process, 2)
	for i := range procs {
		opened := make(chan struct{}, 1)
		p, err := work.Start(c, func(r work.Record) {
			l.tally.Add(r)
			if r.Kind == work.Opened {
				opened <- struct{}{}
			}
		})
		if err != nil {
			return err
		}
		defer p.Kill()
		procs[i] = p
		select {
		case <-opened:
		case <-p.Done():
			return p.Wait()
		case <-time.After(20 * time.Second):
			return errors.New("a process waits for the file that only readers have")
		}
	}
	procs[0].Signal(syscall.SIGSTOP)
	err := errors.Join(l.refused(), l.beside(), l.look())
	procs[0].Signal(syscall.SIGCONT)
	for _, p := range procs {
		p.Kill()
		err = errors.Join(err, p.Wait())
	}
	if err != nil {
		return err
	}
	return l.look()
}

// refused makes sure that nobody can have the file alone.
func (l *life) refused() error {
	db, err := folio.Open(l.config.Path, 0o600, &folio.Options{Timeout: 5 * time.Millisecond, Sharing: folio.ShareNothing})
	if err == folio.ErrTimeout {
		return nil
	}
	if err == nil {
		_ = db.Close()
	}
	return fmt.Errorf("opened alone while others read: %v", err)
}

// beside makes sure that a writer can open the file beside the readers.
func (l *life) beside() error {
	db, err := folio.Open(l.config.Path, 0o600, &folio.Options{Timeout: 5 * time.Second})
	if err != nil {
		return fmt.Errorf("opening for writing while others read: %w", err)
	}
	return db.Close()
}
