package bbolt_test

// The tests of what differs between bbolt and folio, and of what programs depend on
// beyond signatures. bbolt's own tests (make compat-bolt) say the rest.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/foliodb/folio"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

func open(t *testing.T, o *bolt.Options) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(filepath.Join(t.TempDir(), "test.db"), 0o600, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// must ends the test if there is an error.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// fill puts keys a to j into the bucket b, and a bucket f among them.
func fill(t *testing.T, db *bolt.DB) {
	t.Helper()
	must(t, db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		must(t, err)
		for k := 'a'; k <= 'j'; k++ {
			if k == 'f' {
				_, err = b.CreateBucket([]byte("f"))
			} else {
				err = b.Put([]byte(string(k)), []byte{byte(k)})
			}
			must(t, err)
		}
		return nil
	}))
}

func TestOpenBoltFile(t *testing.T) {
	for name, at := range map[string]int{"first meta page": 16, "second meta page": 4096 + 16} {
		file := make([]byte, 4*4096)
		binary.NativeEndian.PutUint32(file[at:], 0xED0CDAED)
		path := filepath.Join(t.TempDir(), "old.db")
		must(t, os.WriteFile(path, file, 0o600))
		_, err := bolt.Open(path, 0o600, nil)
		if !errors.Is(err, berrors.ErrInvalid) || !strings.Contains(err.Error(), "kvctl import "+path) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, file) {
			t.Errorf("%s: the file was changed (%v)", name, err)
		}
	}
}

func TestOpenErrors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	if _, err := bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true}); !os.IsNotExist(err) {
		t.Error("missing:", err)
	}
	must(t, os.WriteFile(path, bytes.Repeat([]byte("text "), 2000), 0o600))
	if _, err := bolt.Open(path, 0o600, nil); err != berrors.ErrInvalid {
		t.Error("text:", err)
	}
	must(t, os.Remove(path))
	db, err := bolt.Open(path, 0o600, nil)
	must(t, err)
	_, err = bolt.Open(path, 0o600, &bolt.Options{Timeout: 20 * time.Millisecond})
	if err != bolt.ErrTimeout || err != berrors.ErrTimeout || err.Error() != "timeout" {
		t.Error("locked:", err)
	}
	must(t, db.Close())
	if err := db.Close(); err != nil {
		t.Error("closed twice:", err)
	}
	if err := db.Sync(); err != bolt.ErrDatabaseNotOpen {
		t.Error("sync after close:", err)
	}
	db, err = bolt.Open(path, 0o600, &bolt.Options{ReadOnly: true})
	must(t, err)
	if _, err := db.Begin(true); err != bolt.ErrDatabaseReadOnly {
		t.Error("writing a read-only database:", err)
	}
	must(t, db.Close())
}

