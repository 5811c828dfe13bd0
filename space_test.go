package folio_test

// What becomes of pages: they come back, they are reused, and nobody looks at more
// of them than the task needs.

import (
	"bytes"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
)

// countFS counts the bytes that are read by calls, and those that are pulled into
// the map, which a page is when it is first touched.
type countFS struct {
	vfs.FS
	read, touched atomic.Int64
}

func (c *countFS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := c.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &countFile{f, c}, nil
}

type countFile struct {
	vfs.File
	c *countFS
}

func (f *countFile) ReadAt(b []byte, off int64) (int, error) {
	f.c.read.Add(int64(len(b)))
	return f.File.ReadAt(b, off)
}

func (f *countFile) Map(length int64) (vfs.Mapping, error) {
	m, err := f.File.Map(length)
	if err != nil {
		return nil, err
	}
	return &countMapping{m, f.c}, nil
}

type countMapping struct {
	vfs.Mapping
	c *countFS
}

func (m *countMapping) Populate(off, n int64) error {
	m.c.touched.Add(n)
	return m.Mapping.Populate(off, n)
}

func (m *countMapping) Fetch(off, n int64) error {
	m.c.touched.Add(n)
	return m.Mapping.Fetch(off, n)
}

// fillMany puts n keys of about size bytes in order.
func fillMany(t *testing.T, db *folio.DB, n, size int) {
	t.Helper()
	noErr(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		must(err)
		for i := range n {
			must(b.Put(number(i), bytes.Repeat([]byte{byte(i)}, size)))
		}
		return nil
	}))
}

// TestReadsLittle opens a large file, and removes most of what is in it, without
// reading it: after a clean close, and after none.
func TestReadsLittle(t *testing.T) {
	for _, clean := range []bool{true, false} {
		t.Run(fmt.Sprintf("clean %v", clean), func(t *testing.T) {
			mem := vfs.NewMem()
			db, err := folio.OpenFS(mem, "db", 0o600, nil)
			noErr(t, err)
			fillMany(t, db, 100_000, 100)
			noErr(t, db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put(number(5), nil) }))
			size := db.Stats().FileSize
			if clean {
				noErr(t, db.Close())
			} else {
				f, err := mem.OpenFile("db", os.O_RDWR, 0)
				noErr(t, err)
				b := make([]byte, size)
				_, err = f.ReadAt(b, 0)
				noErr(t, err)
				noErr(t, db.Close())
				_, err = f.WriteAt(b, 0)
				noErr(t, err)
				noErr(t, f.Truncate(size))
			}
			count := &countFS{FS: mem}
			db, err = folio.OpenFS(count, "db", 0o600, nil)
			noErr(t, err)
			if got := count.read.Load() + count.touched.Load(); got > 64<<10 {
				t.Fatalf("opening a file of %d bytes read %d", size, got)
			}
			noErr(t, db.Update(func(tx *folio.Tx) error {
				n, err := tx.Bucket([]byte("b")).DeleteRange(number(100), number(99_900))
				if err == nil && n != 99_800 {
					err = fmt.Errorf("%d keys removed", n)
				}
				return err
			}))
			// The branches, and the leaves at both ends.
			if got := count.read.Load() + count.touched.Load(); got > 300<<10 {
				t.Fatalf("DeleteRange in a file of %d bytes read %d", size, got)
			}
			t.Logf("a file of %d bytes, %d read, %d touched", size, count.read.Load(), count.touched.Load())
			noErr(t, db.View(foliotest.Check))
			noErr(t, db.Close())
		})
	}
}

// TestEmptied takes everything out of a bucket, in every way.
func TestEmptied(t *testing.T) {
	const n = 5000
	for name, empty := range map[string]func(tx *folio.Tx) error{
		"Delete": func(tx *folio.Tx) error {
			for _, i := range rand.New(rand.NewPCG(1, 1)).Perm(n) {
				must(tx.Bucket([]byte("b")).Delete(number(i)))
			}
			return nil
		},
		"DeleteRange": func(tx *folio.Tx) error {
			_, err := tx.Bucket([]byte("b")).DeleteRange(nil, nil)
			return err
		},
		"Cursor.Delete": func(tx *folio.Tx) error {
			c := tx.Bucket([]byte("b")).Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				must(c.Delete())
			}
			return nil
		},
		"DeleteBucket": func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) },
	} {
		t.Run(name, func(t *testing.T) {
			db := openTemp(t, nil)
			fillMany(t, db, n, 300)
			before := db.Stats()
			noErr(t, db.Update(empty))
			noErr(t, db.View(foliotest.Check))
			s := db.Stats()
			// What is left: two metas, the root bucket's leaf.
			if used := int(s.Size/4096) - s.FreePageN - s.PendingPageN; used > 4 {
				t.Fatalf("%d pages of %d are still in use", used, before.Size/4096)
			}
			fillMany(t, db, n, 300)
			fillMany(t, db, n, 300)
			if after := db.Stats().Size; after > 3*before.Size {
				t.Fatalf("the file grew from %d to %d bytes", before.Size, after)
			}
		})
	}
}

