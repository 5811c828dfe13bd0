package folio

// This file is responsible for cursors and iterators.

import (
	"bytes"
	"iter"
	"runtime/debug"

	"github.com/foliodb/folio/btree"
)

// Cursor moves over the keys of a bucket in order. Keys and values that it
// returns are valid until the transaction ends and must not be modified; the
// value of a nested bucket is nil, that of an empty value an empty slice.
//
// A cursor stays where it is when its bucket is changed, by itself or otherwise:
// Next returns the first key behind the one it was on, Prev the last one before
// it, whether that one is still there or not. Behind the last or before the first
// key it returns nil and stays on that key.
//
// All moves return nil after the transaction has ended, or once the bucket has been
// deleted.
type Cursor struct {
	compatCursor
	bucket *Bucket
	c      btree.Cursor
}

// Cursor returns a new cursor over the bucket, which is on no key. It is valid as
// long as the transaction.
func (b *Bucket) Cursor() *Cursor {
	c := &Cursor{bucket: b}
	c.c.Init(&b.tree)
	b.tx.expose()
	return c
}

// Bucket returns the bucket that the cursor moves over.
func (c *Cursor) Bucket() *Bucket { return c.bucket }

// do runs a move with errors going to the transaction.
func (c *Cursor) do(move func() (btree.Item, error)) (it btree.Item) {
	tx := c.bucket.tx
	if c.bucket.usable() != nil {
		return it
	}
	tx.guarded(func() {
		got, err := move()
		if err != nil {
			tx.fail(err)
			return
		}
		it = got
	})
	return it
}

func (c *Cursor) first() btree.Item { return c.do(c.c.First) }

// steady tells whether Cursor.c may be moved directly: faults on the map are taken
// care of, and lookups have not come to an end.
func (c *Cursor) steady() bool {
	tx := c.bucket.tx
	return tx.managed && tx.err == nil && !c.bucket.gone
}

func (c *Cursor) next() btree.Item {
	if !c.steady() {
		return c.do(c.c.Next)
	}
	return c.moved(c.c.Next())
}

func (c *Cursor) prev() btree.Item {
	if !c.steady() {
		return c.do(c.c.Prev)
	}
	return c.moved(c.c.Prev())
}

// step moves within a leaf, if that is all there is to do; else it returns nil. A scan is
// this and nothing else, most of the time.
func (c *Cursor) step() (key, value []byte) {
	if c.steady() {
		return c.c.Step()
	}
	return c.stepByHand(false)
}

func (c *Cursor) stepBack() (key, value []byte) {
	if c.steady() {
		return c.c.StepBack()
	}
	return c.stepByHand(true)
}

// stepByHand is step, or stepBack, in a transaction begun by hand. It does what guarded does,
// without its closures, which take longer than a step.
func (c *Cursor) stepByHand(back bool) (key, value []byte) {
	if !c.c.CanStep() || c.bucket.usable() != nil {
		return nil, nil
	}
	key, value, err := c.caughtStep(back)
	if err != nil {
		c.bucket.tx.stick(err)
	}
	return key, value
}

func (c *Cursor) caughtStep(back bool) (key, value []byte, err error) {
	defer c.bucket.tx.caught(debug.SetPanicOnFault(true), &err)
	if back {
		key, value = c.c.StepBack()
	} else {
		key, value = c.c.Step()
	}
	return key, value, nil
}

func (c *Cursor) moved(it btree.Item, err error) btree.Item {
	if err != nil {
		c.bucket.tx.fail(err)
	}
	return it
}

// steps returns how many steps of c's tree, of which fn tells it, may be taken now.
func (c *Cursor) steps(fn func(to []byte) (int, error), to []byte) (n int) {
	tx := c.bucket.tx
	if !c.c.CanStep() || c.bucket.usable() != nil {
		return 0
	}
	tx.guarded(func() {
		var err error
		if n, err = fn(to); err != nil {
			tx.fail(err)
		}
	})
	return n
}

// walk calls yield for the pair of it, where c is, and those behind it, up to hi,
// until it returns false. Most of the time is spent in the inner loop, which goes
// through a leaf.
func (c *Cursor) walk(it btree.Item, hi []byte, yield func(k, v []byte) bool) {
	for ; it.Key != nil; it = c.next() {
		if hi != nil && bytes.Compare(it.Key, hi) >= 0 || !yield(pair(it)) {
			return
		}
		for n := c.steps(c.c.Steps, hi); n > 0; n-- {
			k, v := c.step()
			if k == nil {
				break
			}
			if !yield(k, v) {
				return
			}
		}
	}
}

// walkBack is walk in the other direction, down to lo.
func (c *Cursor) walkBack(it btree.Item, lo []byte, yield func(k, v []byte) bool) {
	for ; it.Key != nil; it = c.prev() {
		if lo != nil && bytes.Compare(it.Key, lo) < 0 || !yield(pair(it)) {
			return
		}
		for n := c.steps(c.c.StepsBack, lo); n > 0; n-- {
			k, v := c.stepBack()
			if k == nil {
				break
			}
			if !yield(k, v) {
				return
			}
		}
	}
}

func pair(it btree.Item) (key, value []byte) {
	if it.Flags&btree.FlagBucket != 0 {
		return it.Key, nil
	}
	return it.Key, it.Value
}

