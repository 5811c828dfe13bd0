package folio

// This file is responsible for buckets: keys and values in order. Buckets in
// buckets are in nested.go, cursors and iterators in cursor.go.

import (
	"fmt"
	"sync/atomic"

	"github.com/foliodb/folio/btree"
)

// Bucket is a collection of keys in order, and of further buckets, which lie
// among the keys under their names. It belongs to a transaction, is used by one
// goroutine at a time, and is of no use once the transaction has ended.
//
// Keys and values that it returns are parts of the mapped file or of the
// transaction's memory. They must not be modified, they stay as they are until
// the transaction ends, whatever is changed in it, and must not be used
// afterwards: copy what shall live longer. A store through one faults if it is part of
// the mapped file. In a writable transaction, and in a database in memory, it may not
// be: then nothing tells of the store, and it can be committed.
//
// When the transaction has ended, or the bucket has been deleted in it, lookups find
// nothing: Get, At, Bucket and the moves of cursors return nil, Len, Count and Rank 0,
// and iterators end at once. What returns an error returns ErrTxClosed or
// ErrBucketNotFound.
//
// Every change of a bucket can return ErrTxClosed, ErrTxNotWritable in a read-only
// transaction, ErrBucketNotFound if the bucket has been deleted, and Tx.Err if there is
// one. A change that fails halfway becomes Tx.Err itself: with ErrCorrupt or ErrFault,
// and, where changes go to the file early (Options.MaxDirty), with ErrNoSpace,
// ErrMaxSizeReached or ErrLatched.
type Bucket struct {
	compatBucket
	tx       *Tx
	tree     btree.Tree
	parent   *Bucket // nil: the root
	name     []byte
	recent   atomic.Pointer[Bucket] // opened last: may be gone, or in another bucket; atomic as handles are
	sequence uint64
	depth    int32
	changed  bool // sequence or children: something but the tree is to be flushed
	gone     bool // deleted
	*opened       // in a write transaction; in others &notOpened
}

// opened is what only a Bucket of a write transaction has.
type opened struct {
	children children
	written  uint64 // tree.Mods() at the last flush to the parent
}

// notOpened stands for the absence of that; nobody changes it.
var notOpened opened

// Tx returns the bucket's transaction.
func (b *Bucket) Tx() *Tx { return b.tx }

// Writable tells whether the bucket may be changed.
func (b *Bucket) Writable() bool { return b.tx.writable }

// usable returns the error that every use of the bucket meets.
func (b *Bucket) usable() error {
	switch {
	case b.tx.db == nil:
		return ErrTxClosed
	case b.tx.err != nil:
		return b.tx.err
	case b.gone:
		return ErrBucketNotFound
	}
	return nil
}

// changeable returns the error that every change meets.
func (b *Bucket) changeable() error {
	if err := b.usable(); err != nil {
		return err
	}
	if !b.tx.writable {
		return ErrTxNotWritable
	}
	return nil
}

// lookup is Tree.Get with errors going to the transaction.
func (b *Bucket) lookup(key []byte) (value []byte, flags byte) {
	if b.usable() != nil {
		return nil, 0
	}
	var err error
	if b.tx.managed { // as guarded does, which takes a closure
		value, flags, err = b.tree.Get(key)
	} else {
		value, flags, err = b.guardedGet(key)
	}
	if err != nil {
		b.tx.fail(err)
		return nil, 0
	}
	return value, flags
}

func (b *Bucket) guardedGet(key []byte) (value []byte, flags byte, err error) {
	b.tx.guarded(func() { value, flags, err = b.tree.Get(key) })
	return value, flags, err
}

// Get returns the value of key: nil if there is none, or if key is a bucket; an
// empty slice for an empty value. The slice is valid until the transaction ends
// and must not be modified. Damage of the file makes Get leave the function given
// to View or Update; in a transaction begun by hand Get returns nil and Tx.Err
// tells. After the transaction has ended it returns nil.
func (b *Bucket) Get(key []byte) []byte {
	v, flags := b.lookup(key)
	if flags&btree.FlagBucket != 0 {
		return nil
	}
	return b.tx.handOut(v)
}

// GetMany looks up every key and puts its value, as Get returns it, into values at
// the same index. It panics if values is shorter than keys; what it has beyond their
// number is left alone. In a bucket larger than the processor's caches the lookups wait
// for memory together, which takes about half the time of one Get after another.
func (b *Bucket) GetMany(keys [][]byte, values [][]byte) {
	if len(values) < len(keys) {
		panic(fmt.Sprintf("folio: GetMany of %d keys with room for %d values", len(keys), len(values)))
	}
	values = values[:len(keys)]
	clear(values)
	if b.usable() != nil {
		return
	}
	b.tx.guarded(func() {
		err := b.tree.GetMany(keys, func(i int, v []byte, flags byte) {
			if flags&btree.FlagBucket == 0 {
				values[i] = b.tx.handOut(v)
			}
		})
		if err != nil {
			b.tx.fail(err)
		}
	})
}

// Put sets the value of key. Both are copied. Errors are those of every change (see
// Bucket: ErrTxClosed, ErrTxNotWritable and others), ErrKeyRequired, ErrKeyTooLarge,
// ErrValueTooLarge, and ErrIncompatibleValue if key is a bucket.
func (b *Bucket) Put(key, value []byte) error {
	if err := b.changeable(); err != nil {
		return err
	}
	if err := checkKey(key); err != nil {
		return err
	}
	if int64(len(value)) > MaxValueSize {
		return ErrValueTooLarge
	}
	return b.tx.change(func() error { return b.tree.Put(key, value) })
}

