package folio_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// Goal: several handles of one file see what the others commit, and harm nobody.
// Method: two handles in one process are as good as two processes here, for their
// locks and mappings are apart; crash/share does the same with processes that die.

var brief = 20 * time.Millisecond

func openShared(t *testing.T, path string, o folio.Options) *folio.DB {
	t.Helper()
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	db, err := folio.Open(path, 0o600, &o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func putAll(t *testing.T, db *folio.DB, from, to int, value string) {
	t.Helper()
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := from; err == nil && i < to; i++ {
			err = b.Put(fmt.Appendf(nil, "%06d", i), []byte(value))
		}
		return err
	}))
}

// values returns the values that a transaction sees, each with how often.
func values(t *testing.T, tx *folio.Tx) map[string]int {
	t.Helper()
	seen := map[string]int{}
	if b := tx.Bucket([]byte("b")); b != nil {
		for _, v := range b.All() {
			seen[string(v)]++
		}
	}
	require.NoError(t, tx.Err())
	return seen
}

func viewValues(t *testing.T, db *folio.DB) (seen map[string]int) {
	t.Helper()
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		seen = values(t, tx)
		return foliotest.Check(tx)
	}))
	return seen
}

// TestShareReaders: a reader sees each commit, keeps its snapshot, and follows the
// file's growth and shrinking.
func TestShareReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	r := openShared(t, path, folio.Options{ReadOnly: true})
	require.Empty(t, viewValues(t, r))
	putAll(t, w, 0, 10, "one")
	require.Equal(t, map[string]int{"one": 10}, viewValues(t, r))
	old, err := r.Begin(false)
	require.NoError(t, err)
	for i := range 50 {
		putAll(t, w, 0, 20000, fmt.Sprint(i))
		require.Equal(t, map[string]int{fmt.Sprint(i): 20000}, viewValues(t, r))
	}
	require.Equal(t, map[string]int{"one": 10}, values(t, old))
	large := strings.Repeat("large", 300)
	putAll(t, w, 0, 20000, large)
	putAll(t, w, 0, 1, large)
	require.Equal(t, map[string]int{large: 20000}, viewValues(t, r))
	s := w.Stats()
	require.Equal(t, old.ID(), s.Oldest)
	require.Positive(t, s.Retained)
	require.NoError(t, old.Rollback())
	require.NoError(t, w.Update(func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) }))
	for range 4 {
		putAll(t, w, 0, 10, "last")
		require.Equal(t, map[string]int{"last": 10}, viewValues(t, r))
	}
	require.Less(t, w.Stats().FileSize, s.FileSize)
}

// TestShareHandOver: readers outlive writers, closed or not, and the next writer does
// not touch what they read.
func TestShareHandOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 5000, "0")
	r := openShared(t, path, folio.Options{ReadOnly: true})
	type reader struct {
		tx   *folio.Tx
		want string
	}
	var readers []reader
	for i := range 12 {
		putAll(t, w, 0, 5000, fmt.Sprint(i))
		tx, err := r.Begin(false)
		require.NoError(t, err)
		readers = append(readers, reader{tx, fmt.Sprint(i)})
		if i%3 == 2 {
			require.NoError(t, w.Close())
			w = openShared(t, path, folio.Options{})
		}
		if i%4 == 3 {
			require.NoError(t, readers[i-1].tx.Rollback())
		}
		for k, old := range readers {
			if k%4 != 2 || k == i {
				require.Equal(t, map[string]int{old.want: 5000}, values(t, old.tx), "%d at %d", k, i)
			}
		}
	}
	for k, old := range readers {
		if k%4 != 2 {
			require.NoError(t, old.tx.Rollback())
		}
	}
	putAll(t, w, 0, 5000, "end")
	require.Equal(t, map[string]int{"end": 5000}, viewValues(t, r))
}

// TestShareWriters: handles write in turns, each on top of the others.
func TestShareWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	o := folio.Options{Sharing: folio.ShareWriters}
	dbs := []*folio.DB{openShared(t, path, o), openShared(t, path, o), openShared(t, path, o)}
	r := openShared(t, path, folio.Options{ReadOnly: true})
	_, err := folio.Open(path, 0o600, &folio.Options{Timeout: brief})
	require.ErrorIs(t, err, folio.ErrTimeout)
	for i := range 300 {
		w := dbs[i%7%3]
		require.NoError(t, w.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			if n := b.Len(); n != uint64(i) {
				return fmt.Errorf("%d keys, want %d", n, i)
			}
			return b.Put(fmt.Appendf(nil, "%06d", i*7919%1000003), []byte("v"))
		}))
		require.Equal(t, map[string]int{"v": i + 1}, viewValues(t, []*folio.DB{r, dbs[0], dbs[1], dbs[2]}[i%4]))
	}
}

