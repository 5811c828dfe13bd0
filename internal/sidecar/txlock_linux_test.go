package sidecar_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
)

// tryLock tells whether the turn to write is free, and leaves it free.
func tryLock(t *testing.T, h *handle) bool {
	t.Helper()
	ok, err := h.TryLockTx()
	require.NoError(t, err)
	if ok {
		require.NoError(t, h.UnlockTx())
	}
	return ok
}

// eventually waits for something that another goroutine or process does, for as long
// as the test may take.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	for wait := patient(); !is(); {
		require.NoError(t, wait())
	}
}

func TestTxBetweenProcesses(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.SharedWriter)
	p, q := start(t), start(t)
	for _, c := range []*process{p, q} {
		c.must("open %s %d", path, sidecar.SharedWriter)
	}
	ctx := context.Background()
	require.NoError(t, a.LockTx(ctx))
	require.False(t, a.OthersWait())
	require.Equal(t, "false", p.do("trylock"))
	p.send("lock")
	eventually(t, a.OthersWait)
	require.NoError(t, a.UnlockTx())
	require.Equal(t, "ok", p.answer())
	require.False(t, tryLock(t, a))
	p.must("unlock")
	require.True(t, tryLock(t, a))

	// The holder is killed.
	p.must("lock")
	q.send("lock")
	p.kill()
	require.Equal(t, "ok", q.answer())
	q.must("unlock")
	require.False(t, a.OthersWait())

	// A waiter is killed: it is not waited for.
	require.NoError(t, a.LockTx(ctx))
	q.send("lock")
	eventually(t, a.OthersWait)
	q.kill()
	require.False(t, a.OthersWait())
	require.NoError(t, a.UnlockTx())
	require.True(t, tryLock(t, a))

	// One that leaves lets go.
	b := openReady(t, path, sidecar.SharedWriter)
	require.NoError(t, b.LockTx(ctx))
	require.NoError(t, b.Sidecar.Close())
	require.True(t, tryLock(t, a))
}

// giveUp has b give up waiting for the turn, which a has.
func giveUp(t *testing.T, a, b *handle) {
	t.Helper()
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(context.Background())
	got := make(chan error)
	go func() { got <- b.LockTx(ctx) }()
	eventually(t, a.OthersWait)
	cancel(why)
	require.ErrorIs(t, <-got, why)
	require.False(t, a.OthersWait())
	require.False(t, tryLock(t, b))
}

func TestTxGivenUp(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.SharedWriter), openReady(t, path, sidecar.SharedWriter)
	bg := context.Background()
	why := errors.New("why")
	done, cancel := context.WithCancelCause(bg)
	cancel(why)
	require.ErrorIs(t, a.LockTx(done), why)
	require.True(t, tryLock(t, b))

	// What it gets that gave up, and wants no more, it lets go.
	for range 20 {
		require.NoError(t, a.LockTx(bg))
		giveUp(t, a, b)
		require.NoError(t, a.UnlockTx())
		ctx, cancel := context.WithTimeout(bg, time.Minute)
		for range 3 {
			runtime.Gosched()
			require.NoError(t, a.LockTx(ctx))
			require.NoError(t, a.UnlockTx())
		}
		cancel()
	}

	for range 50 {
		// b gives up while a has the turn, again and again.
		require.NoError(t, a.LockTx(bg))
		for range 3 {
			giveUp(t, a, b)
		}
		// What the goroutine gets that was left waiting is for the next one who
		// wants it, or is let go.
		require.NoError(t, a.UnlockTx())
		require.NoError(t, b.LockTx(bg))
		require.False(t, tryLock(t, a))
		require.NoError(t, b.UnlockTx())
		eventually(t, func() bool { return tryLock(t, a) && tryLock(t, b) })
	}

	// Canceled at any moment, it is had or not, and never lost.
	for range 500 {
		ctx, cancel := context.WithCancel(bg)
		require.NoError(t, a.LockTx(bg))
		got := make(chan error)
		go func() { got <- b.LockTx(ctx) }()
		go cancel()
		require.NoError(t, a.UnlockTx())
		if err := <-got; err == nil {
			require.False(t, tryLock(t, a))
			require.NoError(t, b.UnlockTx())
		}
		cancel()
	}

	// Closed with the goroutine left waiting.
	require.NoError(t, a.LockTx(bg))
	giveUp(t, a, b)
	require.NoError(t, b.close())
	require.NoError(t, a.UnlockTx())
	eventually(t, func() bool { return tryLock(t, a) })
	only, err := a.OnlyWriter()
	require.NoError(t, err)
	require.True(t, only)
}

// TestTxOfGoroutines has goroutines of several handles count in turn, without any
// other lock. The race detector does not see locks of the kernel, so the counter is
// in the shared memory.
func TestTxOfGoroutines(t *testing.T) {
	path := dbPath(t)
	var all sync.WaitGroup
	const handles, goroutines, rounds = 3, 3, 50
	var first *handle
	errs := make(chan error, handles*goroutines)
	for range handles {
		h := openReady(t, path, sidecar.SharedWriter)
		first = h
		for range goroutines {
			all.Go(func() {
				for range rounds {
					if err := h.LockTx(context.Background()); err != nil {
						errs <- err
						return
					}
					var c *atomic.Uint64
					h.Count(func(n *sidecar.Counters) { c = &n.Commits })
					c.Store(c.Load() + 1)
					if err := h.UnlockTx(); err != nil {
						errs <- err
						return
					}
				}
			})
		}
	}
	all.Wait()
	close(errs)
	for err := range errs {
		require.NoError(t, err)
	}
	first.Count(func(n *sidecar.Counters) { require.EqualValues(t, handles*goroutines*rounds, n.Commits.Load()) })
}

// TestSettled: a handle knows whether another one has had the turn since.
func TestSettled(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.SharedWriter), openReady(t, path, sidecar.SharedWriter)
	settled := func(h *handle, nextTxID, seq uint64, own bool) {
		t.Helper()
		n, s, o := h.Settled()
		require.Equal(t, []any{nextTxID, seq, own}, []any{n, s, o})
	}
	settled(a, 0, 0, false)
	a.Settle(7, 70)
	settled(a, 70, 7, true)
	settled(b, 70, 7, false)
	b.Settle(0, 0)
	settled(a, 0, 0, false)
	b.Settle(7, 70)
	settled(a, 70, 7, false)
	settled(b, 70, 7, true)
}
