// Package foliotest holds what the tests of folio compare it with: a model of a
// database in sorted maps, and a disk that forgets what was not synced.
package foliotest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/foliodb/folio"
)

// Bucket is the model of a bucket: keys in order with values and further
// buckets. The zero value is not usable; see NewBucket.
type Bucket struct {
	Sequence uint64
	keys     []string
	entries  map[string]entry
}

// entry is a value, which is never changed in place, or a bucket.
type entry struct {
	value []byte
	sub   *Bucket
}

// NewBucket returns an empty bucket.
func NewBucket() *Bucket { return &Bucket{entries: make(map[string]entry)} }

// Clone returns a copy that shares the values only.
func (b *Bucket) Clone() *Bucket {
	c := &Bucket{Sequence: b.Sequence, keys: slices.Clone(b.keys), entries: maps.Clone(b.entries)}
	for k, e := range c.entries {
		if e.sub != nil {
			c.entries[k] = entry{sub: e.sub.Clone()}
		}
	}
	return c
}

// Len returns the number of keys, buckets among them.
func (b *Bucket) Len() int { return len(b.keys) }

// Key returns the i-th key.
func (b *Bucket) Key(i int) string { return b.keys[i] }

// Has tells whether there is a value or a bucket at key.
func (b *Bucket) Has(key string) bool { _, ok := b.entries[key]; return ok }

// Get returns the value at key; nil if there is none.
func (b *Bucket) Get(key string) []byte { return b.entries[key].value }

// Sub returns the bucket at name, or nil.
func (b *Bucket) Sub(name string) *Bucket { return b.entries[name].sub }

// Subs returns the names of the buckets in b, in order.
func (b *Bucket) Subs() []string {
	var names []string
	for _, k := range b.keys {
		if b.entries[k].sub != nil {
			names = append(names, k)
		}
	}
	return names
}

// Rank returns the number of keys before key.
func (b *Bucket) Rank(key string) int {
	i, _ := slices.BinarySearch(b.keys, key)
	return i
}

// Put sets the value at key, where no bucket is. It keeps value, which must not
// change any more.
func (b *Bucket) Put(key string, value []byte) {
	if value == nil {
		value = []byte{}
	}
	b.set(key, entry{value: value})
}

// PutSub makes sub the bucket at name.
func (b *Bucket) PutSub(name string, sub *Bucket) { b.set(name, entry{sub: sub}) }

func (b *Bucket) set(key string, e entry) {
	if i, found := slices.BinarySearch(b.keys, key); !found {
		b.keys = slices.Insert(b.keys, i, key)
	}
	b.entries[key] = e
}

// Delete removes what is at key, if anything is.
func (b *Bucket) Delete(key string) {
	if i, found := slices.BinarySearch(b.keys, key); found {
		b.keys = slices.Delete(b.keys, i, i+1)
		delete(b.entries, key)
	}
}

// Range returns the positions of the keys in [lo, hi); nil is unbounded.
func (b *Bucket) Range(lo, hi []byte) (from, to int) {
	to = len(b.keys)
	if lo != nil {
		from = b.Rank(string(lo))
	}
	if hi != nil {
		to = b.Rank(string(hi))
	}
	return from, max(from, to)
}

// DeleteRange removes the keys in [lo, hi) and returns how many there were, or
// false, with nothing removed, if there is a bucket among them.
func (b *Bucket) DeleteRange(lo, hi []byte) (int, bool) {
	from, to := b.Range(lo, hi)
	for _, k := range b.keys[from:to] {
		if b.entries[k].sub != nil {
			return 0, false
		}
	}
	for _, k := range b.keys[from:to] {
		delete(b.entries, k)
	}
	b.keys = slices.Delete(b.keys, from, to)
	return to - from, true
}

// Height returns how many levels of buckets there are from b down.
func (b *Bucket) Height() int {
	h := 0
	for _, e := range b.entries {
		if e.sub != nil {
			h = max(h, e.sub.Height())
		}
	}
	return h + 1
}

// Diff returns how what tx sees differs from the model: an error that says where
// first, or nil. An error of the transaction is returned as it is.
func Diff(tx *folio.Tx, want *Bucket) error {
	err := diff(tx.Cursor().Bucket(), want, "")
	return errors.Join(err, tx.Err())
}

func diff(b *folio.Bucket, want *Bucket, path string) error {
	if b.Len() != uint64(want.Len()) {
		return fmt.Errorf("bucket %q: %d keys, expected %d", path, b.Len(), want.Len())
	}
	if b.Sequence() != want.Sequence {
		return fmt.Errorf("bucket %q: sequence %d, expected %d", path, b.Sequence(), want.Sequence)
	}
	i := 0
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if i == len(want.keys) {
			return fmt.Errorf("bucket %q: a key %s behind the last", path, Short(k))
		}
		if err := diffEntry(b, k, v, want, i, path); err != nil {
			return err
		}
		i++
	}
	if i != len(want.keys) {
		return fmt.Errorf("bucket %q: %d keys seen, expected %d", path, i, len(want.keys))
	}
	return nil
}

// diffEntry compares what the cursor returned with key i of the model.
func diffEntry(b *folio.Bucket, k, v []byte, want *Bucket, i int, path string) error {
	key := want.keys[i]
	e := want.entries[key]
	switch {
	case string(k) != key:
		return fmt.Errorf("bucket %q: key %d is %s, expected %s", path, i, Short(k), Short([]byte(key)))
	case e.sub != nil:
		if v != nil {
			return fmt.Errorf("bucket %q: %s has a value, expected a bucket", path, Short(k))
		}
		in := b.Bucket(k)
		if in == nil {
			return fmt.Errorf("bucket %q: there is no bucket %s", path, Short(k))
		}
		return diff(in, e.sub, path+"/"+Short(k))
	case v == nil:
		return fmt.Errorf("bucket %q: %s has no value", path, Short(k))
	case !bytes.Equal(v, e.value):
		return fmt.Errorf("bucket %q: the value of %s is %s, expected %s", path, Short(k), Short(v), Short(e.value))
	}
	return nil
}

// Short returns b for a message, however long it is.
func Short(b []byte) string {
	if len(b) <= 40 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%q... (%d bytes)", b[:32], len(b))
}

// Check returns the first thing that a full check of tx finds, or nil.
func Check(tx *folio.Tx) error {
	var first error
	for err := range tx.Check() {
		if first == nil {
			first = fmt.Errorf("check: %w", err)
		}
	}
	return first
}