// TestShareWritersConcurrent: goroutines of several handles add to one counter.
func TestShareWritersConcurrent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const handles, goroutines, each = 3, 4, 25
	errs := make(chan error)
	for range handles {
		db := openShared(t, path, folio.Options{Sharing: folio.ShareWriters})
		for range goroutines {
			go func() {
				var err error
				for range each {
					err = errors.Join(err, db.Update(func(tx *folio.Tx) error {
						b, err := tx.CreateBucketIfNotExists([]byte("b"))
						if err != nil {
							return err
						}
						_, err = b.NextSequence()
						return err
					}), db.View(func(tx *folio.Tx) error {
						if tx.Bucket([]byte("b")).Sequence() == 0 {
							return errors.New("the counter is not there")
						}
						return nil
					}))
				}
				errs <- err
			}()
		}
	}
	for range handles * goroutines {
		require.NoError(t, <-errs)
	}
	db := openShared(t, path, folio.Options{ReadOnly: true})
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.EqualValues(t, handles*goroutines*each, tx.Bucket([]byte("b")).Sequence())
		return nil
	}))
}

// TestShareLeavesNothing: the last one to close removes the file beside the database.
func TestShareLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	w, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	r, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
	require.NoError(t, err)
	require.FileExists(t, path+"-lock")
	require.NoError(t, w.Close())
	require.FileExists(t, path+"-lock")
	require.NoError(t, r.Close())
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
}

// TestShareLatched: after a failed flush nobody writes before all have closed the file.
func TestShareLatched(t *testing.T) {
	for _, sharing := range []folio.Sharing{folio.ShareReaders, folio.ShareWriters} {
		path := filepath.Join(t.TempDir(), "db")
		o := folio.Options{Sharing: sharing}
		w, err := folio.Open(path, 0o600, &o)
		require.NoError(t, err)
		putAll(t, w, 0, 10, "before")
		r, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
		require.NoError(t, err)
		folio.Latch(w, errors.New("the disk is on fire"))
		require.ErrorIs(t, w.Update(func(tx *folio.Tx) error { return nil }), folio.ErrLatched)
		require.NoError(t, w.Close())
		second, err := folio.Open(path, 0o600, &o)
		if sharing == folio.ShareWriters {
			require.NoError(t, err)
			require.Equal(t, map[string]int{"before": 10}, viewValues(t, second))
			err = second.Update(func(tx *folio.Tx) error { return nil })
			require.NoError(t, second.Close())
		}
		require.ErrorIs(t, err, folio.ErrLatched)
		require.Equal(t, map[string]int{"before": 10}, viewValues(t, r))
		require.NoError(t, r.Close())
		third := openShared(t, path, o)
		putAll(t, third, 0, 10, "after")
		require.Equal(t, map[string]int{"after": 10}, viewValues(t, third))
	}
}

// TestShareSlowReader: a writer is told of a slow reader in another process, and says
// what it retains.
func TestShareSlowReader(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var slow []folio.SlowReader
	w := openShared(t, path, folio.Options{
		SlowReaderBytes: 1 << 20, OnSlowReader: func(s folio.SlowReader) { slow = append(slow, s) },
	})
	putAll(t, w, 0, 20000, strings.Repeat("x", 100))
	r := openShared(t, path, folio.Options{ReadOnly: true})
	tx, err := r.Begin(false)
	require.NoError(t, err)
	for i := range 4 {
		putAll(t, w, 0, 20000, strings.Repeat(fmt.Sprint(i), 100))
	}
	require.Len(t, slow, 1)
	require.Equal(t, tx.ID(), slow[0].TxID)
	require.Greater(t, slow[0].Retained, int64(1<<20))
	var readers []folio.Reader
	for _, p := range w.Processes() {
		require.Equal(t, os.Getpid(), p.PID)
		require.False(t, p.Dead || p.Foreign)
		readers = append(readers, p.Readers...)
	}
	require.Len(t, readers, 1)
	require.Equal(t, tx.ID(), readers[0].TxID)
	require.Equal(t, slow[0].Retained, readers[0].Retained)
	require.NoError(t, tx.Rollback())
	a, ok := r.Activity()
	require.True(t, ok)
	require.EqualValues(t, 5, a.Transactions)
	require.Equal(t, a.TxID, a.Durable)
}

// TestShareFirstFlush: what was found in the file is made durable before the first
// commit goes over the other meta, whoever found it.
func TestShareFirstFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "one")
	require.NoError(t, w.Close())
	o := folio.Options{Sharing: folio.ShareWriters}
	first, second := openShared(t, path, o), openShared(t, path, o)
	putAll(t, second, 0, 10, "two")
	require.EqualValues(t, 2, second.Stats().Flushes)
	putAll(t, first, 0, 10, "three")
	require.EqualValues(t, 1, first.Stats().Flushes)
}

