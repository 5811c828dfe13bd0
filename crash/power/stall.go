//go:build linux

package main

// This file is responsible for disks that stand still: while a read waits, the
// goroutines that do not need it go on.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

const stallTime = time.Second

// stall lets a disk stand still under a reader.
func (r *run) stall(l *lab, bases map[string][]byte) error {
	for _, name := range []string{"ext4", "xfs"} {
		if bases[name] == nil || r.interrupted.Load() {
			continue
		}
		rnd := rand.New(rand.NewPCG(r.seed, 1<<33))
		s := testCase{fs: name}.script(bases, rnd)
		s.Worker.Txs, s.Worker.PageSize = 150, 4096
		s.Worker.Durability, s.Worker.Reopen = "full", 0 // so that opening reads little
		rec, err := l.record(s, rnd)
		if err != nil {
			return err
		}
		slowest, err := l.stallRead(rec)
		if err != nil {
			return fmt.Errorf("%s: a read that stalls: %w", name, err)
		}
		fmt.Printf("%s: a read stalls for %v: the other goroutines stand still for %v at most\n",
			name, stallTime, slowest.Round(time.Millisecond))
		if slowest > stallTime/2 {
			return errors.New("a stalled read stops the process")
		}
	}
	return nil
}

// stallRead opens the database at the end of a recording in a process whose only
// reader has to wait, and returns for how long the others have stood still.
func (l *lab) stallRead(rec *recording) (time.Duration, error) {
	d := disk.NewRecorder(disk.Whole(rec.Base, rec.Events))
	l.device.Set(d)
	if err := l.mount(rec.FS); err != nil {
		return 0, err
	}
	slowest, err := stalledWorker(rec, filepath.Join(l.mnt, "db"), d)
	return slowest, errors.Join(err, l.unmount())
}

func stalledWorker(rec *recording, path string, d *disk.Recorder) (time.Duration, error) {
	w := rec.Worker
	w.Path, w.Heartbeat, w.Writers, w.Readers, w.Txs, w.Reopen = path, true, 0, 1, 0, 0
	opened := make(chan struct{})
	var slowest atomic.Int64
	p, err := work.Start(w, func(r work.Record) {
		switch r.Kind {
		case work.Opened:
			close(opened)
		case work.Slowest:
			slowest.Store(int64(r.N))
		}
	})
	if err != nil {
		return 0, err
	}
	select {
	case <-opened:
	case <-p.Done():
		return 0, p.Wait()
	}
	time.Sleep(stallTime / 5) // the heart has warmed up
	end := make(chan struct{})
	d.StallNextRead(end)
	if _, err := p.Stdin.Write([]byte{1}); err != nil {
		return 0, err
	}
	time.Sleep(stallTime)
	stalled := d.Stalled()
	close(end)
	time.Sleep(stallTime / 5)
	p.Kill()
	if err := p.Wait(); err != nil {
		return 0, err
	}
	if !stalled {
		return 0, errors.New("nothing was read, so nothing could stall")
	}
	return time.Duration(slowest.Load()), nil
}
