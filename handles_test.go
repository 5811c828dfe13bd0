package folio_test

// The tests of Buckets as objects: which of them is returned when, and whose memory it
// has.

import (
	"fmt"
	"sync"
	"testing"

	"github.com/foliodb/folio"
)

// nestedDB returns a database with buckets b0, b1, ... in the bucket top, some of them
// with names that are longer than what a handle has room for. Each has its name in k.
func nestedDB(t *testing.T, n int) (*folio.DB, [][]byte) {
	t.Helper()
	db, err := folio.Open("", 0, &folio.Options{InMemory: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	var names [][]byte
	err = db.Update(func(tx *folio.Tx) error {
		top, err := tx.CreateBucket([]byte("top"))
		for i := 0; i < n && err == nil; i++ {
			name := fmt.Appendf(nil, "b%d", i)
			if i%3 == 0 {
				name = fmt.Appendf(nil, "the bucket with a long name and number %d", i)
			}
			names = append(names, name)
			var in *folio.Bucket
			if in, err = top.CreateBucket(name); err == nil {
				err = in.Put([]byte("k"), name)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return db, names
}

func TestBucketsOfReader(t *testing.T) {
	db, names := nestedDB(t, 100)
	err := db.View(func(tx *folio.Tx) error {
		top := tx.Bucket([]byte("top"))
		if tx.Bucket([]byte("top")) != top || tx.Bucket([]byte("to")) != nil {
			t.Error("the bucket opened last is not found again, or another one is")
		}
		opened := make(map[*folio.Bucket]bool)
		var all []*folio.Bucket
		for _, name := range names {
			b := top.Bucket(name)
			if top.Bucket(name) != b || opened[b] {
				t.Fatalf("%s: not opened once", name)
			}
			opened[b] = true
			all = append(all, b)
			name[0] ^= 1 // names belong to the caller
			if top.Bucket(name) != nil {
				t.Errorf("there is a bucket %s", name)
			}
			name[0] ^= 1
		}
		for i, b := range all {
			if got := string(b.Get([]byte("k"))); got != string(names[i]) {
				t.Errorf("%s has %s", names[i], got)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestBucketsOfReaderInGoroutines(t *testing.T) {
	db, names := nestedDB(t, 100)
	err := db.View(func(tx *folio.Tx) error {
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 1000 {
					name := names[(i*7+g)%len(names)]
					if got := tx.Bucket([]byte("top")).Bucket(name).Get([]byte("k")); string(got) != string(name) {
						t.Errorf("%s has %s", name, got)
						return
					}
				}
			})
		}
		wg.Wait()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBucketsOfWriter deletes, moves and makes again the bucket that was opened last.
func TestBucketsOfWriter(t *testing.T) {
	db, names := nestedDB(t, 2)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(db.Update(func(tx *folio.Tx) error {
		top, x := tx.Bucket([]byte("top")), names[1]
		first := top.Bucket(x)
		if top.Bucket(x) != first {
			t.Error("another one")
		}
		must(top.DeleteBucket(x))
		if top.Bucket(x) != nil {
			t.Error("a deleted bucket was found")
		}
		second, err := top.CreateBucket(x)
		must(err)
		if top.Bucket(x) != second || second == first {
			t.Error("the bucket made again was not found")
		}
		must(tx.MoveBucket(x, top, nil))
		if top.Bucket(x) != nil || tx.Bucket(x) != second {
			t.Error("a moved bucket was found where it was, or not where it is")
		}
		third, err := top.CreateBucket(x)
		must(err)
		if top.Bucket(x) != third || tx.Bucket(x) != second {
			t.Error("two buckets of one name are mixed up")
		}
		must(tx.DeleteBucket([]byte("top")))
		if tx.Bucket([]byte("top")) != nil || top.Bucket(x) != nil {
			t.Error("a bucket in a deleted one was found")
		}
		return nil
	}))
}

// TestManyBucketsOfWriter opens from few to many buckets in one, twice each, and deletes
// every third one.
func TestManyBucketsOfWriter(t *testing.T) {
	for n := range 24 {
		db, names := nestedDB(t, n)
		err := db.Update(func(tx *folio.Tx) error {
			top := tx.Bucket([]byte("top"))
			opened := make([]*folio.Bucket, n)
			for i, name := range names {
				opened[i] = top.Bucket(name)
			}
			for i, name := range names {
				if top.Bucket(name) != opened[i] {
					t.Errorf("%s of %d: not the same one", name, n)
				}
				if err := opened[i].Put([]byte("k"), fmt.Append(nil, i)); err != nil {
					return err
				}
				if i%3 == 0 {
					if err := top.DeleteBucket(name); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = db.View(func(tx *folio.Tx) error {
			for i, name := range names {
				b := tx.Bucket([]byte("top")).Bucket(name)
				if (b == nil) != (i%3 == 0) || b != nil && string(b.Get([]byte("k"))) != fmt.Sprint(i) {
					t.Errorf("%s of %d: deleted and there, or not changed", name, n)
				}
			}
			return nil
		})
	}
}

// TestBucketsAfterSavepoint goes back behind the making and the deleting of the bucket
// that was opened last.
func TestBucketsAfterSavepoint(t *testing.T) {
	db, names := nestedDB(t, 2)
	err := db.Update(func(tx *folio.Tx) error {
		top := tx.Bucket([]byte("top"))
		s, err := tx.Savepoint()
		if err != nil {
			return err
		}
		if _, err := top.CreateBucket([]byte("new")); err != nil || top.Bucket([]byte("new")) == nil {
			t.Error(err)
		}
		if err := s.Rollback(); err != nil {
			return err
		}
		if top.Bucket([]byte("new")) != nil {
			t.Error("a bucket that was never made was found")
		}
		if top.Bucket(names[0]) == nil || top.DeleteBucket(names[0]) != nil || top.Bucket(names[0]) != nil {
			t.Error("the bucket was not deleted")
		}
		if err := s.Rollback(); err != nil {
			return err
		}
		if b := top.Bucket(names[0]); b == nil || string(b.Get([]byte("k"))) != string(names[0]) {
			t.Error("the deleted bucket is not back")
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