// TestZeroDB: programs call methods of a DB that was never opened.
func TestZeroDB(t *testing.T) {
	var db bolt.DB
	none := func(*bolt.Tx) error { return nil }
	for name, err := range map[string]error{"View": db.View(none), "Update": db.Update(none), "Batch": db.Batch(none), "Sync": db.Sync()} {
		if err != bolt.ErrDatabaseNotOpen {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := db.Close(); err != nil || db.Logger() == nil || db.Info().PageSize != 0 || db.Stats().TxN != 0 {
		t.Error(err)
	}
}

func TestPageSize(t *testing.T) {
	for asked, want := range map[int]int{0: 4096, 512: 4096, 4096: 4096, 5000: 8192, 65536: 65536, 1 << 20: 65536} {
		path := filepath.Join(t.TempDir(), "test.db")
		for _, again := range []int{asked, 16384} { // of a file that exists it means nothing
			db, err := bolt.Open(path, 0o600, &bolt.Options{PageSize: again})
			must(t, err)
			if got := db.Info().PageSize; got != want {
				t.Errorf("pages of %d, then %d, bytes asked for: %d", asked, again, got)
			}
			must(t, db.Close())
		}
	}
}

func TestOpenFile(t *testing.T) {
	dir := t.TempDir()
	other := filepath.Join(dir, "other")
	calls := 0
	db, err := bolt.Open(filepath.Join(dir, "path"), 0o600, &bolt.Options{
		PageSize: 8192,
		OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
			calls++
			return os.OpenFile(other, flag, mode)
		},
	})
	must(t, err)
	if calls != 1 || db.Path() != other || db.Info().PageSize != 8192 {
		t.Error(calls, db.Path(), db.Info().PageSize)
	}
	fill(t, db)
	must(t, db.Close())
	failing := errors.New("no")
	_, err = bolt.Open("x", 0o600, &bolt.Options{OpenFile: func(string, int, os.FileMode) (*os.File, error) { return nil, failing }})
	if err != failing {
		t.Error(err)
	}
}

func TestMaxSize(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	grow := func(maxSize, bytes int) error {
		db, err := bolt.Open(path, 0o600, &bolt.Options{MaxSize: maxSize})
		must(t, err)
		defer db.Close()
		if db.MaxSize != maxSize {
			t.Error("MaxSize is", db.MaxSize)
		}
		return db.Update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			return b.Put([]byte("k"), make([]byte, bytes))
		})
	}
	must(t, grow(0, 1<<20))
	if err := grow(1, 8<<20); !errors.Is(err, berrors.ErrMaxSizeReached) { // the file is larger already
		t.Error(err)
	}
	must(t, grow(0, 8<<20))
	path = filepath.Join(t.TempDir(), "new.db")
	if err := grow(1, 1); !errors.Is(err, berrors.ErrMaxSizeReached) { // Open says nothing
		t.Error(err)
	}
}

// TestNoSync looks at flushes: there are none while NoSync is set, whenever that was.
func TestNoSync(t *testing.T) {
	db := open(t, nil)
	put := func(update func(func(*bolt.Tx) error) error) uint64 {
		before := db.Folio().Stats().Flushes
		must(t, update(func(tx *bolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(t, err)
			return b.Put([]byte("k"), []byte(time.Now().String()))
		}))
		return db.Folio().Stats().Flushes - before
	}
	byHand := func(fn func(*bolt.Tx) error) error {
		tx, err := db.Begin(true)
		must(t, err)
		must(t, fn(tx))
		return tx.Commit()
	}
	for name, update := range map[string]func(func(*bolt.Tx) error) error{"Update": db.Update, "Batch": db.Batch, "Begin": byHand} {
		db.NoSync = false
		if n := put(update); n == 0 {
			t.Errorf("%s: no flush", name)
		}
		db.NoSync = true
		if n := put(update); n != 0 {
			t.Errorf("%s with NoSync: %d flushes", name, n)
		}
	}
}

func TestCursorDifferences(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	must(t, db.Update(func(tx *bolt.Tx) error {
		c := tx.Bucket([]byte("b")).Cursor()
		if k, _ := c.Next(); k != nil {
			t.Errorf("Next of a new cursor: %s", k)
		}
		if k, _ := c.Prev(); k != nil {
			t.Errorf("Prev of a new cursor: %s", k)
		}
		if c.Bucket().Tx() != tx {
			t.Error("the cursor is of another transaction")
		}
		var left []string
		for k, v := c.Seek([]byte("c")); k != nil; k, v = c.Next() {
			if v == nil {
				if err := c.Delete(); err != bolt.ErrIncompatibleValue {
					t.Error("deleting a bucket:", err)
				}
				continue
			}
			must(t, c.Delete())
			left = append(left, string(k))
		}
		if got := strings.Join(left, ""); got != "cdeghij" {
			t.Error("keys deleted:", got)
		}
		return nil
	}))
}