// TestShareScrub: the meta pages are verified while others read, and left alone while
// somebody may write them.
func TestShareScrub(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "one")
	r := openShared(t, path, folio.Options{ReadOnly: true})
	beside := openShared(t, path, folio.Options{ReadOnly: true})
	scrub := func() (found int) {
		require.NoError(t, r.View(func(tx *folio.Tx) error {
			// Of the two metas, the one that nobody needs is damaged.
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			defer f.Close()
			slot := int64(1 - r.Info().MetaSlot)
			_, err = f.WriteAt([]byte("damage"), slot*4096+200)
			require.NoError(t, err)
			_ = tx.Scrub(t.Context(), folio.ScrubOptions{Rate: -1, Found: func(*folio.CheckError) { found++ }})
			return nil
		}))
		return found
	}
	require.Zero(t, scrub())
	require.NoError(t, w.Close())
	require.Empty(t, viewValues(t, beside)["two"])
	require.Equal(t, 1, scrub())
}

// TestShareTable is the table of docs/processes.md.
func TestShareTable(t *testing.T) {
	kinds := []folio.Options{
		{ReadOnly: true}, {}, {Sharing: folio.ShareWriters},
		{ReadOnly: true, Sharing: folio.ShareNothing}, {Sharing: folio.ShareNothing},
	}
	beside := [5]string{"yyyyn", "ynnnn", "ynynn", "ynnyn", "nnnnn"}
	path := filepath.Join(t.TempDir(), "db")
	for i, first := range kinds {
		for j, second := range kinds {
			w, err := folio.Open(path, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			a, err := folio.Open(path, 0, &first)
			require.NoError(t, err)
			second.Timeout = brief
			b, err := folio.Open(path, 0, &second)
			if want := beside[i][j] == 'y'; want != (err == nil) || !want && err != folio.ErrTimeout {
				t.Errorf("%+v beside %+v: %v", second, first, err)
			}
			if err == nil {
				require.NoError(t, b.Close())
			}
			require.NoError(t, a.Close())
		}
	}
}

// TestShareNoLockFile: where there can be no file beside it, a file is opened alone, and
// who waits is told why.
func TestShareNoLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{Sharing: folio.ShareNothing})
	putAll(t, w, 0, 10, "v")
	require.NoError(t, w.Close())
	require.NoError(t, os.Mkdir(path+"-lock", 0o700)) // cannot be opened as a file
	_, err := folio.Open(path, 0, &folio.Options{Sharing: folio.ShareWriters})
	require.ErrorContains(t, err, "several processes cannot write this file")
	r := openShared(t, path, folio.Options{ReadOnly: true})
	r2 := openShared(t, path, folio.Options{ReadOnly: true, Sharing: folio.ShareWriters})
	require.Equal(t, map[string]int{"v": 10}, viewValues(t, r2))
	_, err = folio.Open(path, 0, &folio.Options{Timeout: brief})
	require.Equal(t, folio.ErrTimeout, err)
	require.Empty(t, r.Processes())
	require.NoError(t, os.Remove(path+"-lock"))
	_, err = folio.Open(path, 0, &folio.Options{Timeout: brief})
	require.Equal(t, folio.ErrTimeout, err)
	require.NoError(t, r.Close())
	require.NoError(t, r2.Close())
	openShared(t, path, folio.Options{})
	require.NoError(t, os.Rename(path+"-lock", path+"-lock2"))
	require.NoError(t, os.Mkdir(path+"-lock", 0o700))
	_, err = folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: brief})
	require.ErrorIs(t, err, folio.ErrTimeout)
	require.ErrorContains(t, err, "cannot be read beside it")
	require.NoError(t, os.Remove(path+"-lock"))
	_, err = folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: brief})
	require.ErrorContains(t, err, "by way of another lock file")
}

// TestShareRewrites: who takes over from a process that has died, while others have the
// file mapped, writes again what that one can have lost in its last flush.
func TestShareRewrites(t *testing.T) {
	for name, o := range map[string]folio.Options{
		"record":  {},
		"relaxed": {Durability: folio.DurabilityNone},
		"weak":    {Durability: folio.DurabilityNone},
		"flushes": {TwoFlushes: true},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			w, err := folio.Open(path, 0o600, &o)
			require.NoError(t, err)
			n := 100
			if name == "weak" {
				n = 30000 // more than a record can list
			}
			putAll(t, w, 0, n, strings.Repeat("v", 100))
			putAll(t, w, 0, n, strings.Repeat("w", 5000/n+90))
			last := w.Stats()
			r := openShared(t, path, folio.Options{ReadOnly: true})
			require.NoError(t, folio.Abandon(w))
			next := openShared(t, path, folio.Options{})
			s := next.Stats()
			if o.TwoFlushes {
				require.EqualValues(t, 1, s.PageWrites, "the meta alone")
			} else {
				require.GreaterOrEqual(t, int64(s.PageWrites), last.TxStats.Pages/2)
			}
			want := map[string]int{strings.Repeat("w", 5000/n+90): n}
			require.Equal(t, want, viewValues(t, r))
			require.Equal(t, want, viewValues(t, next))
		})
	}
}
