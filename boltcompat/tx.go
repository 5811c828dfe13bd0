package bbolt

// This file is responsible for transactions.

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/foliodb/folio"
	"go.etcd.io/bbolt/internal/common"
)

// Tx is a transaction: a consistent view of the database.
//
// It is folio's by another name, with a field WriteFlag that has no effect: copies are
// read by system calls, through the file that is open.
type Tx folio.Tx

// begun takes note of the beginning of a transaction.
func (db *DB) begun(ftx *folio.Tx) *Tx {
	if db.skipped.Load() == notKnown && ftx.Writable() {
		db.skipped.CompareAndSwap(notKnown, int64(ftx.ID()-db.firstID-1))
	}
	return (*Tx)(ftx)
}

// ended takes note of the end of a transaction.
func (db *DB) ended(tx *Tx) {
	if n := tx.Cursors.Load(); n != 0 {
		db.cursors.Add(n)
	}
}

// relax makes the commit to come one without a flush if the database has NoSync.
func (db *DB) relax(tx *Tx) error {
	if !db.NoSync || tx.DB() == nil {
		return nil
	}
	return tx.Folio().SetDurability(folio.DurabilityNone)
}

// Folio returns folio's own transaction, for what bbolt does not have.
func (tx *Tx) Folio() *folio.Tx { return (*folio.Tx)(tx) }

// notKnown is DB.skipped before the first write transaction.
const notKnown = -1

// ID returns the transaction's number: for a read-only one that of the commit it sees,
// for a writable one the next. folio skips numbers when it opens a file, which programs
// that count versions do not expect; here they go on where they ended.
func (tx *Tx) ID() int {
	id := tx.Folio().ID()
	if db := tx.DB(); db != nil && id > db.firstID {
		id -= int(db.skipped.Load())
	}
	return id
}

// DB returns the transaction's database, or nil when it has ended.
func (tx *Tx) DB() *DB {
	db := tx.Folio().DB()
	if db == nil {
		return nil
	}
	return db.Compat.(*DB)
}

// Size returns the size of the database in bytes as the transaction sees it.
func (tx *Tx) Size() int64 { return tx.Folio().Size() }

// Writable tells whether the transaction can change the database.
func (tx *Tx) Writable() bool { return tx.Folio().Writable() }

// Cursor returns a cursor over the top-level buckets; their values are nil.
func (tx *Tx) Cursor() *Cursor {
	return tx.newCursor(tx.Folio().Cursor())
}

// Bucket returns the top-level bucket name, or nil if there is none.
func (tx *Tx) Bucket(name []byte) *Bucket {
	return (*Bucket)(tx.Folio().Bucket(name))
}

// CreateBucket creates a top-level bucket.
func (tx *Tx) CreateBucket(name []byte) (*Bucket, error) {
	return tx.made(tx.Folio().CreateBucket(name))
}

// CreateBucketIfNotExists returns a top-level bucket, which it creates if there is
// none.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return tx.made(tx.Folio().CreateBucketIfNotExists(name))
}

// made returns what a function that creates a bucket returns.
func (tx *Tx) made(fb *folio.Bucket, err error) (*Bucket, error) {
	if err != nil {
		tx.DB().logResult(err, "Creating a bucket")
		return nil, err
	}
	return (*Bucket)(fb), nil
}

// DeleteBucket removes a top-level bucket with everything in it.
func (tx *Tx) DeleteBucket(name []byte) error {
	if len(name) == 0 {
		return tx.root().DeleteBucket(name)
	}
	return tx.Folio().DeleteBucket(name)
}

// root returns the bucket of the top-level buckets.
func (tx *Tx) root() *Bucket { return (*Bucket)(tx.Folio().Cursor().Bucket()) }

// MoveBucket moves the bucket child from src to dst. Nil stands for the top level.
func (tx *Tx) MoveBucket(child []byte, src *Bucket, dst *Bucket) error {
	if src == nil {
		src = tx.root()
	}
	if dst == nil {
		dst = tx.root()
	}
	return src.MoveBucket(child, dst)
}

// ForEach calls fn for each top-level bucket in order, until it returns an error.
func (tx *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	return tx.Folio().ForEach(func(name []byte, fb *folio.Bucket) error { return fn(name, (*Bucket)(fb)) })
}

// OnCommit adds a function to be called after the transaction has been committed.
func (tx *Tx) OnCommit(fn func()) { tx.Folio().OnCommit(fn) }

// Commit writes the changes, makes them durable unless DB.NoSync is set, and ends the
// transaction.
func (tx *Tx) Commit() error {
	db := tx.DB()
	if db == nil || !tx.Writable() {
		return tx.Folio().Commit() // an error
	}
	start := time.Now()
	err := db.relax(tx)
	if err == nil {
		err = tx.Folio().Commit()
	}
	db.ended(tx)
	tx.WriteTime = time.Since(start)
	return db.committed(err, tx.WriteTime)
}

// Rollback drops the changes and ends the transaction.
func (tx *Tx) Rollback() error {
	if db := tx.DB(); db != nil {
		db.ended(tx)
	}
	return tx.Folio().Rollback()
}

// Page describes page id; nil if there is no such page.
func (tx *Tx) Page(id int) (*common.PageInfo, error) {
	p, err := tx.Folio().Page(id)
	if err != nil || p == nil {
		return nil, err
	}
	return &common.PageInfo{ID: p.ID, Type: p.Type, Count: p.Count, OverflowCount: p.OverflowCount}, nil
}

// Copy writes the whole database to w.
//
// Deprecated: use WriteTo.
func (tx *Tx) Copy(w io.Writer) error {
	_, err := tx.WriteTo(w)
	return err
}

// WriteTo writes the whole database to w, as a file of folio, and returns how many
// bytes it has written: Size, if there is no error.
func (tx *Tx) WriteTo(w io.Writer) (int64, error) {
	db := tx.DB()
	if db == nil {
		return 0, ErrTxClosed
	}
	c := copier{w: w, page: db.Info().PageSize}
	if _, err := tx.Folio().WriteTo(&c); err != nil {
		if c.err != nil {
			return c.n, c.err
		}
		return c.n, err
	}
	return c.n, nil
}

// CopyFile writes the whole database to a file.
func (tx *Tx) CopyFile(path string, mode os.FileMode) error { return tx.Folio().CopyFile(path, mode) }

// metaPages is how many of them a file begins with.
const metaPages = 2

// copier counts what it writes, and keeps the writer's error, which programs compare
// with their own. As bbolt does, it writes the meta pages one by one, and says which
// of them an error met.
type copier struct {
	w    io.Writer
	page int
	n    int64
	err  error
}

func (c *copier) Write(p []byte) (int, error) {
	done := 0
	for slot := c.n / int64(c.page); slot < metaPages && done+c.page <= len(p); slot++ {
		n, err := c.w.Write(p[done : done+c.page])
		done += n
		c.n += int64(n)
		if err != nil {
			c.err = fmt.Errorf("meta %d copy: %w", slot, err)
			return done, c.err
		}
	}
	n, err := c.w.Write(p[done:])
	c.n += int64(n)
	c.err = err
	return done + n, err
}