// First moves to the first key and returns it; nil if the bucket is empty.
func (c *Cursor) First() (key, value []byte) { return pair(c.first()) }

// Last moves to the last key and returns it; nil if the bucket is empty.
func (c *Cursor) Last() (key, value []byte) { return pair(c.do(c.c.Last)) }

// Next moves to the next key and returns it; nil behind the last. On a new cursor
// it is First.
func (c *Cursor) Next() (key, value []byte) {
	if c.steady() { // as in step, which would be one call more
		key, value = c.c.Step()
	} else {
		key, value = c.stepByHand(false)
	}
	if key != nil {
		return key, value
	}
	return pair(c.next())
}

// Prev moves to the previous key and returns it; nil before the first. On a new
// cursor it is Last.
func (c *Cursor) Prev() (key, value []byte) {
	if key, value = c.stepBack(); key != nil {
		return key, value
	}
	return pair(c.prev())
}

// Seek moves to the first key that is not before seek and returns it; nil if
// there is none.
func (c *Cursor) Seek(seek []byte) (key, value []byte) {
	return pair(c.do(func() (btree.Item, error) { return c.c.Seek(seek) }))
}

// At moves to the i-th key in order, counted from 0, and returns it, in O(log n);
// nil past the end.
func (c *Cursor) At(i uint64) (key, value []byte) {
	return pair(c.do(func() (btree.Item, error) { return c.c.At(i) }))
}

// Delete removes the key that the cursor is on. Next then returns the key behind
// it. Where Next or Prev has returned nil, the cursor is still on the last or the first
// key, and Delete removes that. On a nested bucket it returns ErrIncompatibleValue. On no
// key it does nothing: on a new cursor, where Seek found none, and after a Delete until
// the next move, even if the same key has been put again. Other errors are those of every
// change (see Bucket).
func (c *Cursor) Delete() error {
	if err := c.bucket.changeable(); err != nil {
		return err
	}
	return c.bucket.tx.change(func() error {
		_, err := c.c.Delete(0)
		return err
	})
}

// All iterates over all keys and values of the bucket in order. The iterators
// follow the rules of Cursor: the bucket may be changed meanwhile. An error ends
// them, as it does Cursor: inside View and Update it becomes the error of the
// call, else see Tx.Err. After the transaction has ended there is nothing to iterate over.
func (b *Bucket) All() iter.Seq2[[]byte, []byte] { return b.Range(nil, nil) }

// Backward iterates over all keys and values of the bucket from the last to the
// first.
func (b *Bucket) Backward() iter.Seq2[[]byte, []byte] { return b.RangeBackward(nil, nil) }

// Range iterates over the keys in [lo, hi) in order; nil is unbounded. If lo is not
// before hi there are none.
func (b *Bucket) Range(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		it := btree.Item{}
		if lo == nil {
			it = c.first()
		} else {
			it = c.do(func() (btree.Item, error) { return c.c.Seek(lo) })
		}
		c.walk(it, hi, yield)
	}
}

// RangeBackward iterates over the keys in [lo, hi) from the last to the first;
// nil is unbounded. If lo is not before hi there are none.
func (b *Bucket) RangeBackward(lo, hi []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		c := b.Cursor()
		it := btree.Item{}
		if hi == nil {
			it = c.do(c.c.Last)
		} else {
			// Before the first key >= hi, which may not exist: then the last.
			c.do(func() (btree.Item, error) { return c.c.Seek(hi) })
			it = c.do(c.c.Prev)
		}
		c.walkBack(it, lo, yield)
	}
}

// Prefix iterates over the keys that begin with prefix in order.
func (b *Bucket) Prefix(prefix []byte) iter.Seq2[[]byte, []byte] {
	return b.Range(prefix, PrefixEnd(prefix))
}

// PrefixBackward iterates over the keys that begin with prefix from the last to
// the first.
func (b *Bucket) PrefixBackward(prefix []byte) iter.Seq2[[]byte, []byte] {
	return b.RangeBackward(prefix, PrefixEnd(prefix))
}

// PrefixEnd returns the first key behind all that begin with prefix, for use as
// the upper bound of Range, Count and DeleteRange; nil, which is unbounded, if
// there is none.
func PrefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] != 0xff {
			end := bytes.Clone(prefix[:i+1])
			end[i]++
			return end
		}
	}
	return nil
}

// Buckets iterates over the nested buckets and their names in order. It reads no pages
// that have only keys with values in them, or below them.
func (b *Bucket) Buckets() iter.Seq2[[]byte, *Bucket] {
	return func(yield func(name []byte, b *Bucket) bool) {
		b.tx.expose()
		var from []byte
		for {
			name, in := b.bucketFrom(from)
			if in == nil {
				return
			}
			from = append(append(from[:0], name...), 0) // the caller may delete it
			if !yield(name, in) {
				return
			}
		}
	}
}

// bucketFrom returns the first nested bucket from a key on, nil if there is none.
func (b *Bucket) bucketFrom(from []byte) (name []byte, c *Bucket) {
	if b.usable() != nil {
		return nil, nil
	}
	b.tx.guarded(func() {
		found, payload, err := b.tree.BucketFrom(from)
		if err == nil && found != nil {
			name = found
			if c = b.children.get(name); c == nil {
				c, err = b.open(name, payload)
			}
		}
		if err != nil {
			b.tx.fail(err)
		}
	})
	return name, c
}
