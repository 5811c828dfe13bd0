package folio

// This file is responsible for the moment between two flushes.
//
// When a flush returns, those whose transactions it has made durable often come back
// with the next ones at once. If the first of them led, or a group that is ready were
// written without them, some would be in one flush, the others in the next, and all of
// them would wait for both, for ever. So as many transactions are awaited as have just
// been let go, besides those that wait already; but not for longer than two flushes
// take, and if they do not come, not again for a while. Who is alone waits for nobody.
//
// The token is held by no one meanwhile. Who has the writer lock can take it, and the
// transaction that completes the group leads without having to wait for the lock.

import "time"

// gathering is the state of that. flushToken.mu guards it.
type gathering struct {
	on     bool
	want   int         // sealed transactions that are awaited
	timer  *time.Timer // ends the waiting
	gone   int         // how many the last flush has let go; 0: they have been awaited
	flush  time.Duration
	misses uint // times in a row that they did not come
	skip   int  // flushes after which nobody is awaited, as a consequence
}

const (
	// gatherMax bounds the wait on a slow disk.
	gatherMax = 5 * time.Millisecond
	// maxMisses bounds what waiting in vain costs: it happens after one flush in
	// 2^maxMisses.
	maxMisses = 7
)

// flushed takes note that a flush is about to let n transactions go, and took so long.
func (f *flushToken) flushed(n int, took time.Duration) {
	f.mu.Lock()
	f.gather.gone, f.gather.flush = n, took
	f.mu.Unlock()
}

// gathered gives the token on when those who were awaited have not come in time.
func (f *flushToken) gathered() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gather.late() {
		f.free()
	}
}

// begin tells whether more transactions are awaited than the n that are sealed. If so,
// late is called in time, unless stop or complete comes first.
func (g *gathering) begin(n int, late func()) bool {
	gone := g.gone
	g.gone = 0
	if gone == 0 || n+gone == 1 {
		return false
	}
	if g.skip > 0 {
		g.skip--
		return false
	}
	g.on, g.want = true, n+gone
	if wait := min(2*g.flush, gatherMax); g.timer == nil {
		g.timer = time.AfterFunc(wait, late)
	} else {
		g.timer.Reset(wait)
	}
	return true
}

// complete tells whether the n that are sealed now are all that were awaited. Then
// nobody is any more.
func (g *gathering) complete(n int) bool {
	if !g.on || n < g.want {
		return false
	}
	g.misses = 0
	return g.stop()
}

// stop ends the waiting, and tells whether there was any.
func (g *gathering) stop() bool {
	if !g.on {
		return false
	}
	g.on = false
	g.timer.Stop()
	return true
}

// late ends the waiting in vain, and tells whether it had not ended before.
func (g *gathering) late() bool {
	if !g.on {
		return false
	}
	g.on = false
	g.misses = min(g.misses+1, maxMisses)
	g.skip = 1<<g.misses - 1
	return true
}
