package folio_test

// What sharing costs. The ratios are in docs/performance.md.

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// shareModes are ways to have a file open: the handle that is measured is a reader of
// it, beside a writer, or a writer.
var shareModes = []struct {
	name    string
	sharing folio.Sharing
	reads   bool // it is a reader beside a writer
}{
	{"nothing", folio.ShareNothing, false},
	{"readers", folio.ShareReaders, false},
	{"readers,reader", folio.ShareReaders, true},
	{"writers", folio.ShareWriters, false},
}

// benchModes calls run with a handle of 1000 keys in each mode.
func benchModes(b *testing.B, reading bool, run func(b *testing.B, db *folio.DB)) {
	for _, m := range shareModes {
		if m.reads && !reading {
			continue
		}
		b.Run(m.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "db")
			db, err := folio.Open(path, 0o600, &folio.Options{Sharing: m.sharing})
			require.NoError(b, err)
			defer db.Close()
			require.NoError(b, put(db, 1000, "value", folio.DurabilityFull))
			if m.reads {
				db, err = folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
				require.NoError(b, err)
				defer db.Close()
			}
			run(b, db)
		})
	}
}

func BenchmarkShareView(b *testing.B) {
	benchModes(b, true, func(b *testing.B, db *folio.DB) {
		for b.Loop() {
			_ = db.View(func(*folio.Tx) error { return nil })
		}
	})
}

func BenchmarkShareGet(b *testing.B) {
	benchModes(b, true, func(b *testing.B, db *folio.DB) {
		k := key(500)
		for b.Loop() {
			_ = db.View(func(tx *folio.Tx) error {
				if tx.Bucket([]byte("b")).Get(k) == nil {
					b.Fail()
				}
				return nil
			})
		}
	})
}

func BenchmarkShareUpdate(b *testing.B) {
	for _, d := range []struct {
		name       string
		durability folio.Durability
	}{{"full", folio.DurabilityFull}, {"none", folio.DurabilityNone}} {
		b.Run(d.name, func(b *testing.B) {
			benchModes(b, false, func(b *testing.B, db *folio.DB) {
				for i := 0; b.Loop(); i++ {
					err := db.Update(func(tx *folio.Tx) error {
						_ = tx.SetDurability(d.durability)
						return tx.Bucket([]byte("b")).Put(key(i%1000), []byte("another value"))
					})
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkShareOpen(b *testing.B) {
	for _, m := range shareModes {
		if m.reads {
			continue
		}
		b.Run(m.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "db")
			for b.Loop() {
				db, err := folio.Open(path, 0o600, &folio.Options{Sharing: m.sharing})
				if err != nil {
					b.Fatal(err)
				}
				if err := db.Close(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
