package folio_test

// What only the system can do to a database: a file that is truncated under the
// map, permissions, read-only places, directories.

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// filled returns the path of a database with a few hundred pages.
func filled(t *testing.T) (string, *foliotest.Bucket) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	m := foliotest.NewBucket()
	h := &crashHistory{}
	noErr(t, db.Update(func(tx *folio.Tx) error {
		b, bm := crashBucket(tx, m, "b")
		for i := range 5000 {
			h.crashPut(b, bm, fmt.Sprintf("key %05d", i), 100)
		}
		in, err := b.CreateBucket([]byte("zz nested"))
		must(err)
		bm.PutSub("zz nested", foliotest.NewBucket())
		for i := range 500 {
			h.crashPut(in, bm.Sub("zz nested"), fmt.Sprintf("key %05d", i), 100)
		}
		return nil
	}))
	noErr(t, db.Close())
	return path, m
}

// skipEmulated skips tests of faults where the emulator delivers no SIGBUS (make
// s390x).
func skipEmulated(t *testing.T) {
	if os.Getenv("FOLIO_EMULATED") != "" {
		t.Skip("emulated: no SIGBUS")
	}
}

// TestFaultTruncated truncates the file under an open map: an error, and the
// process lives.
func TestFaultTruncated(t *testing.T) {
	skipEmulated(t)
	for _, warm := range []bool{false, true} {
		for _, size := range []int64{0, 8192, 100_000} {
			t.Run(fmt.Sprintf("to %d, warm %v", size, warm), func(t *testing.T) {
				path, m := filled(t)
				db, err := folio.Open(path, 0o600, nil)
				noErr(t, err)
				if warm { // all pages are verified, and nothing is checked any more
					noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
				}
				byHand, err := db.Begin(false)
				noErr(t, err)
				noErr(t, os.Truncate(path, size))
				testTruncated(t, db, byHand)
				_ = db.Close()
			})
		}
	}
}

// TestFaultInStep truncates the file under a cursor that is in the middle of a leaf, where it
// moves by steps, in a transaction begun by hand.
func TestFaultInStep(t *testing.T) {
	skipEmulated(t)
	for _, writable := range []bool{false, true} {
		for name, move := range map[string]func(*folio.Cursor) ([]byte, []byte){
			"Next": (*folio.Cursor).Next, "Prev": (*folio.Cursor).Prev,
		} {
			t.Run(fmt.Sprintf("%s, writable %v", name, writable), func(t *testing.T) {
				path, _ := filled(t)
				db, err := folio.Open(path, 0o600, nil)
				noErr(t, err)
				defer db.Close()
				tx, err := db.Begin(writable)
				noErr(t, err)
				defer func() { _ = tx.Rollback() }()
				c := tx.Bucket([]byte("b")).Cursor()
				c.Seek([]byte("key 02500"))
				for range 50 { // past the end of the leaf that it began in
					if k, _ := move(c); k == nil {
						t.Fatal(tx.Err())
					}
				}
				noErr(t, os.Truncate(path, 8192))
				if k, _ := move(c); k != nil {
					t.Fatalf("%q from a page that is gone", k)
				}
				wantIs(t, tx.Err(), folio.ErrFault)
				if k, _ := c.First(); k != nil {
					t.Fatal("a move after the fault returns something")
				}
				wantIs(t, tx.Rollback(), folio.ErrFault)
			})
		}
	}
}

func testTruncated(t *testing.T, db *folio.DB, byHand *folio.Tx) {
	walk := func(tx *folio.Tx) error {
		for range tx.Bucket([]byte("b")).All() {
		}
		return nil
	}
	wantIs(t, db.View(walk), folio.ErrFault)
	wantIs(t, db.Update(walk), folio.ErrFault)

	b := byHand.Bucket([]byte("b"))
	if b != nil {
		for i := range 5000 {
			b.Get([]byte(fmt.Sprintf("key %05d", i)))
		}
	}
	wantIs(t, byHand.Err(), folio.ErrFault)
	if b != nil && (b.Get([]byte("key 00000")) != nil || b.Count(nil, nil) != 0) {
		t.Fatal("a lookup after the fault returns something")
	}
	wantIs(t, byHand.Rollback(), folio.ErrFault)

	for name, change := range truncatedChanges {
		err := db.Update(change)
		if !errors.Is(err, folio.ErrFault) && !errors.Is(err, folio.ErrLatched) {
			t.Fatalf("%s in Update: %v", name, err)
		}
		tx, err := db.Begin(true)
		if err != nil {
			continue // latched, or the free space cannot be read
		}
		if err := change(tx); err == nil {
			err = tx.Commit()
			if !errors.Is(err, folio.ErrFault) {
				t.Fatalf("%s by hand: %v", name, err)
			}
			continue
		}
		wantIs(t, tx.Rollback(), folio.ErrFault)
	}
}

