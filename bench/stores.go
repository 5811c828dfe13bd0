package main

// This file is responsible for the two stores behind one set of calls. Their
// buckets and cursors have the same methods, so hot loops go through an interface
// and nothing else.

import (
	"fmt"
	"os"

	"github.com/foliodb/folio"
	"go.etcd.io/bbolt"
)

// bucket and cursor are what *folio.Bucket and *bbolt.Bucket, and their cursors,
// have in common.
type bucket interface {
	Get(key []byte) []byte
	Put(key, value []byte) error
	Delete(key []byte) error
}

type cursor interface {
	First() (key, value []byte)
	Last() (key, value []byte)
	Next() (key, value []byte)
	Prev() (key, value []byte)
	Seek(seek []byte) (key, value []byte)
}

// store is an open database.
type store interface {
	view(fn func(bucket) error) error
	update(fn func(bucket) error) error
	get(key []byte) (bytes int, err error) // in a View of its own
	hold() (release func(), err error)     // a read transaction that stays open
	close() error
}

var bucketName = []byte("bench")

// settings say how the stores are opened; they are printed with the results.
const settings = `folio: defaults (4 KiB pages, one flush a commit, checksums verified on first touch).
bbolt 1.5.0: defaults (4 KiB pages, array free list, synced with each commit, FillPercent 0.5),
but for churn a map of 8 GiB from the start: it would wait for the open reader to remap.
Every commit of both is flushed to the device before it returns.`

// open opens or creates the database of the store called name. reserve is how
// much address space bbolt maps at first; folio has its own way.
func open(name, path string, reserve int) (store, error) {
	switch name {
	case "folio", "folio'": // two names to measure the noise
		db, err := folio.Open(path, 0o600, nil)
		if err != nil {
			return nil, err
		}
		return folioStore{db}, nil
	case "bbolt":
		o := *bbolt.DefaultOptions
		o.InitialMmapSize = reserve
		db, err := bbolt.Open(path, 0o600, &o)
		if err != nil {
			return nil, err
		}
		return bboltStore{db}, nil
	}
	return nil, fmt.Errorf("no store %q: folio or bbolt", name)
}

type folioStore struct{ db *folio.DB }

func (s folioStore) view(fn func(bucket) error) error {
	return s.db.View(func(tx *folio.Tx) error { return fn(tx.Bucket(bucketName)) })
}

func (s folioStore) update(fn func(bucket) error) error {
	return s.db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketName)
		if err != nil {
			return err
		}
		return fn(b)
	})
}

func (s folioStore) get(key []byte) (n int, err error) {
	err = s.db.View(func(tx *folio.Tx) error {
		n = len(tx.Bucket(bucketName).Get(key))
		return nil
	})
	return n, err
}

func (s folioStore) hold() (func(), error) {
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil
}

func (s folioStore) close() error { return s.db.Close() }

type bboltStore struct{ db *bbolt.DB }

func (s bboltStore) view(fn func(bucket) error) error {
	return s.db.View(func(tx *bbolt.Tx) error { return fn(tx.Bucket(bucketName)) })
}

func (s bboltStore) update(fn func(bucket) error) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(bucketName)
		if err != nil {
			return err
		}
		return fn(b)
	})
}

func (s bboltStore) get(key []byte) (n int, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		n = len(tx.Bucket(bucketName).Get(key))
		return nil
	})
	return n, err
}

func (s bboltStore) hold() (func(), error) {
	tx, err := s.db.Begin(false)
	if err != nil {
		return nil, err
	}
	return func() { _ = tx.Rollback() }, nil
}

func (s bboltStore) close() error { return s.db.Close() }

// cursorOf returns a cursor over b.
func cursorOf(b bucket) cursor {
	if f, ok := b.(*folio.Bucket); ok {
		return f.Cursor()
	}
	return b.(*bbolt.Bucket).Cursor()
}

// deleteRange removes the keys in [lo, hi), which are those listed. bbolt has no
// call for it.
func deleteRange(b bucket, lo, hi []byte, keys [][]byte) error {
	if f, ok := b.(*folio.Bucket); ok {
		n, err := f.DeleteRange(lo, hi)
		if err == nil && n != uint64(len(keys)) {
			err = fmt.Errorf("DeleteRange removed %d keys, expected %d", n, len(keys))
		}
		return err
	}
	for _, k := range keys {
		if err := b.Delete(k); err != nil {
			return err
		}
	}
	return nil
}

// fileSize returns the length of a file in bytes, 0 if there is none.
func fileSize(path string) int64 {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return info.Size()
}
