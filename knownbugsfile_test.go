package folio_test

// Bugs that others had with files: locks, copies, replaced files, errors of the
// operating system.

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/meta"
)

// atOnce is an Open that does not wait for others.
var atOnce = &folio.Options{Timeout: time.Millisecond}

// interrupted is a writer that does something before each write.
type interrupted struct {
	bytes.Buffer
	before func()
}

func (w *interrupted) Write(b []byte) (int, error) {
	w.before()
	return w.Buffer.Write(b)
}

// TestBackupWhileWriting: a copy is of one snapshot, whatever is committed, and
// whatever becomes of the file's name, between any two of its writes.
//
// bbolt #67, #1059: a backup raced the writer. bbolt #1058: WriteTo opened the path
// again, where another file was by then.
func TestBackupWhileWriting(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	m := foliotest.NewBucket()
	h := &crashHistory{rnd: rand.New(rand.NewPCG(5, 5))}
	change := func() {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			h.next++
			crashBulk(h, tx, m)
			crashRuns(h, tx, m)
			return nil
		}))
	}
	for range 4 {
		change()
	}
	tx, err := db.Begin(false)
	require.NoError(t, err)
	want := m.Clone()
	change() // the snapshot is not the newest
	writes := 0
	w := &interrupted{before: func() {
		writes++
		change()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("another file"), 0o600))
		require.NoError(t, os.Rename(filepath.Join(dir, "other"), path))
	}}
	n, err := tx.WriteTo(w)
	require.NoError(t, err)
	require.EqualValues(t, w.Len(), n)
	require.NoError(t, tx.Rollback())
	require.Greater(t, writes, 1)
	disk := foliotest.NewDisk()
	disk.Put("db", w.Bytes())
	copied := openDisk(t, disk, nil)
	requireSound(t, copied, want)
	require.NoError(t, copied.Close())
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestCopyOfLiveFile: what cp makes of a file that is being written is parts of several
// states. It opens as one of them, or reads give errors; never a mixture.
//
// etcd #13109: a database was copied with cp.
func TestCopyOfLiveFile(t *testing.T) {
	rnd := rand.New(rand.NewPCG(6, 6))
	copies := 15
	if testing.Short() || invariants.Enabled {
		copies = 2
	}
	for _, f := range damageFiles(t) {
		images := append(f.versions[:len(f.versions):len(f.versions)], f.content)
		for range copies {
			d := &damageTry{damage: &damage{f: f, kind: numPageKinds}, rnd: rnd, verify: folio.VerifyFirstFull}
			for at, image := 0, 0; at < len(f.content); at += f.pageSize {
				if rnd.IntN(30) == 0 {
					image = min(image+rnd.IntN(3), len(images)-1)
				}
				p := f.page(images[image], at/f.pageSize)
				if p == nil {
					break
				}
				d.content = append(d.content, p...)
			}
			db, err := d.opener()()
			if err != nil {
				require.NoError(t, said(err))
				continue
			}
			want := f.states[db.Info().TxID]
			require.NotNil(t, want, "transaction %d", db.Info().TxID)
			s := &survey{db: db, want: want, rnd: rnd, managed: true, verify: d.verify}
			s.all()
			require.Empty(t, s.wrong)
			require.NoError(t, db.Close())
		}
	}
}

// TestFailedMapLeavesNoLock: when the file cannot be mapped, or read, or its size not
// be found, Open gives an error, and nothing stays locked or open.
//
// bbolt #362, #439, #444: a lock stayed held, or rollback panicked, after mmap, munmap
// or mlock had failed.
func TestFailedMapLeavesNoLock(t *testing.T) {
	path, want := filledFile(t)
	for _, op := range []faultfs.Op{faultfs.Read, faultfs.Map, faultfs.Open} {
		plan := faultfs.NewPlan(faultfs.Fault{Op: op, Count: -1, Err: syscall.ENOMEM})
		_, err := folio.OpenFS(faultfs.Wrap(vfs.OS(), plan), path, 0o600, atOnce)
		require.ErrorIs(t, err, syscall.ENOMEM)
		db, err := folio.Open(path, 0o600, atOnce)
		require.NoError(t, err, "after a failure of kind %v", op)
		requireSound(t, db, want)
		require.NoError(t, db.Close())
	}
}

// filledFile returns the path of a database, and what is in it.
func filledFile(t *testing.T) (string, *foliotest.Bucket) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	m, err := specimen(db, 6)
	require.NoError(t, err)
	require.NoError(t, db.Close())
	return path, m
}

// badMetaFS is a file system where a meta page cannot be read.
type badMetaFS struct {
	vfs.FS
	slot int64
}

func (b *badMetaFS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := b.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &badMetaFile{f, b.slot}, nil
}