var truncatedChanges = map[string]func(tx *folio.Tx) error{
	"put": func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := 0; i < 5000 && err == nil; i++ {
			err = b.Put([]byte(fmt.Sprintf("key %05d", i)), nil)
		}
		return err
	},
	"delete range": func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err == nil {
			_, err = b.DeleteRange([]byte("key 00001"), []byte("key 04000"))
		}
		return err
	},
	"delete bucket": func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("b")) },
	"cursor": func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		c := b.Cursor()
		for k, _ := c.First(); k != nil && err == nil; k, _ = c.Next() {
			if string(k) == "zz nested" {
				break
			}
			err = c.Delete()
		}
		return errors.Join(err, tx.Err())
	},
}

// TestFaultInCopy copies a file that was truncated. The error names the first page that the
// system cannot supply.
func TestFaultInCopy(t *testing.T) {
	path, _ := filled(t)
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	defer db.Close()
	tx, err := db.Begin(false)
	noErr(t, err)
	defer tx.Rollback()
	noErr(t, os.Truncate(path, 5*4096+100))
	_, written := tx.WriteTo(io.Discard)
	for _, err := range []error{written, tx.CopyFile(path+".copy", 0o600), tx.CopyFile(os.DevNull, 0o600)} {
		wantIs(t, err, folio.ErrFault)
		if s := err.Error(); strings.Count(s, "folio:") != 1 || !strings.Contains(s, "page 5:") {
			t.Error(s)
		}
	}
}

// TestFaultInCommit truncates the file between a change and its commit, which
// needs a page that is not there any more.
func TestFaultInCommit(t *testing.T) {
	skipEmulated(t)
	path, m := filled(t)
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
	tx, err := db.Begin(true)
	noErr(t, err)
	in := tx.Bucket([]byte("b")).Bucket([]byte("zz nested"))
	_, err = in.NextSequence()
	noErr(t, err)
	noErr(t, os.Truncate(path, 8192))
	wantIs(t, tx.Commit(), folio.ErrFault)
	_ = db.Close()
}

// asNobody runs fn without the rights of root.
func asNobody(t *testing.T, fn func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		fn()
		return
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	noErr(t, syscall.Setfsuid(65534))
	defer syscall.Setfsuid(0)
	fn()
}

func TestFaultPermissions(t *testing.T) {
	path, m := filled(t)
	dir := filepath.Dir(path)
	for d := dir; len(d) > len(os.TempDir()); d = filepath.Dir(d) {
		noErr(t, os.Chmod(d, 0o755))
	}
	open := func(path string, o *folio.Options) (db *folio.DB, err error) {
		asNobody(t, func() { db, err = folio.Open(path, 0o600, o) })
		return db, err
	}
	t.Run("none", func(t *testing.T) {
		noErr(t, os.Chmod(path, 0))
		_, err := open(path, nil)
		wantIs(t, err, fs.ErrPermission)
		_, err = open(path, &folio.Options{ReadOnly: true})
		wantIs(t, err, fs.ErrPermission)
	})
	t.Run("read-only file", func(t *testing.T) {
		noErr(t, os.Chmod(path, 0o444))
		_, err := open(path, nil)
		wantIs(t, err, fs.ErrPermission)
		db, err := open(path, &folio.Options{ReadOnly: true})
		noErr(t, err)
		noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
		noErr(t, db.Close())
	})
	t.Run("read-only directory", func(t *testing.T) {
		noErr(t, os.Chmod(dir, 0o555))
		_, err := open(filepath.Join(dir, "new"), nil)
		wantIs(t, err, fs.ErrPermission)
		noErr(t, os.Chmod(path, 0o666))
		db, err := open(path, nil)
		noErr(t, err)
		noErr(t, db.Close())
		noErr(t, os.Chmod(dir, 0o755))
	})
	t.Run("directory", func(t *testing.T) {
		_, err := folio.Open(dir, 0o600, nil)
		wantIs(t, err, syscall.EISDIR)
		if _, err := folio.Open(dir, 0o600, &folio.Options{ReadOnly: true}); err == nil {
			t.Fatal("a directory was opened")
		}
	})
	t.Run("no such directory", func(t *testing.T) {
		_, err := folio.Open(filepath.Join(dir, "none", "db"), 0o600, nil)
		wantIs(t, err, fs.ErrNotExist)
		_, err = folio.Open(filepath.Join(dir, "none"), 0o600, &folio.Options{ReadOnly: true})
		wantIs(t, err, fs.ErrNotExist)
	})
}

// TestFaultReadOnlyUnclean opens a file for reading only that was not closed.
func TestFaultReadOnlyUnclean(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	noErr(t, err)
	m, err := specimen(db, 6)
	noErr(t, err)
	content, err := os.ReadFile(path)
	noErr(t, err)
	noErr(t, db.Close())
	copied := path + " copy"
	noErr(t, os.WriteFile(copied, content, 0o444))
	db, err = folio.Open(copied, 0o600, &folio.Options{ReadOnly: true})
	noErr(t, err)
	noErr(t, db.View(func(tx *folio.Tx) error {
		return errors.Join(foliotest.Diff(tx, m), foliotest.Check(tx))
	}))
	if _, err := db.Begin(true); err != folio.ErrDatabaseReadOnly {
		t.Fatalf("Begin(true): %v", err)
	}
	noErr(t, db.Close())
	after, err := os.ReadFile(copied)
	noErr(t, err)
	if string(after) != string(content) {
		t.Fatal("the file has changed")
	}
}
