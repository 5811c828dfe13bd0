package main

// This file is responsible for putting all of a database into another one, which can be of
// another kind: bounded transactions, buckets in buckets, and the file that appears only
// when it is complete.

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/foliodb/folio"
	"github.com/schollz/progressbar/v3"
	bolt "go.etcd.io/bbolt"
)

// source is a bucket that is read. Both kinds of bucket are one.
type source[B any] interface {
	ForEach(fn func(k, v []byte) error) error
	Bucket(name []byte) B
	Sequence() uint64
}

// target is a bucket that is written. Both kinds of bucket are one.
type target[B any] interface {
	comparable
	CreateBucket(name []byte) (B, error)
	Bucket(name []byte) B
	Put(key, value []byte) error
	SetSequence(v uint64) error
}

// change is a transaction that writes. Those of both databases are one.
type change interface {
	Commit() error
	Rollback() error
}

// mover copies buckets, in transactions of bounded size.
type mover[S source[S], T target[T]] struct {
	ctx     context.Context
	begin   func() (change, T, error) // returns the bucket of the top level, too
	prepare func(T)                   // called with each bucket before it is filled; nil: nothing
	bar     *progressbar.ProgressBar
	tx      change
	top     T        // the top level, in tx
	size    int      // in the transaction
	path    [][]byte // of the bucket that is being copied
	into    T        // it, in tx
	keys    uint64
	buckets uint64
}

// moveBytes is how many bytes of keys and values go into a transaction, and moveEntry
// what is counted for each of them besides.
const (
	moveBytes = 16 << 20
	moveEntry = 16
)

// run copies all that is in from, the top level of a database.
func (m *mover[S, T]) run(from S) (err error) {
	if m.tx, m.top, err = m.begin(); err != nil {
		return err
	}
	m.reopen()
	if err := m.contents(from); err != nil {
		return errors.Join(err, m.tx.Rollback())
	}
	return m.tx.Commit()
}

// bucket copies what is in from to made, which is at m.path under name.
func (m *mover[S, T]) bucket(name []byte, from S, made T) error {
	m.buckets++
	m.path = append(m.path, name)
	m.fill(made)
	err := m.contents(from)
	m.path = m.path[:len(m.path)-1]
	m.reopen() // the transaction need not be the one in which we began
	return err
}

// contents copies what is in from to the bucket that is filled.
func (m *mover[S, T]) contents(from S) error {
	if n := from.Sequence(); n > 0 {
		if err := m.into.SetSequence(n); err != nil {
			return m.failed(nil, err)
		}
	}
	return from.ForEach(func(k, v []byte) error {
		if err := m.room(len(k) + len(v) + moveEntry); err != nil {
			return err
		}
		if v != nil {
			m.keys++
			return m.failed(k, m.into.Put(k, v))
		}
		made, err := m.into.CreateBucket(k)
		if err != nil {
			return m.failed(k, err)
		}
		return m.bucket(k, from.Bucket(k), made)
	})
}

// fill makes b the bucket that is filled.
func (m *mover[S, T]) fill(b T) {
	m.into = b
	if m.prepare != nil {
		m.prepare(b)
	}
}

// failed says where an error of writing met us.
func (m *mover[S, T]) failed(key []byte, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", formatPath(append(m.path[:len(m.path):len(m.path)], key)), err)
}

// room begins another transaction if n bytes more are too many for this one. It ends a
// run that is to end.
func (m *mover[S, T]) room(n int) (err error) {
	if m.ctx.Err() != nil {
		return context.Cause(m.ctx)
	}
	if m.size += n; m.size < moveBytes {
		return nil
	}
	_ = m.bar.Add(m.size) // only looks
	m.size = 0
	if err := m.tx.Commit(); err != nil {
		return err
	}
	if m.tx, m.top, err = m.begin(); err != nil {
		return err
	}
	m.reopen()
	return nil
}

