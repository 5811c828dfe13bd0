package folio_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/foliodb/folio"
)

// nestedNames returns the names of the buckets in b by looking at all keys.
func nestedNames(b *folio.Bucket) (names [][]byte) {
	for k, v := range b.All() {
		if v == nil {
			names = append(names, bytes.Clone(k))
		}
	}
	return names
}

// TestBucketsAmongKeys: the buckets are found wherever they are between keys, also while
// they are deleted.
func TestBucketsAmongKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, share := range []int{1, 2, 30, 3000} { // a bucket among so many keys
		db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
		noErr(t, err)
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			for i := 0; i < 5000 && err == nil; i++ {
				name := fmt.Appendf(nil, "%d%s", r.IntN(1e6), bytes.Repeat([]byte{'x'}, r.IntN(50)/49*3000))
				if r.IntN(share) == 0 {
					_, err = b.CreateBucketIfNotExists(name)
				} else if b.Bucket(name) == nil {
					err = b.Put(name, []byte("v"))
				}
				if err == folio.ErrIncompatibleValue {
					err = nil
				}
			}
			return err
		}))
		var want, got [][]byte
		noErr(t, db.View(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			want = nestedNames(b)
			for name, in := range b.Buckets() {
				if in.Len() != 0 {
					t.Errorf("%s is not the bucket of that name", name)
				}
				got = append(got, bytes.Clone(name))
			}
			return nil
		}))
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			for name := range b.Buckets() {
				if err := b.DeleteBucket(bytes.Clone(name)); err != nil {
					return err
				}
			}
			if left := nestedNames(b); len(left) != 0 {
				t.Errorf("%d buckets are left", len(left))
			}
			return nil
		}))
		if !slices.EqualFunc(got, want, bytes.Equal) {
			t.Errorf("1 in %d: %d buckets instead of %d", share, len(got), len(want))
		}
		noErr(t, db.Close())
	}
}

// TestBucketsReadNoKeys damages every leaf without a bucket in it: none is read.
func TestBucketsReadNoKeys(t *testing.T) {
	file := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(file, 0o600, nil)
	noErr(t, err)
	noErr(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := 0; i < 20000 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key%06d", i), []byte("value"))
		}
		for _, name := range []string{"key005000-in", "key015000-in"} {
			if err == nil {
				_, err = b.CreateBucket([]byte(name))
			}
		}
		return err
	}))
	damaged := []int64{}
	noErr(t, db.View(func(tx *folio.Tx) error {
		return tx.PageMap(func(u folio.PageUse) error {
			if u.Type == "node" && len(u.Bucket) == 1 {
				p, err := tx.Page(u.ID)
				if err != nil {
					return err
				}
				if p.Type == "leaf" {
					damaged = append(damaged, int64(u.ID)*int64(db.Info().PageSize))
				}
			}
			return nil
		})
	}))
	noErr(t, db.Close())
	content, err := os.ReadFile(file)
	noErr(t, err)
	damaged = slices.DeleteFunc(damaged, func(at int64) bool { return bytes.Contains(content[at:at+4096], []byte("-in")) })
	for _, at := range damaged {
		content[at+2000] ^= 1
	}
	noErr(t, os.WriteFile(file, content, 0o600))
	db, err = folio.Open(file, 0, &folio.Options{ReadOnly: true})
	noErr(t, err)
	defer db.Close()
	n := 0
	noErr(t, db.View(func(tx *folio.Tx) error {
		for range tx.Bucket([]byte("b")).Buckets() {
			n++
		}
		return tx.Err()
	}))
	if n != 2 || len(damaged) < 50 {
		t.Errorf("%d buckets, beside %d damaged leaves", n, len(damaged))
	}
}
