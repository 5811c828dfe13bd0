package folio_test

// The sizes that are promised: of keys, values, files, and of nesting.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
)

// number returns n as a key that sorts like it.
func number(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(n)) }

func TestTinyBuckets(t *testing.T) {
	t.Parallel()
	n := 1_000_000
	if testing.Short() || invariants.Enabled {
		n = 20_000
	}
	db := openTemp(t, nil)
	for i := 0; i < n; i += n / 4 {
		noErr(t, db.Update(func(tx *folio.Tx) error {
			top, err := tx.CreateBucketIfNotExists([]byte("top"))
			must(err)
			for j := i; j < i+n/4; j++ {
				b, err := top.CreateBucket(number(j))
				must(err)
				must(b.Put([]byte("k"), number(j)))
			}
			return nil
		}))
	}
	noErr(t, db.View(func(tx *folio.Tx) error {
		top := tx.Bucket([]byte("top"))
		for i := 0; i < n; i += 997 {
			if v := top.Bucket(number(i)).Get([]byte("k")); !bytes.Equal(v, number(i)) {
				return fmt.Errorf("bucket %d holds %x", i, v)
			}
		}
		return errors.Join(tx.Err(), foliotest.Check(tx))
	}))
	// A header, a leaf and a name, in pages that are about two thirds full.
	if size := db.Stats().Size; size > int64(n)*256 {
		t.Fatalf("%d buckets take %d bytes each", n, size/int64(n))
	}
	t.Logf("%d bytes a bucket", db.Stats().Size/int64(n))
}

func TestNesting(t *testing.T) {
	db := openTemp(t, nil)
	name := []byte("in")
	for _, depth := range []int{1000, folio.MaxBucketDepth} {
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists(name)
			must(err)
			for range depth - 1 {
				b, err = b.CreateBucketIfNotExists(name)
				must(err)
			}
			must(b.Put([]byte("k"), number(depth)))
			return nil
		}))
		noErr(t, db.View(func(tx *folio.Tx) error {
			b := tx.Bucket(name)
			for range depth - 1 {
				b = b.Bucket(name)
			}
			if v := b.Get([]byte("k")); !bytes.Equal(v, number(depth)) {
				return fmt.Errorf("level %d holds %x", depth, v)
			}
			return foliotest.Check(tx)
		}))
	}
	wantSame(t, db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket(name)
		for range folio.MaxBucketDepth - 1 {
			b = b.Bucket(name)
		}
		_, err := b.CreateBucket(name)
		return err
	}), folio.ErrBucketTooDeep)
	noErr(t, db.Update(func(tx *folio.Tx) error { return tx.DeleteBucket(name) }))
	noErr(t, db.View(func(tx *folio.Tx) error {
		return errors.Join(foliotest.Diff(tx, foliotest.NewBucket()), foliotest.Check(tx))
	}))
}

func TestLargeValues(t *testing.T) {
	sizes := []int{1 << 20, 5<<20 + 3}
	if !testing.Short() && !invariants.Enabled {
		sizes = append(sizes, 120<<20)
	}
	if *longFlag {
		sizes = append(sizes, folio.MaxValueSize)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			db := openTemp(t, nil)
			noErr(t, db.Update(func(tx *folio.Tx) error {
				b, err := tx.CreateBucket([]byte("b"))
				must(err)
				v, err := b.Reserve([]byte("k"), size)
				must(err)
				v[0], v[size/2], v[size-1] = 1, 2, 3
				return nil
			}))
			noErr(t, db.View(func(tx *folio.Tx) error {
				v := tx.Bucket([]byte("b")).Get([]byte("k"))
				if len(v) != size || cap(v) != size || v[0] != 1 || v[size/2] != 2 || v[size-1] != 3 {
					return fmt.Errorf("a value of %d bytes came back as %d", size, len(v))
				}
				return foliotest.Check(tx)
			}))
		})
	}
}