// TestLongReader overwrites all keys again and again while a reader is open: what
// is born and freed after its snapshot is reused.
func TestLongReader(t *testing.T) {
	t.Parallel()
	n, rounds := 200_000, 12
	if testing.Short() || invariants.Enabled {
		n, rounds = 10_000, 5
	}
	db := openTemp(t, nil)
	fillMany(t, db, n, 40)
	live := db.Stats().Size
	reader, err := db.Begin(false)
	noErr(t, err)
	order := rand.New(rand.NewPCG(1, 1)).Perm(n)
	for round := range rounds {
		for part := range 4 {
			noErr(t, db.Update(func(tx *folio.Tx) error {
				b := tx.Bucket([]byte("b"))
				for _, i := range order[part*n/4 : (part+1)*n/4] {
					must(b.Put(number(i), bytes.Repeat([]byte{byte(round)}, 40)))
				}
				return nil
			}))
		}
	}
	b := reader.Bucket([]byte("b"))
	for i := range n {
		if v := b.Get(number(i)); len(v) != 40 || v[0] != byte(i) {
			t.Fatalf("the reader sees %x at key %d", v, i)
		}
	}
	noErr(t, foliotest.Check(reader))
	noErr(t, reader.Rollback())
	noErr(t, db.View(foliotest.Check))
	size := db.Stats().Size
	t.Logf("%d overwrites: %.1f times the live data", n*rounds, float64(size)/float64(live))
	// The reader's pages, the live ones, those of the commit before and those of
	// the commit in progress, and some for pieces that do not fit.
	if size > 7*live {
		t.Fatalf("%d bytes of live data take %d", live, size)
	}
}

// TestManyReaders has a reader of each of many states, in all the slots that there are: all
// of them keep their pages.
func TestManyReaders(t *testing.T) {
	t.Parallel()
	db := openTemp(t, nil)
	put := func(i int) {
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(err)
			return b.Put([]byte("key"), bytes.Repeat(number(i), 500))
		}))
	}
	var readers []*folio.Tx
	for i := range 3 * 64 {
		put(i)
		tx, err := db.Begin(false)
		noErr(t, err)
		readers = append(readers, tx)
	}
	for i := range 8 {
		put(1000 + i)
	}
	for i, tx := range readers {
		if v := tx.Bucket([]byte("b")).Get([]byte("key")); !bytes.Equal(v, bytes.Repeat(number(i), 500)) {
			t.Fatalf("reader %d sees %.20q", i, v)
		}
		noErr(t, foliotest.Check(tx))
		noErr(t, tx.Rollback())
	}
}

// TestRandomUpdates overwrites random keys for as long as it takes to replace each
// page several times: commits stay in few pieces, and the file does not grow.
func TestRandomUpdates(t *testing.T) {
	t.Parallel()
	const n, puts = 150_000, 50
	commits := 5000
	if testing.Short() || invariants.Enabled {
		commits = 300
	}
	fs := vfs.NewMem()
	db, err := folio.OpenFS(fs, "db", 0o600, nil)
	noErr(t, err)
	defer func() { noErr(t, db.Close()) }()
	fillMany(t, db, n, 100)
	live := db.Stats().Size
	r := rand.New(rand.NewPCG(1, 1))
	update := func(commits int) folio.Stats {
		before := db.Stats()
		for range commits {
			noErr(t, db.Update(func(tx *folio.Tx) error {
				b := tx.Bucket([]byte("b"))
				for range puts {
					i := r.IntN(n)
					must(b.Put(number(i), bytes.Repeat([]byte{byte(i)}, 100)))
				}
				return nil
			}))
		}
		after := db.Stats()
		return after.Sub(&before)
	}
	update(commits / 2)
	d := update(commits)
	noErr(t, db.View(foliotest.Check))
	size := db.Stats().Size
	pieces, pages := float64(d.Writes)/float64(commits), float64(d.PageWrites)/float64(commits)
	t.Logf("%.1f pieces and %.0f pages a commit, %.2f times the live data", pieces, pages, float64(size)/float64(live))
	if pieces > 8 || float64(size) > 2.3*float64(live) {
		t.Fatalf("%.1f pieces a commit, %d bytes of live data take %d", pieces, live, size)
	}
	// One that opens the file and has not seen its pages yet does as well.
	noErr(t, db.Close())
	db, err = folio.OpenFS(fs, "db", 0o600, nil)
	noErr(t, err)
	d = update(200)
	if again := float64(d.Writes) / 200; again > pieces+2 {
		t.Fatalf("%.1f pieces a commit, after it was opened again %.1f", pieces, again)
	}
}

