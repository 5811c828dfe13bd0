//go:build linux

// Share is a crash test for several processes that have one database open.
//
//	go -C crash run ./share [-seed n] [-time d] [-mode readers|writers] [-writers n] [-readers n] [-count n] [-dir dir]
//
// Processes read, hold snapshots, write, close and open again. With -mode readers those
// that write have the file one at a time (folio.ShareReaders), with -mode writers they
// write in turns (folio.ShareWriters). Meanwhile a supervisor kills, stops and continues
// them at random instants, and starts others, sometimes after the death of all.
//
// Every snapshot must be whole, must stay as it is, and must show all that was
// acknowledged before it began. In the end each transaction is there once, and nothing
// is left of the processes.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"time"

	"github.com/foliodb/folio/internal/bugs"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == command {
		os.Exit(workerMain(os.Args[2:]))
	}
	var c config
	var dir, mode, bug string
	var count int
	flag.Uint64Var(&c.seed, "seed", 0, "seed of all; 0: a random one")
	flag.IntVar(&count, "count", 1, "runs of each mode, each with its own file")
	flag.DurationVar(&c.time, "time", 30*time.Second, "how long each of them takes")
	flag.StringVar(&mode, "mode", "", "readers or writers; default both, in turn")
	flag.IntVar(&c.writers, "writers", 3, "processes that write")
	flag.IntVar(&c.readers, "readers", 3, "processes that read")
	flag.StringVar(&dir, "dir", "", "directory for the files; default a temporary one")
	flag.StringVar(&bug, "bug", "", "the bug to plant, in a build with the tag foliobugs")
	flag.Parse()
	if err := start(c, dir, mode, bug, count); err != nil {
		fmt.Fprintln(os.Stderr, "share:", err)
		os.Exit(1)
	}
}

func start(c config, dir, mode, bug string, count int) (err error) {
	if c.bug, err = bugNamed(bug); err != nil {
		return err
	}
	if c.seed == 0 {
		c.seed = rand.Uint64() >> 32
	}
	modes := []string{mode}
	if mode == "" {
		modes = []string{"readers", "writers"}
	}
	for range count {
		for _, c.mode = range modes {
			if c.dir, err = os.MkdirTemp(dir, "folio-share-*"); err != nil {
				return err
			}
			if err := c.run(); err != nil {
				return fmt.Errorf("seed %d, mode %s: %w\n  what is left is in %s", c.seed, c.mode, err, c.dir)
			}
			if err := os.RemoveAll(c.dir); err != nil {
				return err
			}
		}
		c.seed++
	}
	return nil
}

func bugNamed(name string) (int, error) {
	for b := range bugs.End {
		if name == b.String() || name == "" {
			return int(b), nil
		}
	}
	return 0, errors.New("there is no bug " + name)
}
