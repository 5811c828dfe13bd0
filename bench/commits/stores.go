package main

// This file is responsible for the stores behind one set of calls.

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
	"github.com/dgraph-io/badger/v4"
	"github.com/foliodb/folio"
	"go.etcd.io/bbolt"
)

var names = []string{"folio", "bbolt Update", "bbolt Batch", "pebble", "badger"}

const settings = `folio: defaults. bbolt 1.5.0: defaults; Batch with MaxBatchSize set to the number of goroutines, its best.
pebble 2.1.7: defaults, pebble.Sync. badger 4.9.6: defaults, SyncWrites. Each put is durable before it returns.`

// store is an open database.
type store interface {
	load(n int) error
	prepare(goroutines int)
	put(key, value []byte) error
	counters() counters
	close() error
}

// counters are what a store can say of itself; zeros if it does not.
type counters struct{ commits, flushes, pages int64 }

func (c counters) minus(o counters) counters {
	return counters{c.commits - o.commits, c.flushes - o.flushes, c.pages - o.pages}
}

var bucketName = []byte("bench")

// key returns key i: 16 bytes, in no order.
func key(i int) []byte {
	k := make([]byte, 16)
	fill(k, uint64(i))
	return k
}

// fill makes b depend on x.
func fill(b []byte, x uint64) {
	for at := 0; at < len(b); at += 8 {
		x += 0x9E3779B97F4A7C15
		z := (x ^ x>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		var w [8]byte
		binary.BigEndian.PutUint64(w[:], z^z>>31)
		copy(b[at:], w[:])
	}
}

// chunks calls fn for ranges of n keys.
func chunks(n int, fn func(from, to int) error) error {
	for at := 0; at < n; at += 10_000 {
		if err := fn(at, min(at+10_000, n)); err != nil {
			return err
		}
	}
	return nil
}

func openStore(name, path string) (store, error) {
	switch name {
	case "folio":
		db, err := folio.Open(path, 0o600, nil)
		return folioStore{db}, err
	case "bbolt Update", "bbolt Batch":
		db, err := bbolt.Open(path, 0o600, nil)
		return bboltStore{db, name == "bbolt Batch"}, err
	case "pebble":
		db, err := pebble.Open(path, &pebble.Options{Logger: silent{}})
		return pebbleStore{db}, err
	case "badger":
		db, err := badger.Open(badger.DefaultOptions(path).WithSyncWrites(true).WithLoggingLevel(badger.ERROR))
		return badgerStore{db}, err
	}
	return nil, fmt.Errorf("no store %q: %q", name, names)
}

type silent struct{}

func (silent) Infof(string, ...any)  {}
func (silent) Errorf(string, ...any) {}
func (silent) Fatalf(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

type folioStore struct{ *folio.DB }

func (s folioStore) load(n int) error {
	return chunks(n, func(from, to int) error {
		return s.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucketName)
			for i := from; i < to && err == nil; i++ {
				err = b.Put(key(i), make([]byte, 100))
			}
			return err
		})
	})
}

func (folioStore) prepare(int) {}

func (s folioStore) put(k, v []byte) error {
	return s.Update(func(tx *folio.Tx) error { return tx.Bucket(bucketName).Put(k, v) })
}

func (s folioStore) counters() counters {
	st := s.Stats()
	return counters{st.TxStats.Commits, int64(st.Flushes), st.TxStats.Pages}
}

func (s folioStore) close() error { return s.Close() }

type bboltStore struct {
	*bbolt.DB
	batch bool
}

func (s bboltStore) load(n int) error {
	return chunks(n, func(from, to int) error {
		return s.Update(func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists(bucketName)
			for i := from; i < to && err == nil; i++ {
				err = b.Put(key(i), make([]byte, 100))
			}
			return err
		})
	})
}

func (s bboltStore) prepare(goroutines int) { s.MaxBatchSize = goroutines }

func (s bboltStore) put(k, v []byte) error {
	fn := func(tx *bbolt.Tx) error { return tx.Bucket(bucketName).Put(k, v) }
	if s.batch && s.MaxBatchSize > 1 {
		return s.Batch(fn)
	}
	return s.Update(fn)
}

func (bboltStore) counters() counters { return counters{} }
func (s bboltStore) close() error     { return s.Close() }

type pebbleStore struct{ *pebble.DB }

func (s pebbleStore) load(n int) error {
	return chunks(n, func(from, to int) error {
		b := s.NewBatch()
		for i := from; i < to; i++ {
			if err := b.Set(key(i), make([]byte, 100), nil); err != nil {
				return err
			}
		}
		return b.Commit(pebble.Sync)
	})
}

func (pebbleStore) prepare(int) {}

func (s pebbleStore) put(k, v []byte) error { return s.Set(k, v, pebble.Sync) }
func (pebbleStore) counters() counters      { return counters{} }
func (s pebbleStore) close() error          { return s.Close() }

type badgerStore struct{ *badger.DB }

func (s badgerStore) load(n int) error {
	return chunks(n, func(from, to int) error {
		b := s.NewWriteBatch()
		defer b.Cancel()
		for i := from; i < to; i++ {
			if err := b.Set(key(i), make([]byte, 100)); err != nil {
				return err
			}
		}
		return b.Flush()
	})
}

func (badgerStore) prepare(int) {}

func (s badgerStore) put(k, v []byte) error {
	return s.Update(func(tx *badger.Txn) error { return tx.Set(k, v) })
}

func (badgerStore) counters() counters { return counters{} }
func (s badgerStore) close() error     { return s.Close() }