func TestMaxSize(t *testing.T) {
	db := openTemp(t, &folio.Options{MaxSize: 1 << 20})
	put := func(n int) error {
		return db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(err)
			return b.Put([]byte("k"), make([]byte, n))
		})
	}
	noErr(t, put(300_000))
	wantIs(t, put(2<<20), folio.ErrMaxSizeReached)
	for i := range 20 {
		noErr(t, put(300_000+i))
	}
	wantIs(t, put(2<<20), folio.ErrMaxSizeReached)
	noErr(t, db.View(foliotest.Check))
	if size := db.Stats().FileSize; size > 1<<20 {
		t.Fatalf("the file has %d bytes", size)
	}
}

func TestOpenOptions(t *testing.T) {
	size := func(path string) int64 {
		info, err := os.Stat(path)
		noErr(t, err)
		return info.Size()
	}
	t.Run("defaults", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		db, err := folio.Open(path, 0o600, nil)
		noErr(t, err)
		if db.Info().PageSize != 4096 || size(path) > 16<<10 {
			t.Fatalf("pages of %d, a file of %d bytes", db.Info().PageSize, size(path))
		}
		noErr(t, db.Close())
	})
	t.Run("initial size", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		const initial = 50<<20 - 1
		for range 2 {
			db, err := folio.Open(path, 0o600, &folio.Options{InitialSize: initial})
			noErr(t, err)
			for range 3 {
				if got := size(path); got < initial || got > initial+4096 {
					t.Fatalf("a file of %d bytes", got)
				}
				_, err := specimen(db, 6)
				noErr(t, err)
			}
			noErr(t, db.Close())
		}
		db, err := folio.Open(path, 0o600, nil)
		noErr(t, err)
		noErr(t, db.View(foliotest.Check))
		noErr(t, db.Close())
	})
	t.Run("populate and lock", func(t *testing.T) {
		db := openTemp(t, &folio.Options{Populate: true, Mlock: true})
		m, err := specimen(db, 6)
		noErr(t, err)
		noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
	})
	t.Run("in memory", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "db")
		db, err := folio.Open(path, 0o600, &folio.Options{InMemory: true})
		noErr(t, err)
		m, err := specimen(db, 6)
		noErr(t, err)
		noErr(t, db.View(func(tx *folio.Tx) error { return errors.Join(foliotest.Diff(tx, m), foliotest.Check(tx)) }))
		noErr(t, db.Close())
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("a file: %v", err)
		}
	})
	t.Run("open file hook", testOpenFileHook)
}

func testOpenFileHook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	calls := 0
	o := &folio.Options{OpenFile: func(name string, flag int, perm os.FileMode) (*os.File, error) {
		calls++
		return os.OpenFile(name, flag, perm)
	}}
	m := foliotest.NewBucket()
	for range 2 {
		db, err := folio.Open(path, 0o600, o)
		noErr(t, err)
		noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
		m, err = specimen(db, 6)
		noErr(t, err)
		noErr(t, db.Update(func(tx *folio.Tx) error {
			for _, name := range m.Subs() {
				must(tx.DeleteBucket([]byte(name)))
			}
			m = foliotest.NewBucket()
			return nil
		}))
		noErr(t, db.Close())
	}
	if calls != 2 {
		t.Fatalf("%d calls of OpenFile", calls)
	}
}

// TestRootValues keeps plain values, and a sequence, in the root bucket, which can
// be had from a cursor.
func TestRootValues(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	want := foliotest.NewBucket()
	for i := range 3 {
		db, err := folio.Open(path, 0o600, nil)
		noErr(t, err)
		noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, want) }))
		noErr(t, db.Update(func(tx *folio.Tx) error {
			root := tx.Cursor().Bucket()
			must(root.Put([]byte("k"), number(i)))
			want.Put("k", number(i))
			_, err := root.NextSequence()
			want.Sequence++
			return errors.Join(err, foliotest.Diff(tx, want), foliotest.Check(tx))
		}))
		noErr(t, db.View(func(tx *folio.Tx) error { return errors.Join(foliotest.Diff(tx, want), foliotest.Check(tx)) }))
		noErr(t, db.Update(func(tx *folio.Tx) error {
			_, err := tx.Cursor().Bucket().NextSequence()
			want.Sequence++
			return err
		}))
		noErr(t, db.Close())
	}
}
