package folio_test

// Calls that must be refused, and functions that do not return.

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// openTemp opens a new database for the length of a test.
func openTemp(t *testing.T, o *folio.Options) *folio.DB {
	t.Helper()
	db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, o)
	noErr(t, err)
	t.Cleanup(func() { noErr(t, db.Close()) })
	return db
}

func wantSame(t *testing.T, err, want error) {
	t.Helper()
	if err != want {
		t.Fatalf("error %v, expected %v", err, want)
	}
}

func TestBadInput(t *testing.T) {
	t.Run("keys and values", func(t *testing.T) {
		db := openTemp(t, nil)
		noErr(t, db.Update(func(tx *folio.Tx) error {
			_, err := tx.CreateBucket(nil)
			wantSame(t, err, folio.ErrBucketNameRequired)
			_, err = tx.CreateBucketIfNotExists([]byte{})
			wantSame(t, err, folio.ErrBucketNameRequired)
			_, err = tx.CreateBucket(make([]byte, folio.MaxKeySize+1))
			wantSame(t, err, folio.ErrKeyTooLarge)
			wantSame(t, tx.DeleteBucket(nil), folio.ErrBucketNotFound)
			if tx.Bucket(nil) != nil {
				t.Fatal("a bucket without a name")
			}
			b, err := tx.CreateBucket([]byte("b"))
			noErr(t, err)
			wantSame(t, b.Put(nil, nil), folio.ErrKeyRequired)
			wantSame(t, b.Put(make([]byte, folio.MaxKeySize+1), nil), folio.ErrKeyTooLarge)
			noErr(t, b.Put(make([]byte, folio.MaxKeySize), nil))
			_, err = b.Reserve([]byte("k"), -1)
			wantSame(t, err, folio.ErrValueTooLarge)
			if math.MaxInt > folio.MaxValueSize {
				n := int64(folio.MaxValueSize) + 1 // no constant int where int has 32 bits
				_, err = b.Reserve([]byte("k"), int(n))
				wantSame(t, err, folio.ErrValueTooLarge)
			}
			noErr(t, b.Delete(nil))
			wantSame(t, b.MoveBucket([]byte("none"), tx.Cursor().Bucket()), folio.ErrBucketNotFound)
			_, err = b.CreateBucket([]byte("in"))
			noErr(t, err)
			wantSame(t, b.MoveBucket([]byte("in"), nil), folio.ErrBucketNotFound)
			noErr(t, tx.MoveBucket([]byte("in"), b, nil))
			for _, k := range []string{"1", "2", "3"} {
				noErr(t, b.Put([]byte(k), nil))
			}
			lo, hi := []byte("3"), []byte("1") // the wrong way round
			n, err := b.DeleteRange(lo, hi)
			noErr(t, err)
			if n != 0 || b.Count(lo, hi) != 0 || b.Count(hi, lo) != 2 {
				t.Fatal("there are keys between 3 and 1")
			}
			for range b.Range(lo, hi) {
				t.Fatal("Range goes backwards")
			}
			for range b.RangeBackward(lo, hi) {
				t.Fatal("RangeBackward goes forwards")
			}
			return nil
		}))
	})
	t.Run("read-only transaction", func(t *testing.T) {
		db := openTemp(t, nil)
		noErr(t, db.Update(func(tx *folio.Tx) error { _, err := tx.CreateBucket([]byte("b")); return err }))
		noErr(t, db.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			wantSame(t, b.Put([]byte("k"), nil), folio.ErrTxNotWritable)
			wantSame(t, b.Delete([]byte("k")), folio.ErrTxNotWritable)
			wantSame(t, b.SetSequence(1), folio.ErrTxNotWritable)
			wantSame(t, b.Cursor().Delete(), folio.ErrTxNotWritable)
			wantSame(t, tx.DeleteBucket([]byte("b")), folio.ErrTxNotWritable)
			_, err := b.DeleteRange(nil, nil)
			wantSame(t, err, folio.ErrTxNotWritable)
			_, err = tx.CreateBucket([]byte("c"))
			wantSame(t, err, folio.ErrTxNotWritable)
			return nil
		}))
		tx, err := db.Begin(false)
		noErr(t, err)
		wantSame(t, tx.Commit(), folio.ErrTxNotWritable)
		noErr(t, tx.Rollback())
	})
	t.Run("closed transaction", func(t *testing.T) { testClosedTx(t, openTemp(t, nil)) })
	t.Run("closed database", func(t *testing.T) { testClosedDB(t) })
	t.Run("options", testBadOptions)
}

