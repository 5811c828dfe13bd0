package bbolt_test

// This file is bench_test.go with folio's own API.

import (
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
)

func folioDB(b *testing.B) *folio.DB {
	db, err := folio.Open(filepath.Join(b.TempDir(), "bench.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	err = db.Update(func(tx *folio.Tx) error {
		in, err := tx.CreateBucket(benchNames[0])
		if err != nil {
			return err
		}
		for _, name := range benchNames[1:] {
			for i := range benchBuckets {
				if _, err := in.CreateBucket(benchKey(i)); err != nil {
					return err
				}
			}
			if in, err = in.CreateBucket(name); err != nil {
				return err
			}
		}
		for i := range benchKeys {
			if err := in.Put(benchKey(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return db
}

func folioDeepest(tx *folio.Tx) *folio.Bucket {
	return tx.Bucket(benchNames[0]).Bucket(benchNames[1]).Bucket(benchNames[2])
}

func folioView(b *testing.B, fn func(tx *folio.Tx)) {
	db := folioDB(b)
	_ = db.View(func(tx *folio.Tx) error {
		b.ResetTimer()
		fn(tx)
		return nil
	})
}

func folioUpdate(b *testing.B, fn func(tx *folio.Tx)) {
	db := folioDB(b)
	tx, err := db.Begin(true)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	fn(tx)
	b.StopTimer()
	_ = tx.Rollback()
}

func BenchmarkFolioView(b *testing.B) {
	db := folioDB(b)
	benchLoop(b, benchStretch, func() {
		_ = db.View(func(tx *folio.Tx) error { return nil })
	})
}

func BenchmarkFolioViewNestedGet(b *testing.B) {
	db := folioDB(b)
	key := benchKey(4711)
	benchLoop(b, benchStretch, func() {
		_ = db.View(func(tx *folio.Tx) error {
			if folioDeepest(tx).Get(key) == nil {
				b.Fatal("nothing there")
			}
			return nil
		})
	})
}

func BenchmarkFolioBucketNested(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		benchLoop(b, benchStretch, func() {
			folioDeepest(tx)
		})
	})
}

func BenchmarkFolioBucketEach(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		in, i := tx.Bucket(benchNames[0]), 0
		var key [8]byte
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i%benchBuckets*7919%benchKeys))
			if in.Bucket(key[:]) == nil {
				b.Fatal("nothing there")
			}
			i++
		})
	})
}

func BenchmarkFolioBucketNestedWritable(b *testing.B) {
	folioUpdate(b, func(tx *folio.Tx) {
		benchLoop(b, benchStretch, func() {
			folioDeepest(tx)
		})
	})
}

func BenchmarkFolioGet(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		in, i := folioDeepest(tx), 0
		var key [8]byte
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			in.Get(key[:])
			i++
		})
	})
}

func BenchmarkFolioPut(b *testing.B) {
	folioUpdate(b, func(tx *folio.Tx) {
		in, i := folioDeepest(tx), 0
		var key [8]byte
		value := make([]byte, 100)
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			_ = in.Put(key[:], value)
			i++
		})
	})
}

func BenchmarkFolioForEach(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		in := folioDeepest(tx)
		benchLoop(b, 1, func() {
			_ = in.ForEach(func(k, v []byte) error { return nil })
		})
	})
}

func BenchmarkFolioCursorNext(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		in := folioDeepest(tx)
		benchLoop(b, 1, func() {
			c := in.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
			}
		})
	})
}

func BenchmarkFolioCursorSeek(b *testing.B) {
	folioView(b, func(tx *folio.Tx) {
		in, i := folioDeepest(tx), 0
		var key [8]byte
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			in.Cursor().Seek(key[:])
			i++
		})
	})
}

func BenchmarkFolioUpdateNoSync(b *testing.B) {
	db := folioDB(b)
	i := 0
	for b.Loop() {
		_ = db.Update(func(tx *folio.Tx) error {
			i++
			if err := tx.SetDurability(folio.DurabilityNone); err != nil {
				return err
			}
			return folioDeepest(tx).Put(benchKey(i), make([]byte, 100))
		})
	}
}
