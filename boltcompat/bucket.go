package bbolt

// This file is responsible for buckets.

import (
	"fmt"

	"github.com/foliodb/folio"
	"go.etcd.io/bbolt/internal/common"
)

// Bucket is a collection of keys in order, and of further buckets among them. Keys and
// values that it returns are valid until the transaction ends and must not be changed.
//
// It is folio's by another name, with a field FillPercent that has no effect: pages fill
// by themselves. So there is nothing to allocate, and nothing to keep in step.
type Bucket folio.Bucket

// Folio returns folio's own bucket, for what bbolt does not have.
func (b *Bucket) Folio() *folio.Bucket { return (*folio.Bucket)(b) }

// Tx returns the bucket's transaction.
func (b *Bucket) Tx() *Tx { return (*Tx)(b.Folio().Tx()) }

// Root returns the page of the bucket's tree: 0 if it has none of its own, or none yet.
func (b *Bucket) Root() common.Pgid { return common.Pgid(b.Folio().Root()) }

// String returns the bucket's root page and sequence in a form for logs.
func (b *Bucket) String() string { return fmt.Sprintf("<pgid=%d,seq=%d>", b.Root(), b.Sequence()) }

// RootPage is Root.
func (b *Bucket) RootPage() common.Pgid { return b.Root() }

// Writable tells whether the bucket may be changed.
func (b *Bucket) Writable() bool { return b.Folio().Writable() }

// Get returns the value of key: nil if there is none, or if key is a bucket.
func (b *Bucket) Get(key []byte) []byte { return b.Folio().Get(key) }

// Put sets the value of key. Both are copied.
func (b *Bucket) Put(key []byte, value []byte) error {
	if int64(len(value)) > MaxValueSize {
		return b.tooLarge(key)
	}
	return b.Folio().Put(key, value)
}

// tooLarge returns the error of a Put with a value that is too large, which is the last
// thing that bbolt looks at.
func (b *Bucket) tooLarge(key []byte) error {
	switch {
	case b.Tx().DB() == nil:
		return ErrTxClosed
	case !b.Writable():
		return ErrTxNotWritable
	case len(key) == 0:
		return ErrKeyRequired
	case len(key) > MaxKeySize:
		return ErrKeyTooLarge
	}
	return ErrValueTooLarge
}

// Delete removes key. A key that is not there is no error.
func (b *Bucket) Delete(key []byte) error { return b.Folio().Delete(key) }

// Cursor returns a new cursor over the bucket.
func (b *Bucket) Cursor() *Cursor { return b.Tx().newCursor((*folio.Bucket)(b).Cursor()) }

// Bucket returns the nested bucket name, or nil if there is none.
func (b *Bucket) Bucket(name []byte) *Bucket {
	return (*Bucket)(b.Folio().Bucket(name))
}

// CreateBucket creates the nested bucket key.
func (b *Bucket) CreateBucket(key []byte) (*Bucket, error) {
	return b.Tx().made(b.Folio().CreateBucket(key))
}

// CreateBucketIfNotExists returns the nested bucket key, which it creates if there is
// none.
func (b *Bucket) CreateBucketIfNotExists(key []byte) (*Bucket, error) {
	return b.Tx().made(b.Folio().CreateBucketIfNotExists(key))
}

// DeleteBucket removes the nested bucket key with everything in it.
func (b *Bucket) DeleteBucket(key []byte) error {
	return b.missing(key, b.Folio().DeleteBucket(key))
}

// missing returns what bbolt returns where folio does not find a bucket. The empty name
// is what bbolt compares with the first key, and in an empty bucket it is equal to the
// lack of one, as a key with a value. There are tests that count on it.
func (b *Bucket) missing(key []byte, err error) error {
	if err == ErrBucketNotFound && len(key) == 0 && b.Folio().Len() == 0 {
		return ErrIncompatibleValue
	}
	return err
}

// MoveBucket moves the nested bucket key to dst. Where several things are wrong, the
// error is the one that bbolt finds first. A nil dst, with which bbolt panics, is
// ErrBucketNotFound.
func (b *Bucket) MoveBucket(key []byte, dst *Bucket) error {
	if b == dst && b.Tx().DB() != nil && b.Writable() && b.Folio().Bucket(key) == nil {
		if b.Get(key) != nil {
			return ErrIncompatibleValue
		}
		return b.missing(key, ErrBucketNotFound)
	}
	return b.missing(key, b.Folio().MoveBucket(key, dst.Folio()))
}

// Sequence returns the bucket's sequence number.
func (b *Bucket) Sequence() uint64 { return b.Folio().Sequence() }

// InSequence is Sequence.
func (b *Bucket) InSequence() uint64 { return b.Folio().Sequence() }

// SetSequence sets the bucket's sequence number.
func (b *Bucket) SetSequence(v uint64) error { return b.Folio().SetSequence(v) }

// NextSequence increments the bucket's sequence number and returns it.
func (b *Bucket) NextSequence() (uint64, error) { return b.Folio().NextSequence() }

// ForEach calls fn for each key in order, with a nil value for a bucket, until it
// returns an error.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error { return b.Folio().ForEach(fn) }

// ForEachBucket calls fn for the name of each nested bucket in order, until it returns
// an error.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error { return b.Folio().ForEachBucket(fn) }

// BucketStats describes the pages of a bucket and of all buckets nested in it. It has
// more fields than bbolt's.
type BucketStats = folio.BucketStats

// Stats walks the bucket and returns what it takes.
func (b *Bucket) Stats() BucketStats { return b.Folio().Stats() }
