package bbolt_test

// This file is responsible for measuring what the API costs. It uses nothing but
// bbolt's, so that bbolt itself runs it too (make compat-bench); the same with folio's
// own API is in benchfolio_test.go.

import (
	"encoding/binary"
	"math"
	"path/filepath"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The data: buckets nested three deep, as programs with namespaces have them, and a
// bucket with many keys.
const (
	benchBuckets = 100
	benchKeys    = 10000
)

var benchNames = [][]byte{[]byte("v1"), []byte("namespace"), []byte("objects")}

func benchKey(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i*7919%benchKeys)) }

func benchDB(b *testing.B) *bolt.DB {
	db, err := bolt.Open(filepath.Join(b.TempDir(), "bench.db"), 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	err = db.Update(func(tx *bolt.Tx) error {
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

func benchDeepest(tx *bolt.Tx) *bolt.Bucket {
	return tx.Bucket(benchNames[0]).Bucket(benchNames[1]).Bucket(benchNames[2])
}

func benchView(b *testing.B, fn func(tx *bolt.Tx)) {
	db := benchDB(b)
	_ = db.View(func(tx *bolt.Tx) error {
		b.ResetTimer()
		fn(tx)
		return nil
	})
}

func benchUpdate(b *testing.B, fn func(tx *bolt.Tx)) {
	db := benchDB(b)
	tx, err := db.Begin(true)
	if err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	fn(tx)
	b.StopTimer()
	_ = tx.Rollback()
}

// benchStretch is how many calls of some hundred nanoseconds are a stretch.
const benchStretch = 100

// benchLoop measures fn, and reports beside its mean what it takes in the fastest
// stretch of n calls: where others use the machine too, the mean says what they do.
func benchLoop(b *testing.B, n int, fn func()) {
	least, calls, start := time.Duration(math.MaxInt64), 0, time.Now()
	for b.Loop() {
		fn()
		if calls++; calls%n == 0 {
			now := time.Now()
			least, start = min(least, now.Sub(start)), now
		}
	}
	if calls >= n {
		b.ReportMetric(float64(least)/float64(n), "least-ns/op")
	}
}

func BenchmarkView(b *testing.B) {
	db := benchDB(b)
	benchLoop(b, benchStretch, func() {
		_ = db.View(func(tx *bolt.Tx) error { return nil })
	})
}

func BenchmarkViewNestedGet(b *testing.B) {
	db := benchDB(b)
	key := benchKey(4711)
	benchLoop(b, benchStretch, func() {
		_ = db.View(func(tx *bolt.Tx) error {
			if benchDeepest(tx).Get(key) == nil {
				b.Fatal("nothing there")
			}
			return nil
		})
	})
}

func BenchmarkBucketNested(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
		benchLoop(b, benchStretch, func() {
			benchDeepest(tx)
		})
	})
}

func BenchmarkBucketEach(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
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

func BenchmarkBucketNestedWritable(b *testing.B) {
	benchUpdate(b, func(tx *bolt.Tx) {
		benchLoop(b, benchStretch, func() {
			benchDeepest(tx)
		})
	})
}

func BenchmarkGet(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
		in, i := benchDeepest(tx), 0
		var key [8]byte
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			in.Get(key[:])
			i++
		})
	})
}

func BenchmarkPut(b *testing.B) {
	benchUpdate(b, func(tx *bolt.Tx) {
		in, i := benchDeepest(tx), 0
		var key [8]byte
		value := make([]byte, 100)
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			_ = in.Put(key[:], value)
			i++
		})
	})
}

func BenchmarkForEach(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
		in := benchDeepest(tx)
		benchLoop(b, 1, func() {
			_ = in.ForEach(func(k, v []byte) error { return nil })
		})
	})
}

func BenchmarkCursorNext(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
		in := benchDeepest(tx)
		benchLoop(b, 1, func() {
			c := in.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
			}
		})
	})
}

func BenchmarkCursorSeek(b *testing.B) {
	benchView(b, func(tx *bolt.Tx) {
		in, i := benchDeepest(tx), 0
		var key [8]byte
		benchLoop(b, benchStretch, func() {
			binary.BigEndian.PutUint64(key[:], uint64(i*7919%benchKeys))
			in.Cursor().Seek(key[:])
			i++
		})
	})
}

func BenchmarkUpdateNoSync(b *testing.B) {
	db := benchDB(b)
	db.NoSync = true
	i := 0
	for b.Loop() {
		_ = db.Update(func(tx *bolt.Tx) error {
			i++
			return benchDeepest(tx).Put(benchKey(i), make([]byte, 100))
		})
	}
}