func testBadOptions(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	for _, tc := range []struct {
		o    folio.Options
		says string
	}{
		{folio.Options{PageSize: 1000}, "page size 1000"}, {folio.Options{PageSize: 2048}, "page size 2048"},
		{folio.Options{PageSize: 1 << 17}, "page size 131072"}, {folio.Options{PageSize: 5000}, "page size 5000"},
		{folio.Options{InitialSize: -1}, "InitialSize is negative"},
		{folio.Options{MaxSize: 1 << 20, InitialSize: 1 << 21}, "do not go together"},
		{folio.Options{MaxSize: -1}, "MaxSize is negative"},
		{folio.Options{MaxSize: 1}, "an empty database has 8192 bytes"},
		{folio.Options{MaxSize: 8191}, "an empty database has 8192 bytes"},
		{folio.Options{MaxSize: 8192, PageSize: 8192}, "an empty database has 16384 bytes"},
		{folio.Options{MaxDirty: -1}, "MaxDirty is negative"},
		{folio.Options{FlushInterval: -1}, "FlushInterval is negative"},
		{folio.Options{FlushBytes: -1}, "FlushBytes is negative"},
		{folio.Options{SlowReaderAge: -1}, "SlowReaderAge is negative"},
		{folio.Options{SlowReaderBytes: -1}, "SlowReaderBytes is negative"},
		{folio.Options{Verify: 99}, "no verify mode 99"}, {folio.Options{Verify: -1}, "no verify mode -1"},
	} {
		db, err := folio.Open(path, 0o600, &tc.o)
		if err == nil {
			_ = db.Close()
			t.Fatalf("%+v: no error", tc.o)
		}
		if !strings.Contains(err.Error(), tc.says) {
			t.Fatalf("%+v: the error is %q, not %q", tc.o, err, tc.says)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Fatalf("%+v: there is a file", tc.o)
		}
	}
	// What is just enough: the database stays empty.
	db, err := folio.Open(path, 0o600, &folio.Options{MaxSize: 8192})
	noErr(t, err)
	wantIs(t, db.Update(func(tx *folio.Tx) error {
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}), folio.ErrMaxSizeReached)
	// No time left is not all the time there is.
	_, err = folio.Open(path, 0o600, &folio.Options{Timeout: -time.Second})
	wantSame(t, err, folio.ErrTimeout)
	noErr(t, db.Close())
}

func testClosedTx(t *testing.T, db *folio.DB) {
	for _, writable := range []bool{true, false} {
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			noErr(t, err)
			return b.Put([]byte("k"), []byte("v"))
		}))
		tx, err := db.Begin(writable)
		noErr(t, err)
		b := tx.Bucket([]byte("b"))
		c := b.Cursor()
		noErr(t, tx.Rollback())
		wantSame(t, tx.Rollback(), folio.ErrTxClosed)
		wantSame(t, tx.Commit(), folio.ErrTxClosed)
		wantSame(t, b.Put([]byte("k"), nil), folio.ErrTxClosed)
		wantSame(t, b.ForEach(nil), folio.ErrTxClosed)
		wantSame(t, tx.ForEach(nil), folio.ErrTxClosed)
		_, err = tx.WriteTo(nil)
		wantSame(t, err, folio.ErrTxClosed)
		wantSame(t, tx.CopyFile("x", 0o600), folio.ErrTxClosed)
		_, err = tx.Page(0)
		wantSame(t, err, folio.ErrTxClosed)
		wantSame(t, foliotestCheck(tx), folio.ErrTxClosed)
		if k, _ := c.First(); k != nil || b.Get([]byte("k")) != nil || tx.Bucket([]byte("b")) != nil ||
			b.Len() != 0 || b.Count(nil, nil) != 0 || tx.DB() != nil || tx.Size() != 0 {
			t.Fatal("a closed transaction returns something")
		}
		if k, _ := b.At(0); k != nil || b.Rank([]byte("z")) != 0 {
			t.Fatal("a closed transaction has positions")
		}
		for range b.All() {
			t.Fatal("a closed transaction has keys")
		}
		wantSame(t, b.MoveBucket([]byte("in"), nil), folio.ErrTxClosed)
	}
}

// foliotestCheck returns the first error of Check as it is.
func foliotestCheck(tx *folio.Tx) (first error) {
	for err := range tx.Check() {
		if first == nil {
			first = err
		}
	}
	return first
}

