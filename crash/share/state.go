//go:build linux

package main

// This file is responsible for what a database holds, and for how each snapshot tells
// whether it is whole: every transaction leaves its number, who made it, and how many
// entries there are in each bucket with the sum of their hashes.

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
	"github.com/foliodb/folio"
)

// stateBucket has the entry "n", and one for the path of each bucket that holds data.
var (
	stateBucket = []byte("state")
	numberKey   = []byte("n")
)

// stamp names a transaction: its number, and a random one that no other has.
type stamp struct{ n, id uint64 }

func (s stamp) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.n), s.id)
}

func pair(b []byte) (x, y uint64) {
	if len(b) != 16 {
		return 0, 0
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])
}

// tally is what is in a bucket, or in all.
type tally struct{ count, sum uint64 }

func (t tally) bytes() []byte { return stamp{t.count, t.sum}.bytes() }

func (t *tally) add(path string, k, v []byte) {
	t.count++
	t.sum += hash(path, k, v)
}

func (t *tally) remove(path string, k, v []byte) {
	t.count--
	t.sum -= hash(path, k, v)
}

func hash(path string, k, v []byte) uint64 {
	var d xxhash.Digest
	d.Reset()
	_, _ = d.WriteString(path)
	_, _ = d.Write([]byte{0, byte(len(k))})
	_, _ = d.Write(k)
	_, _ = d.Write(v)
	return d.Sum64()
}

// stampOf returns the transaction that tx sees last.
func stampOf(tx *folio.Tx) stamp {
	if b := tx.Bucket(stateBucket); b != nil {
		n, id := pair(b.Get(numberKey))
		return stamp{n, id}
	}
	return stamp{}
}

// certify reads all that tx sees, and returns its stamp, and a digest, if it is whole.
func certify(tx *folio.Tx) (s stamp, digest uint64, err error) {
	s = stampOf(tx)
	found := map[string]tally{}
	err = tx.ForEach(func(name []byte, b *folio.Bucket) error {
		if !bytes.Equal(name, stateBucket) {
			count(found, string(name), b)
		}
		return nil
	})
	if err == nil {
		err = tx.Err()
	}
	if err != nil {
		return s, 0, fmt.Errorf("reading transaction %d: %w", s.n, err)
	}
	b := tx.Bucket(stateBucket)
	if b == nil {
		if len(found) > 0 {
			return s, 0, fmt.Errorf("there are buckets, and nothing says what is in them")
		}
		return s, 0, nil
	}
	for k, v := range b.All() {
		if bytes.Equal(k, numberKey) {
			continue
		}
		x, y := pair(v)
		if want := (tally{x, y}); found[string(k)] != want {
			return s, 0, fmt.Errorf("transaction %d: bucket %q has %v, and should have %v", s.n, k, found[string(k)], want)
		}
		digest += hash(string(k), nil, v)
		delete(found, string(k))
	}
	if err := tx.Err(); err != nil {
		return s, 0, err
	}
	if len(found) > 0 {
		return s, 0, fmt.Errorf("transaction %d: buckets that should not be there: %v", s.n, found)
	}
	return s, digest, nil
}

func count(found map[string]tally, path string, b *folio.Bucket) {
	var t tally
	for k, v := range b.All() {
		if v == nil {
			count(found, path+"/"+string(k), b.Bucket(k))
		} else {
			t.add(path, k, v)
		}
	}
	found[path] = t
}

// look is certify, and sometimes Tx.Check.
func look(tx *folio.Tx, check bool) (s stamp, digest uint64, err error) {
	if s, digest, err = certify(tx); err != nil || !check {
		return s, digest, err
	}
	for err := range tx.Check() {
		return s, digest, fmt.Errorf("transaction %d: Check: %w", s.n, err)
	}
	return s, digest, nil
}
