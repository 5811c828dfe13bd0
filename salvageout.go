package folio

// This file is responsible for the new file of Salvage: an ordinary database,
// written in transactions of bounded size.

import (
	"errors"
	"fmt"
	"os"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/vfs"
)

// salvageBatch is how many bytes of keys and values go into a transaction.
const salvageBatch = 8 << 20

// salvageOut is the new file, and the bucket in it that is being filled.
type salvageOut struct {
	db      *DB
	tx      *Tx       // nil: to be begun
	path    [][]byte  // of the current bucket
	opened  []*Bucket // those on path that are open in tx, the root first
	size    int       // bytes in tx
	keys    uint64
	buckets uint64
}

func (o *salvageOut) open(fsys vfs.FS, path string, mode os.FileMode, pageSize int) (err error) {
	// Until it has its name, nobody minds what a crash leaves of it.
	o.db, err = openFS(fsys, path, mode, Options{PageSize: pageSize, Durability: DurabilityNone})
	return err
}

// bucket returns the current bucket.
func (o *salvageOut) bucket() (*Bucket, error) {
	if o.tx == nil {
		tx, err := o.db.Begin(true)
		if err != nil {
			return nil, err
		}
		o.tx, o.opened, o.size = tx, []*Bucket{&tx.root}, 0
	}
	for len(o.opened) <= len(o.path) {
		in := o.opened[len(o.opened)-1]
		b, err := in.CreateBucketIfNotExists(o.path[len(o.opened)-1])
		if err != nil {
			return nil, err
		}
		o.opened = append(o.opened, b)
	}
	return o.opened[len(o.path)], nil
}

// lookup tells what is at key in the current bucket.
func (o *salvageOut) lookup(key []byte) (there, isBucket bool, err error) {
	b, err := o.bucket()
	if err != nil {
		return false, false, err
	}
	v, flags := b.lookup(key)
	return v != nil, flags&btree.FlagBucket != 0, o.tx.err
}

// put sets a key of the current bucket. The error is ErrIncompatibleValue if there
// is a bucket.
func (o *salvageOut) put(key, value []byte) error {
	b, err := o.bucket()
	if err != nil {
		return err
	}
	before := b.Len()
	if err := b.Put(key, value); err != nil {
		return err
	}
	o.keys += b.Len() - before
	return o.grown(len(key) + len(value))
}

// grown ends the transaction when it is large.
func (o *salvageOut) grown(n int) error {
	if o.size += n + 64; o.size < salvageBatch {
		return nil
	}
	return o.commit()
}

// enter makes the bucket name in the current one, if there is none, and goes there.
func (o *salvageOut) enter(name []byte) error {
	b, err := o.bucket()
	if err != nil {
		return err
	}
	_, existed, err := b.create(name)
	if err != nil {
		return err
	}
	if !existed {
		o.buckets++
	}
	o.path = append(o.path, append([]byte(nil), name...))
	return o.grown(len(name))
}

// leave goes back to where enter came from.
func (o *salvageOut) leave() {
	o.path = o.path[:len(o.path)-1]
	if len(o.opened) > len(o.path)+1 {
		o.opened = o.opened[:len(o.path)+1]
	}
}

// goTo makes the bucket at path the current one.
func (o *salvageOut) goTo(path [][]byte) {
	o.path = append([][]byte(nil), path...)
	if len(o.opened) > 1 {
		o.opened = o.opened[:1]
	}
}

// sequence raises the sequence number of the current bucket to n.
func (o *salvageOut) sequence(n uint64) error {
	b, err := o.bucket()
	if err != nil || n <= b.Sequence() {
		return err
	}
	return b.SetSequence(n)
}

// commit ends the transaction, if one is open.
func (o *salvageOut) commit() error {
	if o.tx == nil {
		return nil
	}
	tx := o.tx
	o.tx, o.opened = nil, nil
	return tx.Commit()
}

// check reads all that was written. It is Tx.Check in this goroutine, which progress
// can end.
func (o *salvageOut) check(progress func(done, total uint64)) error {
	return o.db.View(func(tx *Tx) (first error) {
		defer endWalk(&first)
		c := checker{tx: tx, progress: progress, send: func(err error) {
			if first == nil {
				first = fmt.Errorf("the new file is not whole: %w", err)
			}
		}}
		c.run()
		return first
	})
}

func (o *salvageOut) close(keep bool) error {
	var err error
	if o.tx != nil {
		err = o.tx.Rollback()
	}
	if !keep {
		o.db.commits = 0 // what is thrown away need not be made durable
	}
	return errors.Join(err, o.db.Close())
}

// refused tells errors about a key from those that end a salvage.
func refused(err error) bool {
	for _, e := range []error{ErrIncompatibleValue, ErrBucketTooDeep, ErrKeyRequired, ErrKeyTooLarge, ErrBucketNameRequired, ErrValueTooLarge} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