// TestManyFreePages gives a file ten million free pages, in a million pieces, and
// counts what a commit of one key writes.
func TestManyFreePages(t *testing.T) {
	t.Parallel()
	pieces := 1_000_000
	if testing.Short() || invariants.Enabled {
		pieces = 50_000
	}
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	fillMany(t, db, 1000, 100)
	hwm := page.ID(db.Stats().Size / 4096)
	noErr(t, db.Close())
	free := addFreePages(t, path, hwm, pieces)

	db, err = folio.Open(path, 0o600, nil)
	noErr(t, err)
	defer db.Close()
	put := func(i int) error {
		return db.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put(number(i), nil) })
	}
	noErr(t, put(0))
	if got := db.Stats().FreePageN; uint64(got)+10 < free {
		t.Fatalf("%d pages are free, expected %d", got, free)
	}
	const commits = 300
	before := db.Stats()
	for i := range commits {
		noErr(t, put(i))
	}
	after := db.Stats()
	d := after.Sub(&before)
	t.Logf("%d free pages in %d pieces: %.2f pages and %.0f bytes a commit, %d freelist pages in %d commits",
		after.FreePageN, pieces, float64(d.PageWrites)/commits, float64(d.ByteWrites)/commits, d.TxStats.SpacePages, commits)
	if d.PageWrites > 6*commits || d.ByteWrites > 6*commits*4096 {
		t.Fatalf("%d pages in %d commits", d.PageWrites, commits)
	}
}

// addFreePages makes a closed file longer by pieces of ten free pages with a lost
// one between them, by a checkpoint of its free space, and returns how many pages
// that are. The file is sparse.
func addFreePages(t *testing.T, path string, hwm page.ID, pieces int) uint64 {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	noErr(t, err)
	defer f.Close()
	b := make([]byte, meta.Size)
	var newest meta.Meta
	for slot := range 2 {
		_, err = f.ReadAt(b, int64(slot)*4096)
		noErr(t, err)
		if m, err := meta.Decode(b, slot); err == nil && m.TxID >= newest.TxID {
			newest = m
		}
	}
	var d freelist.Delta
	for i := range pieces {
		d.Freed = append(d.Freed, freelist.Extent{Start: hwm + page.ID(i*11), Len: 10})
	}
	list, err := freelist.Load(nil, [][]byte{d.Append(nil)}, hwm+page.ID(pieces*11))
	noErr(t, err)
	payload := list.AppendCheckpoint(nil)
	n := (len(payload) + freelist.PageOverhead + 4095) / 4096
	m := newest
	link := freelist.Link{ID: hwm + page.ID(pieces*11), Birth: m.TxID, Pages: uint32(n)}
	run := make([]byte, n*4096)
	p := freelist.Page{Checkpoint: true, Payload: payload}
	p.Encode(run, link)
	page.Page(run).Seal(link.ID, m.FileID)
	_, err = f.WriteAt(run, int64(link.ID)*4096)
	noErr(t, err)
	m.HighWater = link.ID + page.ID(n)
	m.Freelist = meta.Freelist{Head: link.ID, HeadBirth: link.Birth, HeadPages: link.Pages, FreePages: list.Free()}
	m.Record, m.Synced, m.Clean = nil, true, true
	for slot := range 2 {
		meta.Encode(b, &m, slot)
		_, err = f.WriteAt(b, int64(slot)*4096)
		noErr(t, err)
	}
	return list.Free()
}
