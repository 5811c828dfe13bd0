package folio

// This file is responsible for what several goroutines do of a large commit.
//
// To wake up a processor takes a while, on virtual machines 10 to 20 µs and more. So nobody
// waits for a goroutine that has not come yet: who needs its job done does it.

import (
	"cmp"
	"runtime"
	"sync/atomic"
)

const (
	// workerPages and workersMost are how many pages are worth a goroutine, and how many of
	// them a commit has at most: the file takes one write at a time. With half as many pages,
	// groups of 32 puts take 5 % longer.
	workerPages = 80
	workersMost = 4

	// endPolls is how often the end of a job is looked for before the goroutine sleeps: for
	// some hundred microseconds, about as long as the longest job takes.
	endPolls = 1 << 15
)

// workers returns how many goroutines should work on that many pages of the commit. On
// what is not a file of the system it is one: the order is always the same there.
func (c *commit) workers(pages int) int {
	if !c.db.parallel {
		return 1
	}
	return max(1, min(pages/workerPages, runtime.GOMAXPROCS(0), workersMost))
}

// inTurn calls do for each i below n, until it fails once, and returns an error. So many
// workers take the next one each, whenever they are done with theirs, for one that sleeps
// can take long to wake up. The first of them is the caller. All have ended when it
// returns, and a panic of one is the caller's.
func inTurn(workers, n int, do func(worker, i int) error) (err error) {
	var next atomic.Int64
	var failed atomic.Bool
	work := func(worker int) error {
		for i := int(next.Add(1)); i <= n && !failed.Load(); i = int(next.Add(1)) {
			if err := do(worker, i-1); err != nil {
				failed.Store(true)
				return err
			}
		}
		return nil
	}
	for worker := 1; worker < min(workers, n); worker++ {
		j := newJob(func() error { return work(worker) })
		j.begin()
		defer func() { err = cmp.Or(err, j.wait()) }()
	}
	return work(0)
}

// job is something that a goroutine does beside others, or who waits for it.
type job struct {
	do       func() error
	begun    atomic.Bool
	ended    chan struct{} // closed when it is done
	err      error
	panicked any
}

// newJob returns a job. Somebody must wait for it.
func newJob(do func() error) *job { return &job{do: do, ended: make(chan struct{})} }

// begin has another goroutine do the job, as soon as it comes.
func (j *job) begin() {
	go j.run()
	// The newest goroutine is meant to run on this processor next. Another one that has
	// nothing to do takes it only after a sleep, of 60 µs; older ones it takes at once.
	go func() {}()
}

// run does the job if nobody has begun with it.
func (j *job) run() {
	if !j.begun.CompareAndSwap(false, true) {
		return
	}
	defer close(j.ended)
	defer func() { j.panicked = recover() }()
	j.err = j.do()
}

// wait returns when the job is done, which it does itself if nobody has begun. A panic of
// the job is the caller's.
func (j *job) wait() error {
	j.run()
	// Who sleeps is woken up late, and can have to wait for another processor besides.
	for range endPolls {
		if j.over() {
			break
		}
	}
	<-j.ended
	if j.panicked != nil {
		panic(j.panicked)
	}
	return j.err
}

// over tells whether the job is done.
func (j *job) over() bool {
	select {
	case <-j.ended:
		return true
	default:
		return false
	}
}