// Reserve sets the value of key to n bytes and returns them, to be filled in
// place: an encoder can write there directly. They are undefined before, and may
// be written until the next change of the database or the next savepoint, Nested among
// them: what is written later can survive going back to it, or be lost. Errors are those
// of Put; a negative n is ErrValueTooLarge, as one beyond MaxValueSize is.
func (b *Bucket) Reserve(key []byte, n int) ([]byte, error) {
	if err := b.changeable(); err != nil {
		return nil, err
	}
	if err := checkKey(key); err != nil {
		return nil, err
	}
	if n < 0 || int64(n) > MaxValueSize {
		return nil, ErrValueTooLarge
	}
	var v []byte
	err := b.tx.change(func() (err error) {
		v, err = b.tree.Reserve(key, n)
		return err
	})
	if err != nil {
		return nil, err
	}
	b.tx.store.exposed = true // it is in the heap until the next change
	return v, nil
}

func checkKey(key []byte) error {
	switch {
	case len(key) == 0:
		return ErrKeyRequired
	case len(key) > MaxKeySize:
		return ErrKeyTooLarge
	}
	return nil
}

// Delete removes key. A key that is not there is no error. Errors are those of every
// change (see Bucket: ErrTxClosed, ErrTxNotWritable and others), and
// ErrIncompatibleValue if key is a bucket.
func (b *Bucket) Delete(key []byte) error {
	if err := b.changeable(); err != nil {
		return err
	}
	return b.tx.change(func() error {
		_, err := b.tree.Delete(key, 0)
		return err
	})
}

// DeleteRange removes the keys in [lo, hi) and returns how many there were; nil
// is unbounded. If lo is not before hi there are none, which is no error. Leaves that go
// as a whole are not read, unless they have long keys or values, whose pages are to be
// freed as well. If there is a nested bucket in the range, nothing is removed and the
// error is ErrIncompatibleValue. Other errors are those of every change (see Bucket:
// ErrTxClosed, ErrTxNotWritable and others).
func (b *Bucket) DeleteRange(lo, hi []byte) (n uint64, err error) {
	if err := b.changeable(); err != nil {
		return 0, err
	}
	err = b.tx.change(func() error {
		n, err = b.tree.DeleteRange(lo, hi)
		return err
	})
	return n, err
}

// Len returns the number of keys in the bucket, nested buckets among them, each
// counted as one; 0 after the transaction has ended. It costs nothing.
func (b *Bucket) Len() uint64 {
	if b.usable() != nil {
		return 0
	}
	return b.tree.Len()
}

// Count returns the number of keys in [lo, hi), nil being unbounded, in
// O(log n). It is 0 if lo is not before hi, and after the transaction has ended.
func (b *Bucket) Count(lo, hi []byte) uint64 {
	return b.number(func() (uint64, error) { return b.tree.Count(lo, hi) })
}

// Rank returns the number of keys before key, which need not exist, in O(log n); 0
// after the transaction has ended.
func (b *Bucket) Rank(key []byte) uint64 {
	return b.number(func() (uint64, error) { return b.tree.Rank(key) })
}

func (b *Bucket) number(fn func() (uint64, error)) (n uint64) {
	if b.usable() != nil {
		return 0
	}
	b.tx.guarded(func() {
		v, err := fn()
		if err != nil {
			b.tx.fail(err)
			return
		}
		n = v
	})
	return n
}

// At returns the i-th key in order, counted from 0, and its value, in O(log n);
// nil past the end, and after the transaction has ended. The value of a bucket is nil.
func (b *Bucket) At(i uint64) (key, value []byte) {
	return b.Cursor().At(i)
}

// Sequence returns the bucket's current sequence number, without changing it; after
// the transaction has ended, what it was then.
func (b *Bucket) Sequence() uint64 { return b.sequence }

// SetSequence sets the bucket's sequence number. Errors are those of every change (see
// Bucket): ErrTxClosed, ErrTxNotWritable and ErrBucketNotFound, or Tx.Err.
func (b *Bucket) SetSequence(v uint64) error {
	if err := b.changeable(); err != nil {
		return err
	}
	b.sequence = v
	b.changed = true
	return nil
}

// NextSequence increments the bucket's sequence number and returns it. Errors are those
// of SetSequence.
func (b *Bucket) NextSequence() (uint64, error) {
	if err := b.changeable(); err != nil {
		return 0, err
	}
	b.sequence++
	b.changed = true
	return b.sequence, nil
}

// ForEach calls fn for each key in the bucket in order, with a nil value for a
// nested bucket, until fn returns an error, which it returns. fn may change the
// bucket: keys that it inserts behind the current one are visited.
func (b *Bucket) ForEach(fn func(k, v []byte) error) error {
	if err := b.usable(); err != nil {
		return err
	}
	c := b.Cursor()
	for k, v := c.First(); k != nil; k, v = c.Next() {
		if err := fn(k, v); err != nil {
			return err
		}
	}
	return b.tx.err
}

// ForEachBucket calls fn for the name of each nested bucket in order, until fn
// returns an error, which it returns.
func (b *Bucket) ForEachBucket(fn func(k []byte) error) error {
	if err := b.usable(); err != nil {
		return err
	}
	c := b.Cursor()
	for it := c.first(); it.Key != nil; it = c.next() {
		if it.Flags&btree.FlagBucket == 0 {
			continue
		}
		if err := fn(it.Key); err != nil {
			return err
		}
	}
	return b.tx.err
}
