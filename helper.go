package folio

// This file is responsible for the goroutine that works beside the writer.
//
// To wake up a processor takes a while, on virtual machines a tenth of a millisecond:
// as long as half of what a commit of 100 puts has to share. So the helper, once it is
// there, stays awake for a moment, for the next part of the commit; and who does not need
// it any more when it comes at last does not wait for it. A commit of 100 puts takes 5 %
// less time than with a new goroutine for each part.

import (
	"sync/atomic"
	"time"
)

// helper does jobs for who has the writer lock, one at a time. The zero value is ready.
type helper struct {
	offered atomic.Pointer[job]
	present atomic.Bool // its goroutine exists
}

// job is what is to be done beside.
type job struct {
	do   func()
	done chan struct{} // closed when it is
}

const (
	// linger is how long the helper stays awake for the next job, and lingerPolls how often
	// it looks for one at most: there are clocks that stand still for milliseconds.
	linger      = 100 * time.Microsecond
	lingerPolls = 1 << 16

	// endPolls is how often the end of a job is looked for before the goroutine sleeps:
	// some ten microseconds.
	endPolls = 1 << 11
)

// offer has the helper do something, as soon as it comes, unless end comes first. There
// must be an end before the next offer.
func (h *helper) offer(do func()) *job {
	j := &job{do: do, done: make(chan struct{})}
	h.offered.Store(j)
	if h.present.CompareAndSwap(false, true) {
		go h.work()
	}
	return j
}

// end takes j back if the helper has not come yet, else it waits until j is done.
func (h *helper) end(j *job) {
	if h.offered.CompareAndSwap(j, nil) {
		return
	}
	for range endPolls {
		if j.ended() {
			return
		}
	}
	<-j.done
}

// ended tells whether j is done.
func (j *job) ended() bool {
	select {
	case <-j.done:
		return true
	default:
		return false
	}
}

// work does what is offered until nothing is for a while.
func (h *helper) work() {
	since, polls := time.Now(), 0
	for {
		if j := h.offered.Load(); j != nil && h.offered.CompareAndSwap(j, nil) {
			j.do()
			close(j.done)
			since, polls = time.Now(), 0
		}
		if polls++; polls < lingerPolls && (polls%64 != 0 || time.Since(since) < linger) {
			continue
		}
		h.present.Store(false)
		// What has been offered meanwhile may have counted on this goroutine.
		if h.offered.Load() == nil || !h.present.CompareAndSwap(false, true) {
			return
		}
	}
}
