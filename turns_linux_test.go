package folio_test

// Goal: what can go wrong while handles of several processes take turns to write, or
// leave, does not. Two handles in one process are as good as two processes.

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

var shareWriters = folio.Options{Sharing: folio.ShareWriters}

func addOne(tx *folio.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	if err != nil {
		return err
	}
	_, err = b.NextSequence()
	return err
}

// returned waits for what comes from c, which must not take long.
func returned(t *testing.T, c <-chan error, what string) error {
	t.Helper()
	select {
	case err := <-c:
		return err
	case <-time.After(10 * time.Second):
		require.Fail(t, what+" does not return")
		return nil
	}
}

// TestTurnsAreFair: whoever writes without a pause does not keep others waiting for long.
func TestTurnsAreFair(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	busy, other := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
	var stop atomic.Bool
	ended := make(chan error)
	for range 4 {
		go func() {
			var err error
			for !stop.Load() && err == nil {
				err = busy.Update(addOne)
			}
			ended <- err
		}()
	}
	var longest, sum time.Duration
	for range 50 {
		begun := time.Now()
		require.NoError(t, other.Update(addOne))
		longest = max(longest, time.Since(begun))
		sum += time.Since(begun)
	}
	stop.Store(true)
	for range 4 {
		require.NoError(t, <-ended)
	}
	t.Log("mean", sum/50, "longest", longest)
	require.Less(t, longest, 2*time.Second)
}

// TestTurnsCloseWakesWaiters: a handle that is closed does not wait for its turn.
func TestTurnsCloseWakesWaiters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	a, b := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
	tx, err := a.Begin(true)
	require.NoError(t, err)
	updates := make(chan error)
	for range 3 {
		go func() { updates <- b.Update(addOne) }()
	}
	ctx, cancel := context.WithTimeout(context.Background(), brief)
	defer cancel()
	_, err = b.BeginContext(ctx, true)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = b.TryBegin()
	require.True(t, err == folio.ErrWriterBusy, "%v", err)
	closed := make(chan error, 1)
	go func() { closed <- b.Close() }()
	require.NoError(t, returned(t, closed, "Close"))
	for range 3 {
		require.Equal(t, folio.ErrDatabaseNotOpen, returned(t, updates, "Update"))
	}
	_, err = b.TryBegin()
	require.Equal(t, folio.ErrDatabaseNotOpen, err)
	require.Equal(t, folio.ErrDatabaseNotOpen, b.Update(addOne))
	require.NoError(t, tx.Rollback())
	require.NoError(t, a.Update(addOne))
}

// TestTurnsCloseSettles: Close makes durable, and notes in the file, what has been
// committed by a goroutine that is just about to let the turn go.
func TestTurnsCloseSettles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	for range 50 {
		w := openShared(t, path, shareWriters)
		r := openShared(t, path, folio.Options{ReadOnly: true})
		before := newestID(t, r)
		done := make(chan error)
		go func() {
			done <- w.Update(func(tx *folio.Tx) error {
				return errors.Join(tx.SetDurability(folio.DurabilityNone), addOne(tx))
			})
		}()
		for newestID(t, r) == before {
		}
		require.NoError(t, r.Close())
		require.NoError(t, w.Close())
		require.NoError(t, <-done)
		last := openShared(t, path, folio.Options{ReadOnly: true, Sharing: folio.ShareNothing})
		require.True(t, folio.WasClean(last))
		require.NoError(t, last.Close())
	}
}

func newestID(t *testing.T, db *folio.DB) (id int) {
	t.Helper()
	require.NoError(t, db.View(func(tx *folio.Tx) error { id = tx.ID(); return nil }))
	return id
}

// TestTurnsAfterRollback: the numbers of a transaction whose pages are in the file are
// not used again, by another process either, though it published nothing.
func TestTurnsAfterRollback(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	o := shareWriters
	o.MaxDirty = 64 << 10
	a, b := openShared(t, path, o), openShared(t, path, o)
	require.NoError(t, a.Update(addOne))
	require.NoError(t, b.Update(addOne))
	require.NoError(t, a.Update(addOne))
	tx, err := b.Begin(true)
	require.NoError(t, err)
	used := tx.ID()
	bucket, err := tx.CreateBucketIfNotExists([]byte("large"))
	require.NoError(t, err)
	for i := range 500 {
		require.NoError(t, bucket.Put(key(i), []byte(strings.Repeat("x", 1000))))
	}
	require.NoError(t, tx.Rollback())
	tx, err = a.Begin(true)
	require.NoError(t, err)
	require.Greater(t, tx.ID(), used)
	require.NoError(t, tx.Rollback())
}