func TestClosedTx(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	tx, err := db.Begin(true)
	must(t, err)
	b := tx.Bucket([]byte("b"))
	c := b.Cursor()
	must(t, tx.Commit())
	if err := tx.Rollback(); err != bolt.ErrTxClosed {
		t.Error("Rollback:", err)
	}
	if err := tx.Commit(); err != bolt.ErrTxClosed {
		t.Error("Commit:", err)
	}
	if err := b.Put([]byte("k"), nil); err != bolt.ErrTxClosed {
		t.Error("Put:", err)
	}
	if _, err := tx.WriteTo(&bytes.Buffer{}); err != bolt.ErrTxClosed {
		t.Error("WriteTo:", err)
	}
	if k, _ := c.First(); k != nil || tx.DB() != nil || tx.Bucket([]byte("b")) != nil {
		t.Error("something works")
	}
	if tx.Stats().WriteTime == 0 || tx.Stats().CursorCount != 1 {
		t.Errorf("%+v", tx.Stats())
	}
	for err := range tx.Check() {
		if err != bolt.ErrTxClosed {
			t.Error("Check:", err)
		}
	}
}

func TestBucketErrors(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	must(t, db.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		empty, err := tx.CreateBucket([]byte("empty"))
		must(t, err)
		_, exists := tx.CreateBucket([]byte("b"))
		_, noName := tx.CreateBucket(nil)
		_, onKey := b.CreateBucketIfNotExists([]byte("a"))
		for name, e := range map[string]struct{ got, want error }{
			"exists":                {exists, bolt.ErrBucketExists},
			"no name":               {noName, bolt.ErrBucketNameRequired},
			"on a key":              {onKey, bolt.ErrIncompatibleValue},
			"delete key":            {b.DeleteBucket([]byte("a")), bolt.ErrIncompatibleValue},
			"delete none":           {b.DeleteBucket([]byte("none")), bolt.ErrBucketNotFound},
			"delete empty name":     {b.DeleteBucket(nil), bolt.ErrBucketNotFound},
			"delete in empty":       {empty.DeleteBucket(nil), bolt.ErrIncompatibleValue},
			"delete in empty, name": {empty.DeleteBucket([]byte("x")), bolt.ErrBucketNotFound},
			"delete at the top":     {tx.DeleteBucket(nil), bolt.ErrBucketNotFound},
			"put on bucket":         {b.Put([]byte("f"), nil), bolt.ErrIncompatibleValue},
			"put no key":            {b.Put(nil, nil), bolt.ErrKeyRequired},
			"put long key":          {b.Put(make([]byte, bolt.MaxKeySize+1), nil), bolt.ErrKeyTooLarge},
			"move none, same":       {b.MoveBucket([]byte("none"), b), bolt.ErrBucketNotFound},
			"move key, same":        {b.MoveBucket([]byte("a"), b), bolt.ErrIncompatibleValue},
			"move same":             {b.MoveBucket([]byte("f"), b), berrors.ErrSameBuckets},
			"move none":             {tx.MoveBucket([]byte("none"), nil, b), bolt.ErrBucketNotFound},
			"move":                  {tx.MoveBucket([]byte("f"), b, nil), nil},
		} {
			if e.got != e.want {
				t.Errorf("%s: %v instead of %v", name, e.got, e.want)
			}
		}
		if b.Bucket([]byte("f")) != nil || tx.Bucket([]byte("f")) == nil {
			t.Error("the bucket was not moved")
		}
		return nil
	}))
}

// TestBucketsAreFolios opens a bucket here and with folio: it is the same memory, and
// bbolt's field and the way back to the transaction are in it.
func TestBucketsAreFolios(t *testing.T) {
	db := open(t, nil)
	check := func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("top"))
		if b.Folio() != tx.Folio().Bucket([]byte("top")) || b != tx.Bucket([]byte("top")) {
			t.Error("another bucket")
		}
		root := tx.Cursor().Bucket()
		for _, b := range []*bolt.Bucket{b, root, b.Cursor().Bucket(), root.Bucket([]byte("top"))} {
			if b.Tx() != tx || b.FillPercent != bolt.DefaultFillPercent {
				t.Errorf("fill percent %v, and the transaction is lost: %t", b.FillPercent, b.Tx() != tx)
			}
		}
		return nil
	}
	must(t, db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("top"))
		must(t, err)
		must(t, check(tx))
		b.FillPercent = 1 // programs set it
		return nil
	}))
	must(t, db.View(check))
}