// reopen finds the bucket at m.path in the transaction that there is now.
func (m *mover[S, T]) reopen() {
	m.fill(m.top)
	for _, name := range m.path {
		m.fill(m.into.Bucket(name))
	}
}

// The kinds of buckets that can be copied into each other.
type (
	importer  = mover[*bolt.Bucket, *folio.Bucket]
	exporter  = mover[*folio.Bucket, *bolt.Bucket]
	compacter = mover[*folio.Bucket, *folio.Bucket]
)

// beginner returns a function that begins transactions of db, for a mover.
func beginner(db *folio.DB) func() (change, *folio.Bucket, error) {
	return func() (change, *folio.Bucket, error) {
		tx, err := db.Begin(true)
		if err != nil {
			return nil, nil, err
		}
		return tx, tx.Cursor().Bucket(), nil
	}
}

// newFile calls write with the name of a file that becomes path when write has
// succeeded. Nothing is replaced, and nothing is left behind, also if kvctl is
// interrupted, which write is told by its context.
func newFile(path string, write func(ctx context.Context, tmp string) error) error {
	if _, err := os.Lstat(path); err == nil {
		return fail(exitError, "%s exists: give the new file another name", path)
	}
	if _, err := os.Stat(filepath.Dir(path)); err != nil {
		return err
	}
	ctx, stop := interruptible()
	defer stop()
	dir, err := os.MkdirTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return cannotMake(path, err)
	}
	defer os.RemoveAll(dir) // what is left in it is litter
	tmp := filepath.Join(dir, filepath.Base(path))
	if err := untilDone(ctx, func() error { return write(ctx, tmp) }); err != nil {
		if ctx.Err() != nil {
			return notMade(ctx, path)
		}
		return cannotMake(path, err)
	}
	if err := os.Link(tmp, path); errors.Is(err, fs.ErrExist) {
		return fail(exitError, "%s exists since a moment ago: give the new file another name", path)
	} else if err != nil { // not every file system has links
		if err := os.Rename(tmp, path); err != nil {
			return err
		}
	}
	return syncDir(filepath.Dir(path))
}

// interruptWait is how long to wait for what was interrupted to close what it reads.
const interruptWait = time.Second

// untilDone runs fn, but returns soon after ctx is done. There are parts of fn, such as
// bbolt's check, that do not end then.
func untilDone(ctx context.Context, fn func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- fn() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case <-ended:
	case <-time.After(interruptWait):
	}
	return context.Cause(ctx)
}

// cannotMake names the new file in an error that is about the one that it is made of,
// whose name means nothing to anybody.
func cannotMake(path string, err error) error {
	var system *fs.PathError
	if errors.As(err, &system) && strings.HasPrefix(system.Path, path+".") {
		return fail(exitError, "%s cannot be made: %w", path, system.Err)
	}
	return err
}

// notMade says that ctx is done before there was a file.
func notMade(ctx context.Context, path string) error {
	return fmt.Errorf("%w: %s was not made, and nothing is left of it", context.Cause(ctx), path)
}

// syncDir makes the names in a directory durable, where the system knows how.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	_ = d.Sync() // Windows has no such thing
	return d.Close()
}

// guarded runs a function that reads a file of bbolt, to which a damaged one means
// panics and faults of the map. It returns those as errors.
func guarded(file string, fn func() error) (err error) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		switch r := recover().(type) {
		case nil:
		case runtime.Error: // its text is about bbolt's memory
			err = damagedBolt(file, errors.New("what is referred to in it is not there, as if it had been cut off"))
		default:
			err = damagedBolt(file, fmt.Errorf("%v", r))
		}
	}()
	return fn()
}

// damagedBolt says that a file of bbolt is damaged.
func damagedBolt(file string, err error) error {
	return fail(exitDamaged, "%s is damaged: %w: nothing was imported; restore a backup, or try bbolt surgery", file, err)
}
