package main

// This file is responsible for readers and a writer at the same time: what a commit in
// progress does to the slowest reads, and busy readers to the commits.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	mixedFor  = 3 * time.Second
	mixedPuts = 10
)

// mixed lets some goroutines get random keys, a View each, while one overwrites random
// keys in durable transactions.
func (r *run) mixed(s store) error {
	for _, readers := range []int{1, 2} {
		reads, commits, err := r.beside(s, readers)
		if err != nil {
			return fmt.Errorf("%s, reads beside commits: %w", r.store, err)
		}
		row := fmt.Sprintf("%d reading, 1 writing: Get, ", readers)
		r.table.alone(row+"median", r.store, quantile(reads, 0.5))
		r.table.alone(row+"p99", r.store, quantile(reads, 0.99))
		r.table.alone(row+"p99.9", r.store, quantile(reads, 0.999))
		row = fmt.Sprintf("%d reading, 1 writing: tx of %d puts, ", readers, mixedPuts)
		r.table.alone(row+"median", r.store, quantile(commits, 0.5))
		r.table.alone(row+"p99", r.store, quantile(commits, 0.99))
	}
	return nil
}

// beside returns how long each Get and each commit took, ascending.
func (r *run) beside(s store, readers int) (reads, commits []time.Duration, err error) {
	var stop atomic.Bool
	var wg sync.WaitGroup
	took := make([][]time.Duration, readers)
	errs := make([]error, readers)
	for i := range readers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(r.seed, uint64(i)))
			for !stop.Load() && errs[i] == nil {
				k := r.data.random[rnd.IntN(len(r.data.random))]
				start := time.Now()
				n, err := s.get(k)
				took[i] = append(took[i], time.Since(start))
				if err == nil && n != valueSize {
					err = fmt.Errorf("value of %d bytes", n)
				}
				errs[i] = err
			}
		})
	}
	rnd := rand.New(rand.NewPCG(r.seed, 100))
	for begin := time.Now(); time.Since(begin) < mixedFor && err == nil; {
		start := time.Now()
		err = s.update(func(b bucket) error { return r.overwrite(b, rnd, mixedPuts) })
		commits = append(commits, time.Since(start))
	}
	stop.Store(true)
	wg.Wait()
	reads = slices.Concat(took...)
	slices.Sort(reads)
	slices.Sort(commits)
	return reads, commits, errors.Join(append(errs, err)...)
}

// quantile returns the q-th part of d, which is sorted, in nanoseconds.
func quantile(d []time.Duration, q float64) float64 { return float64(d[int(q*float64(len(d)-1))]) }