// TestNothingIsWrapped counts allocations: transactions and cursors are folio's by
// another name as well.
func TestNothingIsWrapped(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	var c *bolt.Cursor // outlives its function, as in a struct
	var own *folio.Cursor
	for name, calls := range map[string]struct{ here, folios func() error }{
		"View": {
			func() error { return db.View(func(tx *bolt.Tx) error { return nil }) },
			func() error { return db.Folio().View(func(tx *folio.Tx) error { return nil }) },
		},
		"Bucket": {
			func() error {
				return db.View(func(tx *bolt.Tx) error { _ = tx.Bucket([]byte("b")).Bucket([]byte("f")); return nil })
			},
			func() error {
				return db.Folio().View(func(tx *folio.Tx) error { _ = tx.Bucket([]byte("b")).Bucket([]byte("f")); return nil })
			},
		},
		"Cursor": {
			func() error { return db.View(func(tx *bolt.Tx) error { c = tx.Cursor(); return nil }) },
			func() error { return db.Folio().View(func(tx *folio.Tx) error { own = tx.Cursor(); return nil }) },
		},
		"Begin": {
			func() error { tx, err := db.Begin(true); return errors.Join(err, tx.Rollback()) },
			func() error { tx, err := db.Folio().Begin(true); return errors.Join(err, tx.Rollback()) },
		},
		"Update": {
			func() error { return db.Update(func(tx *bolt.Tx) error { return nil }) },
			func() error { return db.Folio().Update(func(tx *folio.Tx) error { return nil }) },
		},
	} {
		count := func(call func() error) float64 {
			return testing.AllocsPerRun(100, func() { must(t, call()) })
		}
		if here, folios := count(calls.here), count(calls.folios); here > folios {
			t.Errorf("%s takes %v allocations, and folio's own %v", name, here, folios)
		}
	}
	if c == nil || own == nil {
		t.Error("no cursor")
	}
}

// TestSharedReader opens buckets of one reader in several goroutines.
func TestSharedReader(t *testing.T) {
	db := open(t, nil)
	const buckets = 50
	must(t, db.Update(func(tx *bolt.Tx) error {
		top, err := tx.CreateBucket([]byte("top"))
		must(t, err)
		for i := range buckets {
			in, err := top.CreateBucket(fmt.Appendf(nil, "a rather long name of a bucket, with number %d", i))
			must(t, err)
			must(t, in.Put([]byte("k"), fmt.Append(nil, i)))
		}
		return nil
	}))
	must(t, db.View(func(tx *bolt.Tx) error {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 2000 {
					n := (i*7 + g) % buckets
					in := tx.Bucket([]byte("top")).Bucket(fmt.Appendf(nil, "a rather long name of a bucket, with number %d", n))
					if got := string(in.Get([]byte("k"))); got != fmt.Sprint(n) {
						t.Errorf("bucket %d has %s", n, got)
						return
					}
					if tx.Bucket([]byte("nothing")) != nil {
						t.Error("a bucket that is not there")
					}
				}
			})
		}
		wg.Wait()
		return nil
	}))
}

