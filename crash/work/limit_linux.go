package work

// This file is responsible for what a worker has too little of.

import (
	"math/rand/v2"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// limit begins to limit the worker as it was told.
func (w *worker) limit() error {
	if w.MemLimit > 0 {
		limit := unix.Rlimit{Cur: uint64(w.MemLimit), Max: uint64(w.MemLimit)}
		if err := unix.Setrlimit(unix.RLIMIT_AS, &limit); err != nil {
			return err
		}
	}
	if w.FileLimit {
		go w.limitFiles()
	}
	if w.Ballast != "" {
		go w.fillDisk()
	}
	return nil
}

// limitFiles lets files not grow for some time, and again.
func (w *worker) limitFiles() {
	rnd := rand.New(rand.NewPCG(w.Seed, 1<<34))
	for {
		limit := unix.Rlimit{Cur: unix.RLIM_INFINITY, Max: unix.RLIM_INFINITY}
		if info, err := os.Stat(w.Path); err == nil && rnd.IntN(2) == 0 {
			limit.Cur = uint64(info.Size()) + uint64(rnd.IntN(64<<10))
		}
		_ = unix.Setrlimit(unix.RLIMIT_FSIZE, &limit) // else there is no limit for once
		time.Sleep(time.Duration(1+rnd.IntN(15)) * time.Millisecond)
	}
}

// fillDisk fills the disk, makes room, and again.
func (w *worker) fillDisk() {
	rnd := rand.New(rand.NewPCG(w.Seed, 1<<35))
	block := make([]byte, 64<<10)
	for {
		f, err := os.OpenFile(w.Ballast, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return
		}
		for size := len(block); size >= 512; {
			if _, err := f.Write(block[:size]); err != nil {
				size /= 2
			}
		}
		time.Sleep(time.Duration(5+rnd.IntN(30)) * time.Millisecond)
		_ = f.Truncate(0)
		_ = f.Close()
		time.Sleep(time.Duration(5+rnd.IntN(60)) * time.Millisecond)
	}
}