// TestTurnsEnd: however a transaction ends, another process gets its turn.
func TestTurnsEnd(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	a, b := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
	other := func() {
		t.Helper()
		done := make(chan error, 1)
		go func() { done <- b.Update(addOne) }()
		require.NoError(t, returned(t, done, "Update"))
	}
	require.Panics(t, func() { _ = a.Update(func(tx *folio.Tx) error { panic("no") }) })
	other()
	require.Error(t, a.Update(func(tx *folio.Tx) error { return errors.New("no") }))
	other()
	require.NoError(t, a.Update(func(tx *folio.Tx) error {
		tx.OnCommit(func() {
			other()
			require.NoError(t, a.Update(addOne))
		})
		return addOne(tx)
	}))
	require.NoError(t, a.Batch(addOne))
	other()
	tx, err := a.TryBegin()
	require.NoError(t, err)
	require.NoError(t, addOne(tx))
	require.NoError(t, tx.Commit())
	other()
	gone := make(chan error, 1)
	go func() {
		defer close(gone)
		_ = a.Update(func(tx *folio.Tx) error { runtime.Goexit(); return nil })
	}()
	<-gone
	other()
	require.NoError(t, a.View(func(tx *folio.Tx) error {
		require.EqualValues(t, 10, tx.Bucket([]byte("b")).Sequence())
		return nil
	}))
}

// lazyFS has files whose flushes take 3 ms.
type lazyFS struct{ vfs.FS }

type lazyFile struct{ vfs.File }

func (f lazyFile) Unwrap() vfs.File { return f.File }

func (f lazyFile) Sync() error {
	time.Sleep(3 * time.Millisecond)
	return f.File.Sync()
}

func (s lazyFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return lazyFile{f}, nil
}

// TestTurnsShareFlushes: goroutines that wait for a turn of their process have it
// together, also while others wait.
func TestTurnsShareFlushes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const goroutines, each = 8, 20
	files := newSharers(filepath.Dir(path))
	defer files.close()
	dbs := []*folio.DB{files.openFS(lazyFS{vfs.OS()}, shareWriters), files.openFS(lazyFS{vfs.OS()}, shareWriters)}
	errs := make(chan error)
	for i := range 2 * goroutines {
		go func() {
			var err error
			for range each {
				err = errors.Join(err, dbs[i%2].Update(addOne))
			}
			errs <- err
		}()
	}
	for range 2 * goroutines {
		require.NoError(t, <-errs)
	}
	groups := dbs[0].Stats().TxStats.Groups + dbs[1].Stats().TxStats.Groups
	t.Log(2*goroutines*each, "transactions,", groups, "flushes")
	require.Less(t, groups, int64(2*goroutines*each*6/10))
}

// TestTurnsAlone: who had the last turn begins the next one without a look at the file,
// and reads the metas again after somebody else's, even if that one has changed nothing.
func TestTurnsAlone(t *testing.T) {
	files := newSharers(t.TempDir())
	defer files.close()
	plan := &faultfs.Plan{Shared: true}
	a, b := files.openFS(faultfs.Wrap(vfs.OS(), plan), shareWriters), files.open(shareWriters)
	reads := func() int {
		before := plan.Calls(faultfs.Read)
		require.NoError(t, a.Update(addOne))
		return plan.Calls(faultfs.Read) - before
	}
	reads() // of the free space
	require.Zero(t, reads())
	require.Zero(t, reads())
	for _, other := range []func(*folio.Tx) error{addOne, func(*folio.Tx) error { return nil }} {
		require.NoError(t, b.Update(other))
		require.Positive(t, reads())
		require.Zero(t, reads())
	}
}

// TestTurnsNumbers: a number of a transaction that has left pages behind does not come
// again in another process, although nothing was committed with it.
func TestTurnsNumbers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	o := folio.Options{Sharing: folio.ShareWriters, MaxDirty: 8 * 4096}
	dbs := []*folio.DB{openShared(t, path, o), openShared(t, path, o)}
	require.NoError(t, dbs[0].Update(putAs("a", 1, 10)))
	last := 0
	for i := range 6 {
		require.ErrorIs(t, dbs[i%2].Update(func(tx *folio.Tx) error {
			require.Greater(t, tx.ID(), last, "turn %d", i)
			last = tx.ID()
			return errors.Join(putAs("spilled", 400, 900)(tx), errUndone)
		}), errUndone)
	}
	for _, db := range dbs {
		require.NoError(t, db.Close())
	}
}

// TestTurnsAfterTheLast: who is the only one to write, and closes the file beside readers,
// writes what nobody is told of. The next one to write finds it.
func TestTurnsAfterTheLast(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, shareWriters)
	require.NoError(t, w.Update(addOne))
	r := openShared(t, path, folio.Options{ReadOnly: true})
	for i := range 4 {
		require.NoError(t, w.Close())
		w = openShared(t, path, shareWriters)
		require.NoError(t, w.Update(addOne))
		require.NoError(t, r.View(func(tx *folio.Tx) error {
			require.EqualValues(t, i+2, tx.Bucket([]byte("b")).Sequence())
			return nil
		}))
	}
}