// TestTxID: programs keep versions by the number of the transaction that made them.
func TestTxID(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	last := 1
	for range 3 {
		db, err := bolt.Open(path, 0o600, nil)
		must(t, err)
		reader := func() (id int) {
			must(t, db.View(func(tx *bolt.Tx) error { id = tx.ID(); return nil }))
			return id
		}
		if id := reader(); id < last {
			t.Errorf("the first reader is %d after %d", id, last)
		}
		last = reader()
		for range 5 {
			must(t, db.Update(func(tx *bolt.Tx) error {
				if tx.ID() != last+1 {
					t.Errorf("the writer is %d after %d", tx.ID(), last)
				}
				last = tx.ID()
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				must(t, err)
				_, err = b.NextSequence()
				return err
			}))
			if id := reader(); id != last {
				t.Errorf("the reader is %d after %d", id, last)
			}
		}
		must(t, db.Close())
	}
}

type failingWriter struct{ left int }

var errFull = errors.New("full")

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestWriteTo(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	must(t, db.View(func(tx *bolt.Tx) error {
		for slot := range 2 {
			n, err := tx.WriteTo(&failingWriter{left: slot * 4096})
			if !errors.Is(err, errFull) || err.Error() != fmt.Sprintf("meta %d copy: full", slot) || n != int64(slot)*4096 {
				t.Error(n, err)
			}
		}
		if n, err := tx.WriteTo(&failingWriter{left: 2 * 4096}); err != errFull || n != 2*4096 {
			t.Error(n, err)
		}
		var copied bytes.Buffer
		n, err := tx.WriteTo(&copied)
		if must(t, err); n != tx.Size() || int64(copied.Len()) != n {
			t.Errorf("%d bytes of %d", n, tx.Size())
		}
		return os.WriteFile(db.Path()+".copy", copied.Bytes(), 0o600)
	}))
	again, err := bolt.Open(db.Path()+".copy", 0o600, nil)
	must(t, err)
	defer again.Close()
	must(t, again.View(func(tx *bolt.Tx) error {
		if tx.Bucket([]byte("b")).Get([]byte("j")) == nil {
			t.Error("the copy has not all")
		}
		return nil
	}))
}

func TestCompactAndInspect(t *testing.T) {
	src, dst := open(t, nil), open(t, nil)
	fill(t, src)
	must(t, src.Update(func(tx *bolt.Tx) error {
		b := tx.Bucket([]byte("b"))
		must(t, b.SetSequence(7))
		f := b.Bucket([]byte("f"))
		must(t, f.SetSequence(8))
		for i := range 100 {
			must(t, f.Put(fmt.Append(nil, i), make([]byte, 50)))
		}
		return nil
	}))
	must(t, bolt.Compact(dst, src, 300)) // many transactions
	inspect := func(db *bolt.DB) (s string) {
		must(t, db.View(func(tx *bolt.Tx) error {
			b := tx.Bucket([]byte("b"))
			s = fmt.Sprintf("%+v %d %d", tx.Inspect(), b.Sequence(), b.Bucket([]byte("f")).Sequence())
			return b.ForEach(func(k, v []byte) error {
				s += fmt.Sprintf(" %s=%s", k, v)
				return nil
			})
		}))
		return s
	}
	want := "{Name:root KeyN:0 Children:[{Name:b KeyN:9 Children:[{Name:f KeyN:100 Children:[]}]}]} 7 8" +
		" a=a b=b c=c d=d e=e f= g=g h=h i=i j=j"
	for _, db := range []*bolt.DB{src, dst} {
		if got := inspect(db); got != want {
			t.Errorf("%s\nis not\n%s", got, want)
		}
	}
	if err := bolt.Compact(dst, src, 0); err != bolt.ErrBucketExists {
		t.Error("compacting into a database that has it all:", err)
	}
}