type badMetaFile struct {
	vfs.File
	slot int64
}

func (f *badMetaFile) ReadAt(b []byte, off int64) (int, error) {
	if off/4096 == f.slot {
		return 0, syscall.EIO
	}
	return f.File.ReadAt(b, off)
}

// TestUnreadableMeta: a meta page that cannot be read is as good as a damaged one. The
// other is taken, and Info says so.
//
// LMDB ITS#7668: a meta without a checksum; one that could not be read failed the open.
func TestUnreadableMeta(t *testing.T) {
	_, content, m := specimenFile(t, false, 4096)
	for slot := range int64(2) {
		disk := foliotest.NewDisk()
		disk.Put("db", content)
		db, err := folio.OpenFS(&badMetaFS{disk, slot}, "db", 0o600, nil)
		require.NoError(t, err)
		require.Contains(t, db.Info().Recovered, syscall.EIO.Error())
		requireSound(t, db, m)
		require.NoError(t, db.Close())
	}
}

// TestReadersSeeWholeCommits: readers that begin all the time while another goroutine
// commits see each commit whole or not at all, and never go back.
//
// LMDB ITS#7635: a reader copied the meta while the writer changed it. ITS#7969: the
// order of stores on weak processors; go test -race looks for that, too.
func TestReadersSeeWholeCommits(t *testing.T) {
	db := openDisk(t, foliotest.NewDisk(), nil)
	put := func(i int) error {
		return db.Update(func(tx *folio.Tx) error {
			for _, name := range []string{"a", "z"} {
				b, err := tx.CreateBucketIfNotExists([]byte(name))
				must(err)
				must(b.Put([]byte("k"), number(i)))
				must(b.Put(number(i), make([]byte, 500)))
			}
			return nil
		})
	}
	require.NoError(t, put(0))
	var ended atomic.Bool
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			last := number(0)
			for !ended.Load() {
				err := db.View(func(tx *folio.Tx) error {
					a, z := tx.Bucket([]byte("a")), tx.Bucket([]byte("z"))
					v := bytes.Clone(a.Get([]byte("k")))
					if w := z.Get([]byte("k")); !bytes.Equal(v, w) || a.Len() != z.Len() || bytes.Compare(v, last) < 0 {
						return fmt.Errorf("%x and %x after %x, %d and %d keys", v, w, last, a.Len(), z.Len())
					}
					last = v
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 300 {
		if err := put(i); err != nil {
			t.Error(err)
		}
	}
	ended.Store(true)
	wg.Wait()
	requireCheck(t, db)
	require.NoError(t, db.Close())
}

// TestExecKeepsNoLock: a process that was started while the database was open holds
// neither its lock nor its file when it has been closed here.
//
// LMDB ITS#8505: a fork shared the environment and its locks.
func TestExecKeepsNoLock(t *testing.T) {
	path, m := filledFile(t)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	sleeper := exec.CommandContext(ctx, "sleep", "1000")
	if err := sleeper.Start(); err != nil {
		t.Skip("no program that sleeps: ", err)
	}
	defer func() { cancel(); _ = sleeper.Wait() }()
	require.NoError(t, db.Close())
	db, err = folio.Open(path, 0o600, atOnce)
	require.NoError(t, err)
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestLockOutlivesOtherDescriptors: opening and closing the file by other means does
// not let its lock go.
//
// SQLite, "how to corrupt": POSIX locks are gone when any descriptor is closed.
func TestLockOutlivesOtherDescriptors(t *testing.T) {
	path, _ := filledFile(t)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	for range 3 {
		_, err := os.ReadFile(path)
		require.NoError(t, err)
		_, err = folio.Open(path, 0o600, atOnce)
		require.Equal(t, folio.ErrTimeout, err)
	}
	require.NoError(t, db.Close())
}

// TestLinksShareTheLock: a file that is open under one name is not opened again under
// another.
//
// SQLite, "how to corrupt": one file under two names.
func TestLinksShareTheLock(t *testing.T) {
	path, m := filledFile(t)
	hard, soft := path+".hard", path+".soft"
	require.NoError(t, os.Link(path, hard))
	require.NoError(t, os.Symlink(path, soft))
	names := []string{path, hard, soft}
	for _, first := range names {
		db, err := folio.Open(first, 0o600, nil)
		require.NoError(t, err)
		for _, second := range names {
			_, err := folio.Open(second, 0o600, atOnce)
			require.Equal(t, folio.ErrTimeout, err)
		}
		requireSound(t, db, m)
		require.NoError(t, db.Close())
	}
}

// TestReplacedFile: who waits for a file's lock gets the file that has the name when
// the wait is over, not the one that had it before, which nobody could find again.
//
// SQLite, "how to corrupt": a file is renamed or removed while it is open.
func TestReplacedFile(t *testing.T) {
	for name, replace := range map[string]func(path, other string) error{
		"replaced": func(path, other string) error { return os.Rename(other, path) },
		"removed":  func(path, _ string) error { return os.Remove(path) },
	} {
		t.Run(name, func(t *testing.T) {
			path, m := filledFile(t)
			other, _ := filledFile(t)
			holder, err := folio.Open(path, 0o600, nil)
			require.NoError(t, err)
			result := make(chan error)
			go func() {
				db, err := folio.Open(path, 0o600, nil)
				if err == nil {
					err = db.Update(func(tx *folio.Tx) error { _, err := tx.CreateBucket([]byte("late")); return err })
				}
				if err == nil {
					err = db.Close()
				}
				result <- err
			}()
			for runtime.GOOS == "linux" && openDescriptors(path) < 2 {
				time.Sleep(time.Millisecond) // until the other has the old file open, and waits
			}
			require.NoError(t, replace(path, other))
			requireSound(t, holder, m)
			require.NoError(t, holder.Close())
			require.NoError(t, <-result)
			db, err := folio.Open(path, 0o600, atOnce)
			require.NoError(t, err)
			require.NoError(t, db.View(func(tx *folio.Tx) error {
				require.NotNil(t, tx.Bucket([]byte("late")), "the change went to a file without a name")
				return nil
			}))
			require.NoError(t, db.Close())
		})
	}
}

// openDescriptors returns how often this process has the file at path open.
func openDescriptors(path string) (n int) {
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil && target == path {
			n++
		}
	}
	return n
}

// TestReadersAndWriterInOneGoroutine: a reader that is open does not keep the file from
// growing, a writer does not keep readers from beginning, and readers can be nested.
//
// boltdb #378, #392, bbolt #151, #854: a reader, and a writer that had to map the file
// anew, waited for each other.
func TestReadersAndWriterInOneGoroutine(t *testing.T) {
	path, m := filledFile(t)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	before := m.Clone()
	require.NoError(t, db.View(func(outer *folio.Tx) error {
		for i := range 5 {
			must(db.Update(func(tx *folio.Tx) error {
				b, bm := crashBucket(tx, m, "grown")
				for j := range 200 {
					k, v := fmt.Sprint(i, " ", j), make([]byte, 1000<<i)
					must(b.Put([]byte(k), v))
					bm.Put(k, v)
				}
				return db.View(func(inner *folio.Tx) error { return inner.Err() })
			}))
			must(db.View(func(inner *folio.Tx) error { return foliotest.Diff(inner, m) }))
		}
		return foliotest.Diff(outer, before)
	}))
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestPagesBeyond4GiB: pages whose offsets need more than 32 bits are read, freed and
// written like others.
//
// redb #515: addresses of pages beyond 4 GB overflowed.
func TestPagesBeyond4GiB(t *testing.T) {
	path, m := filledFile(t)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	hwm := int(db.Stats().Size / 4096)
	require.NoError(t, db.Close())
	if err := growTo(path, 5<<30); err != nil {
		t.Skip("no sparse file of 5 GiB: ", err)
	}
	db, err = folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	put := func(n int) {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "far")
			for i := range n {
				k, v := fmt.Sprint("key ", i), bytes.Repeat([]byte{byte(n)}, 5000)
				must(b.Put([]byte(k), v))
				bm.Put(k, v)
			}
			return nil
		}))
	}
	// Every page below 5 GiB is in use, as the file says, so these are behind it.
	put(300)
	put(299)
	require.Greater(t, db.Stats().Size, int64(5<<30))
	far := 0
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		for id := range usedPages(t, tx) {
			if id > 4<<30/4096 {
				far++
			}
		}
		require.NoError(t, foliotest.Diff(tx, m))
		return nil
	}))
	require.Greater(t, far, 300, "of a file that had %d pages", hwm)
	require.NoError(t, db.Close())
	db, err = folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
	require.NoError(t, db.Close())
}

// growTo makes a closed file one whose high-water mark is at size bytes. The pages up
// to there are lost; they are a hole.
func growTo(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, meta.Size)
	for slot := range page.NumMetas {
		if _, err := f.ReadAt(b, int64(slot)*4096); err != nil {
			return err
		}
		m, err := meta.Decode(b, slot)
		if err != nil {
			return err
		}
		m.HighWater = page.ID(size / 4096)
		m.Record, m.Synced, m.Clean = nil, true, true
		clear(b)
		meta.Encode(b, &m, slot)
		if _, err := f.WriteAt(b, int64(slot)*4096); err != nil {
			return err
		}
	}
	return f.Truncate(size)
}
