//go:build unix

package main

// This file is responsible for the life of one file: rounds of a worker that is
// killed, and a look at what it has left.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/crash/work"
)

// run is all that one call of the program does.
type run struct {
	seed        uint64
	first       int // series
	count       int
	rounds      int
	parallel    int
	dir         string
	interrupted atomic.Bool
	stats       stats
}

// life is a series.
type life struct {
	run    *run
	number int
	rnd    *rand.Rand
	dir    string
	config work.Config
	oracle *work.Oracle
	tally  work.Tally
	kept   kept
}

func (r *run) newLife(number int) (*life, error) {
	l := &life{run: r, number: number, rnd: rand.New(rand.NewPCG(r.seed, uint64(number)))}
	l.config = work.RandomConfig(l.rnd)
	l.dir = filepath.Join(r.dir, fmt.Sprintf("series-%d", number))
	l.config.Path = filepath.Join(l.dir, "db")
	l.oracle = work.NewOracle(l.config.Seed, l.config.Shape)
	return l, os.MkdirAll(l.dir, 0o755)
}

// series runs the series of a number, and removes its file if all was well.
func (r *run) series(number int) error {
	l, err := r.newLife(number)
	if err != nil {
		return err
	}
	switch l.rnd.IntN(10) {
	case 0:
		l.config.FileLimit = true
	case 1:
		l.config.MemLimit = int64(100+l.rnd.IntN(1200)) << 20
	}
	if err := l.live(); err != nil {
		return l.failed(err)
	}
	r.stats.series.Add(1)
	return os.RemoveAll(l.dir)
}

func (l *life) live() error {
	for range l.run.rounds {
		if l.run.interrupted.Load() {
			return nil
		}
		if err := l.round(); err != nil {
			return err
		}
		if err := l.look(); err != nil {
			return err
		}
		if least, _ := l.tally.AfterKill(); least > 0 && l.rnd.IntN(12) == 0 {
			if err := l.readersRound(); err != nil {
				return fmt.Errorf("processes that read: %w", err)
			}
		}
	}
	return nil
}

// round lets a worker work until it is killed.
func (l *life) round() error {
	c := l.config
	if c.Reopen > 0 {
		c.Reopen = 1 + l.rnd.IntN(40)
	}
	plan := newPlan(l.rnd, c.Reopen > 0)
	p, err := plan.run(c, l.tally.Add)
	if err != nil {
		return err
	}
	l.run.stats.kills.Add(1)
	if plan.freeze > 0 {
		l.run.stats.frozen.Add(1)
	}
	err = p.Wait()
	if err != nil && c.MemLimit > 0 && outOfMemory(err) {
		l.run.stats.outOfMemory.Add(1)
		return nil
	}
	return err
}

// outOfMemory tells whether a worker with little memory has ended as it must when it
// has none: no Go program can go on.
func outOfMemory(err error) bool {
	for _, why := range []string{"out of memory", "cannot allocate memory", "pthread_create failed", "newosproc"} {
		if strings.Contains(err.Error(), why) {
			return true
		}
	}
	return false
}

// look checks what is there: as a reader, who changes nothing, then sometimes as a
// writer, and sometimes with one more transaction.
func (l *life) look() error {
	least, most := l.tally.AfterKill()
	l.kept = kept{Seed: l.config.Seed, Shape: l.config.Shape, Least: least, Most: most}
	c := work.CheckConfig{Path: l.config.Path, Seed: l.config.Seed, Shape: l.config.Shape}
	found, err := l.check(c, least, most)
	if err != nil || !found.Exists {
		return err
	}
	l.note(work.Opened, found.N)
	l.run.stats.max(&l.run.stats.transactions, int64(found.N))
	if l.rnd.IntN(3) != 0 {
		return nil
	}
	c.Writing, c.Next = true, l.rnd.IntN(2) == 0
	if found, err = l.check(c, found.N, found.N); err != nil {
		return fmt.Errorf("opened for writing: %w", err)
	}
	if c.Next {
		l.note(work.Begun, found.N+1)
		l.note(work.Acked, found.N+1)
	}
	return nil
}

func (l *life) note(k work.Kind, n uint64) { l.tally.Add(work.Record{Kind: k, N: n}) }

func (l *life) check(c work.CheckConfig, least, most uint64) (work.Found, error) {
	begun := time.Now()
	found, err := work.Check(c)
	l.run.stats.checks.Add(1)
	l.run.stats.checking.Add(int64(time.Since(begun)))
	if err != nil {
		return found, err
	}
	return found, l.oracle.Verify(found, least, most)
}

// failed keeps what is needed to look at it again.
func (l *life) failed(err error) error {
	keepErr := l.kept.save(l.dir)
	return errors.Join(fmt.Errorf(`series %d: %w
  worker: %s
  run the series again: go -C crash run ./kill -seed %d -series %d -count 1 -rounds %d
  look at what it left: go -C crash run ./kill -verify %s`,
		l.number, err, strings.Join(l.config.Args(), " "), l.run.seed, l.number, l.run.rounds, l.dir), keepErr)
}