func TestStatsAndLogger(t *testing.T) {
	var text bytes.Buffer
	lg := &bolt.DefaultLogger{Logger: log.New(&text, "", 0)}
	lg.EnableDebug()
	db := open(t, &bolt.Options{Logger: lg})
	fill(t, db)
	before := db.Stats()
	must(t, db.View(func(tx *bolt.Tx) error {
		tx.Bucket([]byte("b")).Cursor()
		if s := db.Stats(); s.OpenTxN != 1 {
			t.Errorf("%+v", s)
		}
		return nil
	}))
	after := db.Stats()
	if d := after.Sub(&before); d.TxN != 1 || d.TxStats.GetCursorCount() != 1 || after.TxStats.Write == 0 || after.TxStats.WriteTime == 0 {
		t.Errorf("%+v", d)
	}
	if err := db.Update(func(tx *bolt.Tx) error { _, err := tx.CreateBucket([]byte("b")); return err }); err != bolt.ErrBucketExists {
		t.Error(err)
	}
	for _, want := range []string{"INFO: Opening ", "DEBUG: Committing a transaction", "ERROR: Creating a bucket failed: bucket already exists"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("the log has no %q:\n%s", want, text.String())
		}
	}
	none := open(t, &bolt.Options{NoStatistics: true})
	fill(t, none)
	if none.Stats() != (bolt.Stats{}) {
		t.Errorf("%+v", none.Stats())
	}
}

// TestStrictMode damages a page that no commit writes again, and commits.
func TestStrictMode(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	var page int
	must(t, db.Update(func(tx *bolt.Tx) error {
		b, err := tx.CreateBucket([]byte("other"))
		must(t, err)
		return b.Put([]byte("k"), make([]byte, 3000))
	}))
	must(t, db.View(func(tx *bolt.Tx) error {
		page = int(tx.Bucket([]byte("other")).Root())
		return nil
	}))
	db.StrictMode = true
	commit := func() (panicked any) {
		defer func() { panicked = recover() }()
		must(t, db.Update(func(tx *bolt.Tx) error { return tx.Bucket([]byte("b")).Put([]byte("a"), []byte("new")) }))
		return nil
	}
	if p := commit(); p != nil {
		t.Fatal(p)
	}
	f, err := os.OpenFile(db.Path(), os.O_WRONLY, 0)
	must(t, err)
	_, err = f.WriteAt([]byte("damage"), int64(page)*4096+2000)
	must(t, errors.Join(err, f.Close()))
	if p := commit(); p == nil || !strings.Contains(fmt.Sprint(p), "check fail") {
		t.Error("StrictMode has not noticed:", p)
	}
	must(t, db.View(func(tx *bolt.Tx) error {
		var found []string
		for err := range tx.Check(bolt.WithKVStringer(bolt.HexKVStringer())) {
			found = append(found, err.Error())
		}
		if want := fmt.Sprintf("bucket %x, keys from", "other"); !strings.Contains(strings.Join(found, "\n"), want) {
			t.Errorf("%q is not in %q", want, found)
		}
		return nil
	}))
}

// TestBatchFields: a program sets them after Open.
func TestBatchFields(t *testing.T) {
	db := open(t, nil)
	db.MaxBatchSize, db.MaxBatchDelay = 3, time.Hour
	fill(t, db)
	var wg sync.WaitGroup
	for i := range 9 {
		wg.Go(func() {
			err := db.Batch(func(tx *bolt.Tx) error { return tx.Bucket([]byte("b")).Put(fmt.Append(nil, i), nil) })
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait() // for an hour, if the size meant nothing
	if db.Folio().MaxBatchSize != 3 || db.Folio().MaxBatchDelay != time.Hour {
		t.Error(db.Folio().MaxBatchSize, db.Folio().MaxBatchDelay)
	}
}

// TestFolio uses what bbolt has not in the middle of a program for it.
func TestFolio(t *testing.T) {
	db := open(t, nil)
	fill(t, db)
	must(t, db.Update(func(tx *bolt.Tx) error {
		if n := tx.Bucket([]byte("b")).Folio().Count([]byte("b"), []byte("e")); n != 3 {
			t.Error(n)
		}
		return tx.Folio().SetDurability(folio.DurabilityRelaxed)
	}))
}