func testClosedDB(t *testing.T) {
	db := openTemp(t, nil)
	noErr(t, db.Close())
	noErr(t, db.Close())
	wantSame(t, db.View(nil), folio.ErrDatabaseNotOpen)
	wantSame(t, db.Update(nil), folio.ErrDatabaseNotOpen)
	wantSame(t, db.Batch(func(*folio.Tx) error { return nil }), folio.ErrDatabaseNotOpen)
	wantSame(t, db.Sync(), folio.ErrDatabaseNotOpen)
	_, err := db.Begin(true)
	wantSame(t, err, folio.ErrDatabaseNotOpen)
	_, err = db.Begin(false)
	wantSame(t, err, folio.ErrDatabaseNotOpen)
	if db.Info() != nil || db.Stats() != (folio.Stats{}) {
		t.Fatal("a closed database describes itself")
	}
}

// TestFunctionEnds leaves the function of a transaction in every way. Nothing is
// changed, and nothing stays locked.
func TestFunctionEnds(t *testing.T) {
	mustPanic := func(t *testing.T, fn func()) {
		t.Helper()
		defer func() {
			if recover() == nil {
				t.Fatal("no panic")
			}
		}()
		fn()
	}
	put := func(tx *folio.Tx) {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		must(err)
		must(b.Put([]byte("k"), make([]byte, 10_000)))
	}
	for name, leave := range map[string]func(t *testing.T, db *folio.DB){
		"panic": func(t *testing.T, db *folio.DB) {
			mustPanic(t, func() { _ = db.Update(func(tx *folio.Tx) error { put(tx); panic("no") }) })
			mustPanic(t, func() { _ = db.View(func(tx *folio.Tx) error { panic("no") }) })
		},
		"Goexit": func(t *testing.T, db *folio.DB) {
			for _, run := range []func(func(*folio.Tx) error) error{db.View, db.Update} {
				done := make(chan bool)
				go func() {
					defer close(done)
					_ = run(func(tx *folio.Tx) error {
						if tx.Writable() {
							put(tx)
						}
						runtime.Goexit()
						return nil
					})
				}()
				<-done
			}
		},
		"Commit": func(t *testing.T, db *folio.DB) {
			mustPanic(t, func() { _ = db.Update(func(tx *folio.Tx) error { put(tx); return tx.Commit() }) })
		},
		"Rollback": func(t *testing.T, db *folio.DB) {
			mustPanic(t, func() { _ = db.Update(func(tx *folio.Tx) error { put(tx); return tx.Rollback() }) })
			mustPanic(t, func() { _ = db.View(func(tx *folio.Tx) error { return tx.Rollback() }) })
		},
		"nested in a panic": func(t *testing.T, db *folio.DB) {
			mustPanic(t, func() {
				defer func() {
					wantSame(t, db.Update(func(tx *folio.Tx) error { put(tx); return errModel }), errModel)
				}()
				_ = db.Update(func(tx *folio.Tx) error { put(tx); panic("no") })
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTemp(t, nil)
			leave(t, db)
			noErr(t, db.View(func(tx *folio.Tx) error {
				return errors.Join(foliotest.Diff(tx, foliotest.NewBucket()), foliotest.Check(tx))
			}))
			if n := db.Stats().OpenTxN; n != 0 {
				t.Fatalf("%d transactions are open", n)
			}
			noErr(t, db.Update(func(tx *folio.Tx) error { put(tx); return nil }))
		})
	}
}

// TestSecondOpener opens a file that is open.
func TestSecondOpener(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	short := &folio.Options{Timeout: 20 * time.Millisecond}
	_, err = folio.Open(path, 0o600, short)
	wantSame(t, err, folio.ErrTimeout)
	alone := &folio.Options{Timeout: short.Timeout, ReadOnly: true, Sharing: folio.ShareNothing}
	_, err = folio.Open(path, 0o600, alone)
	wantSame(t, err, folio.ErrTimeout)
	waited := make(chan error)
	go func() {
		other, err := folio.Open(path, 0o600, nil) // waits for ever
		if err == nil {
			err = other.Close()
		}
		waited <- err
	}()
	noErr(t, db.Close())
	noErr(t, <-waited)

	reader, err := folio.Open(path, 0o600, alone)
	noErr(t, err)
	second, err := folio.Open(path, 0o600, alone)
	noErr(t, err)
	_, err = folio.Open(path, 0o600, short)
	wantSame(t, err, folio.ErrTimeout)
	noErr(t, errors.Join(reader.Close(), second.Close()))
	db, err = folio.Open(path, 0o600, short)
	noErr(t, err)
	noErr(t, db.Close())
}
