package bbolt

// This file is responsible for buckets.

import (
	"fmt"
	"sync/atomic"

	"github.com/foliodb/folio"
	"go.etcd.io/bbolt/internal/common"
)

// Bucket is a collection of keys in order, and of further buckets among them. Keys and
// values that it returns are valid until the transaction ends and must not be changed.
type Bucket struct {
	// FillPercent has no effect: pages fill by themselves.
	FillPercent float64

	b  *folio.Bucket
	tx *Tx

	// recent is the nested bucket that was opened last. folio returns the same one
	// again, and programs ask for it before each Get and Put.
	recent atomic.Pointer[Bucket]
}

// Folio returns folio's own bucket, for what bbolt does not have.
func (b *Bucket) Folio() *folio.Bucket { return b.b }

// Tx returns the bucket's transaction.
func (b *Bucket) Tx() *Tx { return b.tx }

// Root returns the page of the bucket's tree: 0 if it has none of its own, or none yet.
func (b *Bucket) Root() common.Pgid { return common.Pgid(b.b.Root()) }

// String returns the bucket's root page and sequence in a form for logs.
func (b *Bucket) String() string { return fmt.Sprintf("<pgid=%d,seq=%d>", b.Root(), b.Sequence()) }

// RootPage is Root.
func (b *Bucket) RootPage() common.Pgid { return b.Root() }

// Writable tells whether the bucket may be changed.
func (b *Bucket) Writable() bool { return b.b.Writable() }

// Get returns the value of key: nil if there is none, or if key is a bucket.
func (b *Bucket) Get(key []byte) []byte { return b.b.Get(key) }

// Put sets the value of key. Both are copied.
func (b *Bucket) Put(key []byte, value []byte) error {
	if int64(len(value)) > MaxValueSize {
		return b.tooLarge(key)
	}
	return b.b.Put(key, value)
}

// tooLarge returns the error of a Put with a value that is too large, which is the last
// thing that bbolt looks at.
func (b *Bucket) tooLarge(key []byte) error {
	switch {
	case b.tx.DB() == nil:
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
func (b *Bucket) Delete(key []byte) error { return b.b.Delete(key) }

// Cursor returns a new cursor over the bucket.
func (b *Bucket) Cursor() *Cursor { return b.newCursor(b.b.Cursor()) }

// Bucket returns the nested bucket name, or nil if there is none.
func (b *Bucket) Bucket(name []byte) *Bucket {
	return b.tx.wrapRecent(&b.recent, b.b.Bucket(name))
}

// CreateBucket creates the nested bucket key.
func (b *Bucket) CreateBucket(key []byte) (*Bucket, error) {
	return b.tx.made(b.b.CreateBucket(key))
}

// CreateBucketIfNotExists returns the nested bucket key, which it creates if there is
// none.
func (b *Bucket) CreateBucketIfNotExists(key []byte) (*Bucket, error) {
	return b.tx.made(b.b.CreateBucketIfNotExists(key))
}

// DeleteBucket removes the nested bucket key with everything in it.
func (b *Bucket) DeleteBucket(key []byte) error {
	return b.missing(key, b.b.DeleteBucket(key))
}

// missing returns what bbolt returns where folio does not find a bucket. The empty name
// is what bbolt compares with the first key, and in an empty bucket it is equal to the
// lack of one, as a key with a value. There are tests that count on it.
func (b *Bucket) missing(key []byte, err error) error {
	if err == ErrBucketNotFound && len(key) == 0 && b.b.Len() == 0 {
		return ErrIncompatibleValue
	}
	return err
}

// MoveBucket moves the nested bucket key to dst. Where several things are wrong, the
// error is the one that bbolt finds first.
func (b *Bucket) MoveBucket(key []byte, dst *Bucket) error {
	if b.b == dst.b && b.tx.DB() != nil && b.Writable() && b.b.Bucket(key) == nil {
		if b.Get(key) != nil {
			return ErrIncompatibleValue
		}
		return b.missing(key, ErrBucketNotFound)
	}
	return b.missing(key, b.b.MoveBucket(key, dst.b))
}

// Sequence returns the bucket's sequence number.
func (b *Bucket) Sequence() uint64 { return b.b.Sequence() }

// InSequence is Sequence.
func (b *Bucket) InSequence() uint64 { return b.b.Sequence() }

// SetSequence sets the bucket's sequence number.
func (b *Bucket) SetSequence(v uint64) error { return b.b.SetSequence(v) }

// NextSequence increments the bucket's sequence number and returns it.
func (b *Bucket) NextSequence() (uint64, error) { return b.b.NextSequence() }

// ForEach calls fn for each key in order, with a nil value for a bucket, until it
// returns an error.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error { return b.b.ForEach(fn) }

// ForEachBucket calls fn for the name of each nested bucket in order, until it returns
// an error.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error { return b.b.ForEachBucket(fn) }

// BucketStats describes the pages of a bucket and of all buckets nested in it. It has
// more fields than bbolt's.
type BucketStats = folio.BucketStats

// Stats walks the bucket and returns what it takes.
func (b *Bucket) Stats() BucketStats { return b.b.Stats() }
