package folio_test

// Tests of things that went wrong once.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/meta"
)

func openNew(t *testing.T) *folio.DB {
	db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// TestOpenDanglingLink: opening a symbolic link to nothing creates its target.
func TestOpenDanglingLink(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "link")))
	db, err := folio.Open(filepath.Join(dir, "link"), 0o600, &folio.Options{Timeout: time.Second})
	require.NoError(t, err)
	require.NoError(t, db.Close())
	require.FileExists(t, filepath.Join(dir, "target"))
}

// TestOpenErrorsCompare: programs ask os.IsNotExist and compare with ErrTimeout.
func TestOpenErrorsCompare(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	_, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
	require.True(t, os.IsNotExist(err), "%v", err)
	_, err = folio.Open("", 0o600, nil)
	require.ErrorContains(t, err, "path is empty")
	_, err = folio.Open(filepath.Join(path, "no", "dir"), 0o600, nil)
	require.True(t, os.IsNotExist(err), "%v", err)
}

// TestCheckErrorOfRoot: what Check says of the top level names it, and of one page speaks of
// one.
func TestCheckErrorOfRoot(t *testing.T) {
	in := caseFile(t, func(tx *folio.Tx) { numbers(tx, "a page of its own, all in all", 50, "a") }).wreck(top)
	disk := foliotest.NewDisk()
	disk.Put("db", in.content)
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	var found []string
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			found = append(found, err.Error())
		}
		return nil
	}))
	require.Len(t, found, 2)
	require.Contains(t, found[0], "bucket /, keys from the first to the last: ")
	require.Contains(t, found[1], ": it is neither in use nor free")
}

// TestCopyFileIsDurable: a copy gets its name when all of it is on the disk, and its name is
// on the disk when CopyFile returns.
func TestCopyFileIsDurable(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(putAs("a", 300, 1000)))
	plan, dir := faultfs.NewPlan(), t.TempDir()
	folio.CopyThrough(db, faultfs.Wrap(vfs.OS(), plan))
	path := filepath.Join(dir, "copy")
	copyFile := func() error {
		return db.View(func(tx *folio.Tx) error { return tx.CopyFile(path, 0o600) })
	}
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Sync} {
		plan.Add(faultfs.Fault{Op: op, Err: syscall.EIO})
		require.ErrorIs(t, copyFile(), syscall.EIO)
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	var size, named int64
	plan.Add(
		faultfs.Fault{Op: faultfs.Sync, Err: syscall.EIO, Hit: func(faultfs.Op, int64) {
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Len(t, left, 1)
			info, err := left[0].Info()
			require.NoError(t, err)
			size = info.Size()
		}},
		faultfs.Fault{Op: faultfs.SyncDir, Err: syscall.EIO, Hit: func(faultfs.Op, int64) {
			info, err := os.Stat(path)
			require.NoError(t, err)
			named = info.Size()
		}})
	require.ErrorIs(t, copyFile(), syscall.EIO)
	require.ErrorIs(t, copyFile(), syscall.EIO)
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.Equal(t, tx.Size(), size, "it is synced when all is written")
		require.Equal(t, tx.Size(), named, "the directory is synced when it has its name")
		return nil
	}))
	require.NoError(t, copyFile())
}

// TestCopyFileOntoItself: who replaced the file of an open database would go on with one
// that has no name, and lose what is committed after that.
func TestCopyFileOntoItself(t *testing.T) {
	db := openNew(t)
	dir := t.TempDir()
	require.NoError(t, os.Symlink(db.Path(), filepath.Join(dir, "link")))
	require.NoError(t, os.Link(db.Path(), filepath.Join(dir, "hard link")))
	for _, path := range []string{db.Path(), filepath.Join(dir, "link"), filepath.Join(dir, "hard link")} {
		require.ErrorContains(t, db.View(func(tx *folio.Tx) error { return tx.CopyFile(path, 0o600) }), "of this database")
	}
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 2)
	require.NoError(t, db.Update(putAs("a", 300, 1000)))
	path := db.Path()
	require.NoError(t, db.Close())
	db, err = folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.EqualValues(t, 300, tx.Bucket([]byte("b")).Len())
		return nil
	}))
}

// TestWriteToCounts: WriteTo returns how much it has written, also when it fails.
func TestWriteToCounts(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(putAs("a", 3000, 1000)))
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		for _, most := range []int64{0, 1, 1_500_000, tx.Size()} {
			w := &shortWriter{left: most}
			n, err := tx.WriteTo(w)
			require.Equal(t, most, n)
			if most == tx.Size() {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, io.ErrShortWrite)
			}
		}
		return nil
	}))
}

// shortWriter takes that many bytes.
type shortWriter struct{ left int64 }

func (w *shortWriter) Write(p []byte) (int, error) {
	n := int(min(w.left, int64(len(p))))
	w.left -= int64(n)
	if n < len(p) {
		return n, io.ErrShortWrite
	}
	return n, nil
}

