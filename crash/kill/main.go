//go:build unix

// Kill is the second tier of the crash tests: real processes and kill -9.
//
//	go -C crash run ./kill [-seed n] [-series n] [-count n] [-rounds n] [-dir dir]
//	go -C crash run ./kill -verify dir
//
// A series is the life of one file. In each round a worker process opens it, commits
// and reads with many goroutines, and is killed at a random instant: while it opens,
// recovers, commits, grows the file or closes it. Then the file must hold every
// transaction that the worker has reported as committed, whatever its durability, and
// be the state after some transaction, whole.
//
// A failure names the seed of its series and keeps the file as it was found;
// -verify looks at it again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/foliodb/folio/crash/work"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == work.Command {
		os.Exit(work.Main(os.Args[2:]))
	}
	var r run
	flag.Uint64Var(&r.seed, "seed", 0, "seed of all; 0: a random one")
	flag.IntVar(&r.first, "series", 0, "number of the first series")
	flag.IntVar(&r.count, "count", 60, "series to run")
	flag.IntVar(&r.rounds, "rounds", 30, "kills in a series")
	flag.IntVar(&r.parallel, "parallel", 2, "series at the same time")
	flag.StringVar(&r.dir, "dir", "", "directory for the files; default a temporary one")
	verify := flag.String("verify", "", "look again at what a failure has kept in a directory")
	controls := flag.Bool("controls", true, "make sure first that wrong workers are found")
	flag.Parse()
	if err := start(&r, *verify, *controls); err != nil {
		fmt.Fprintln(os.Stderr, "kill:", err)
		os.Exit(1)
	}
}

func start(r *run, verify string, controls bool) error {
	if verify != "" {
		return verifyKept(verify)
	}
	if r.seed == 0 {
		r.seed = rand.Uint64() >> 32
	}
	dir, err := os.MkdirTemp(r.dir, "folio-kill-*")
	if err != nil {
		return err
	}
	r.dir = dir
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		r.interrupted.Store(true)
	}()
	if controls {
		if err := r.controls(); err != nil {
			return err
		}
	}
	return r.all()
}

// all runs the series and reports.
func (r *run) all() error {
	fmt.Printf("seed %d: %d series of %d kills, in %s\n", r.seed, r.count, r.rounds, r.dir)
	begun := time.Now()
	numbers := make(chan int, r.count)
	for i := range r.count {
		numbers <- r.first + i
	}
	close(numbers)
	var wg sync.WaitGroup
	errs := make([]error, r.parallel)
	for i := range errs {
		wg.Go(func() {
			for n := range numbers {
				if r.interrupted.Load() || errs[i] != nil {
					return
				}
				errs[i] = r.series(n)
			}
		})
	}
	wg.Wait()
	fmt.Println(r.stats.report(time.Since(begun)))
	if err := errors.Join(errs...); err != nil {
		return err // what it has found stays in the directory
	}
	return os.RemoveAll(r.dir)
}
