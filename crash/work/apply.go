package work

// This file is responsible for doing to a database what the model does.

import (
	"encoding/binary"
	"errors"

	"github.com/foliodb/folio"
)

// count returns the number of transactions that tx has before it.
func count(tx *folio.Tx) uint64 {
	b := tx.Bucket([]byte(counterBucket))
	if b == nil {
		return 0
	}
	if v := b.Get([]byte(counterKey)); len(v) == 8 {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// applier does operations in a transaction.
type applier struct {
	tx  *folio.Tx
	buf []byte
}

// transaction is the n-th transaction.
func (a *applier) transaction(n uint64, ops []op) error {
	b, err := a.tx.CreateBucketIfNotExists([]byte(counterBucket))
	if err != nil {
		return err
	}
	if err := b.Put([]byte(counterKey), number(n)); err != nil {
		return err
	}
	return a.apply(ops)
}

func (a *applier) apply(ops []op) error {
	for _, o := range ops {
		if err := a.one(o); err != nil {
			return err
		}
	}
	return nil
}

func (a *applier) one(o op) error {
	switch o.kind {
	case opKept:
		return a.tx.Nested(func(*folio.Tx) error { return a.apply(o.ops) })
	case opUndone:
		return a.undone(o.ops)
	case opDrop:
		return a.drop(o.path)
	}
	b, err := a.bucket(o.path)
	if err != nil {
		return err
	}
	switch o.kind {
	case opPut:
		a.buf = o.value.appendTo(a.buf[:0])
		return b.Put([]byte(o.key), a.buf)
	case opDelete:
		return b.Delete([]byte(o.key))
	case opDeleteRange:
		_, err := b.DeleteRange([]byte(o.key), []byte(o.hi))
		return err
	default:
		return b.SetSequence(o.n)
	}
}

func (a *applier) bucket(path []string) (*folio.Bucket, error) {
	b, err := a.tx.CreateBucketIfNotExists([]byte(path[0]))
	for _, name := range path[1:] {
		if err != nil {
			return nil, err
		}
		b, err = b.CreateBucketIfNotExists([]byte(name))
	}
	return b, err
}

// undone does operations and goes back to a savepoint.
func (a *applier) undone(ops []op) error {
	sp, err := a.tx.Savepoint()
	if err != nil {
		return err
	}
	if err := a.apply(ops); err != nil {
		return err
	}
	return errors.Join(sp.Rollback(), sp.Release())
}

func (a *applier) drop(path []string) error {
	last := []byte(path[len(path)-1])
	if len(path) == 1 {
		if a.tx.Bucket(last) == nil {
			return nil
		}
		return a.tx.DeleteBucket(last)
	}
	b, err := a.bucket(path[:len(path)-1])
	if err != nil || b.Bucket(last) == nil {
		return err
	}
	return b.DeleteBucket(last)
}

// digest returns the digest of all that tx sees.
func digest(tx *folio.Tx) uint64 {
	var sum uint64
	// In a View damage leaves this function at once.
	_ = tx.ForEach(func(name []byte, b *folio.Bucket) error {
		sum += digestBucket(string(name)+"/", b)
		return nil
	})
	return sum
}

func digestBucket(path string, b *folio.Bucket) uint64 {
	sum := sumOf(path, number(b.Sequence()))
	for k, v := range b.All() {
		at := path + string(k)
		if v == nil {
			sum += digestBucket(at+"/", b.Bucket(k))
		} else {
			sum += sumOf(at, v)
		}
	}
	return sum
}