// TestCopyFileKeepsDevices: a copy to a pipe or a device goes there, and a link is
// followed.
func TestCopyFileKeepsDevices(t *testing.T) {
	db := openNew(t)
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "target"), nil, 0o600))
	require.NoError(t, os.Symlink("target", filepath.Join(dir, "link")))
	require.NoError(t, db.View(func(tx *folio.Tx) error { return tx.CopyFile(filepath.Join(dir, "link"), 0o600) }))
	info, err := os.Lstat(filepath.Join(dir, "link"))
	require.NoError(t, err)
	require.Equal(t, os.ModeSymlink, info.Mode().Type())
	copied, err := folio.Open(filepath.Join(dir, "target"), 0o600, &folio.Options{ReadOnly: true})
	require.NoError(t, err)
	require.NoError(t, copied.Close())

	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	go func() {
		defer w.Close()
		if runtime.GOOS == "linux" {
			_ = db.View(func(tx *folio.Tx) error {
				return tx.CopyFile(fmt.Sprintf("/proc/self/fd/%d", w.Fd()), 0o600)
			})
		}
	}()
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	if runtime.GOOS == "linux" {
		require.Len(t, got, 2*4096)
	}
}

// TestMoveBucketTooDeep: what is below the moved bucket counts, opened or not.
func TestMoveBucketTooDeep(t *testing.T) {
	db := openNew(t)
	chain := func(tx *folio.Tx, name string, depth int) *folio.Bucket {
		b, err := tx.CreateBucketIfNotExists([]byte(name))
		require.NoError(t, err)
		for range depth - 1 {
			b, err = b.CreateBucketIfNotExists([]byte("b"))
			require.NoError(t, err)
		}
		return b
	}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		chain(tx, "long", folio.MaxBucketDepth-10)
		return nil
	}))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		require.Equal(t, folio.ErrBucketTooDeep, tx.MoveBucket([]byte("long"), nil, chain(tx, "short", 11)))
		return tx.MoveBucket([]byte("long"), nil, chain(tx, "shorter", 10))
	}))
	require.NoError(t, db.View(foliotest.Check))
}

// TestRootSequence: the root bucket, reached through its cursor, keeps its sequence.
func TestRootSequence(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(func(tx *folio.Tx) error { return tx.Cursor().Bucket().SetSequence(7) }))
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.EqualValues(t, 7, tx.Cursor().Bucket().Sequence())
		return nil
	}))
}

// TestBatchGoexit: a function that ends its goroutine ends its caller's, and does
// not hold up the others in its batch.
func TestBatchGoexit(t *testing.T) {
	db := openNew(t)
	db.MaxBatchSize = 2
	db.MaxBatchDelay = time.Hour
	gone := make(chan bool)
	go func() {
		defer close(gone)
		_ = db.Batch(func(*folio.Tx) error { runtime.Goexit(); return nil })
	}()
	err := db.Batch(func(tx *folio.Tx) error {
		_, err := tx.CreateBucketIfNotExists([]byte("b"))
		return err
	})
	require.NoError(t, err)
	<-gone
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.NotNil(t, tx.Bucket([]byte("b")))
		return nil
	}))
}

// TestSpillFailedInGroup: a transaction that is too large for the file, and has failed
// while its pages were written early, leaves nothing to those that share its flush.
func TestSpillFailedInGroup(t *testing.T) {
	h := newHeld(t, folio.Options{MaxDirty: 64 << 10, MaxSize: 2 << 20})
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	synced, release := h.syncHeld()
	before := h.update(putAs("b", 3, 10))
	large := h.update(putAs("c", 1000, 3000))
	after := h.update(putAs("d", 3, 10))
	release <- nil
	require.NoError(t, <-synced)
	require.NoError(t, <-before)
	require.ErrorIs(t, <-large, folio.ErrMaxSizeReached)
	require.NoError(t, <-after)
	h.mustHold("a3 b3 d3 ")
	require.NoError(t, h.db.Close())
}

// TestBatchDurability: a function that need not be durable does not weaken one that
// must be, and shares its transaction.
func TestBatchDurability(t *testing.T) {
	db := openNew(t)
	db.MaxBatchSize = 3
	db.MaxBatchDelay = time.Hour
	for range 10 { // in whatever order they come
		before := db.Stats().Flushes
		var wg sync.WaitGroup
		for _, d := range []folio.Durability{folio.DurabilityFull, folio.DurabilityNone, folio.DurabilityNone} {
			wg.Go(func() {
				err := db.Batch(func(tx *folio.Tx) error {
					return errors.Join(tx.SetDurability(d), tx.Cursor().Bucket().SetSequence(before))
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		require.Greater(t, db.Stats().Flushes, before)
	}
}

// TestForeignZeros: what begins with zeros is taken for a creation that was cut off only
// if it can be one. All else is somebody's.
func TestForeignZeros(t *testing.T) {
	magic := string(meta.Magic[:])
	for _, c := range []struct {
		content  string
		pageSize int
		ours     bool
	}{
		{strings.Repeat("\x00", 2*4096), 0, true},
		{strings.Repeat("\x00", 2*4096+1), 0, false},
		{strings.Repeat("\x00", 2*4096+1), 8192, true},
		{strings.Repeat("\x00", 100_000), 0, false},
		{strings.Repeat("\x00", 4096) + magic[:5], 0, true},
		{strings.Repeat("\x00", 65536) + magic, 0, true},
		{strings.Repeat("\x00", 4096) + "a letter", 0, false},
	} {
		path := filepath.Join(t.TempDir(), "db")
		require.NoError(t, os.WriteFile(path, []byte(c.content), 0o600))
		db, err := folio.Open(path, 0o600, &folio.Options{PageSize: c.pageSize})
		if c.ours {
			require.NoError(t, err)
			require.NoError(t, db.Close())
			continue
		}
		require.ErrorIs(t, err, folio.ErrInvalid)
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, c.content, string(content))
	}
}
