package folio

// This file is responsible for what several goroutines do of a large commit.

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/foliodb/folio/internal/vfs"
)

// workerPages and workersMost are how many pages are worth a goroutine, and how many of
// them a commit has at most: the file takes one write at a time. With half as many pages,
// groups of 32 puts take 5 % longer.
const (
	workerPages = 80
	workersMost = 4
)

// workers returns how many goroutines should work on that many pages of the commit. On
// what is not a file of the system it is one: the order is always the same there.
func (c *commit) workers(pages int) int {
	if !vfs.IsOS(c.db.file) {
		return 1
	}
	return max(1, min(pages/workerPages, runtime.GOMAXPROCS(0), workersMost))
}

// inTurn calls do for each i below n, until it fails once, and returns the first error.
// So many workers take the next one each, whenever they are done with theirs, for one
// that sleeps can take long to wake up. The first of them is the caller, the second h. All
// have ended when it returns, and a panic of one is the caller's.
func inTurn(h *helper, workers, n int, do func(worker, i int) error) (err error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	work := func(worker int) {
		for i := int(next.Add(1)); i <= n && failed.Load() == nil; i = int(next.Add(1)) {
			if err := do(worker, i-1); err != nil {
				first := err // err itself would be in the heap, each time
				failed.CompareAndSwap(nil, &first)
			}
		}
	}
	var panicked atomic.Pointer[any]
	beside := func(worker int) func() {
		return func() {
			defer func() {
				if r := recover(); r != nil {
					panicked.CompareAndSwap(nil, &r)
				}
			}()
			work(worker)
		}
	}
	defer func() { // when all have ended
		if r := panicked.Load(); r != nil {
			panic(*r)
		}
		if e := failed.Load(); e != nil {
			err = *e
		}
	}()
	if min(workers, n) > 1 {
		defer h.end(h.offer(beside(1)))
	}
	var others sync.WaitGroup
	defer others.Wait()
	for worker := 2; worker < min(workers, n); worker++ {
		others.Go(beside(worker))
	}
	work(0)
	return nil
}
