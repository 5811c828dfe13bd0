package main

// This file is responsible for opening files and finding buckets in them.

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/spf13/cobra"
)

// isFile refuses what cannot be read at all, with an error that says so. What is
// the file to name instead of a directory.
func isFile(path, what string) error {
	info, err := os.Stat(path)
	switch {
	case path == "":
		return fail(exitError, "the name of the file is empty: is a variable not set?")
	case errors.Is(err, fs.ErrNotExist):
		return fail(exitNotFound, "%s: %w", path, errNoFile)
	case err != nil:
		return err
	case info.IsDir():
		return fail(exitError, "%s: a directory: name %s in it", path, what)
	}
	return nil
}

var errNoFile = errors.New("no such file")

// regularFile returns what the system knows of a file, and refuses what can be no
// database. Opening a pipe would wait for somebody who writes it.
func regularFile(path string) (fs.FileInfo, error) {
	if err := isFile(path, "the database file"); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err == nil {
		err = vfs.CheckMode(path, info.Mode())
	}
	return info, err
}

// existing is regularFile for what must be a database already. Of what a creation that
// was cut off can leave, the library would make one.
func existing(path string) (fs.FileInfo, error) {
	info, err := regularFile(path)
	if err != nil || info.Size() > page.NumMetas*page.MaxSize {
		return info, err
	}
	b, err := os.ReadFile(path)
	if err == nil && len(bytes.Trim(b, "\x00")) == 0 {
		what := "it is empty"
		if len(b) > 0 {
			what = "there are only zeros in it"
		}
		err = fail(exitError, "%s: not a folio file: %s: is this the right file?", path, what)
	}
	return info, err
}

// view opens the file for reading and calls fn with a transaction.
func (e *env) view(path string, fn func(*folio.Tx) error) error {
	db, err := e.openReader(path)
	if err != nil {
		return err
	}
	return errors.Join(db.View(fn), db.Close())
}

// openReader opens the file for reading, beside a process that writes.
func (e *env) openReader(path string) (*folio.DB, error) {
	if _, err := existing(path); err != nil {
		return nil, err
	}
	// What is printed is read whole anyway, so long values are verified, too.
	db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: e.timeout, Verify: folio.VerifyFirstFull})
	return db, cannotOpen(err)
}

// change opens the file for writing and calls fn with it. A file that is missing,
// empty or all zeros becomes a database if create is set, and is left as it is else.
func (e *env) change(path string, create bool, fn func(*folio.DB) error) error {
	var own *failure
	_, err := regularFile(path)
	switch {
	case !create:
		_, err = existing(path)
	case errors.As(err, &own) && own.code == exitNotFound:
		err = nil
	}
	if err != nil {
		return err
	}
	db, err := e.openWriter(path)
	if err != nil {
		return cannotOpen(inUse(path, err))
	}
	err = errors.Join(fn(db), db.Close())
	return inUse(path, err)
}

// openWriter opens the file for writing: alone, or, if those who write it now let
// others write, in turn with them.
func (e *env) openWriter(path string) (*folio.DB, error) {
	const atOnce = 1 // nanosecond; 0 waits for ever
	db, err := folio.Open(path, 0o644, &folio.Options{Timeout: atOnce, PageSize: e.pageSize})
	if !errors.Is(err, folio.ErrTimeout) {
		return db, err
	}
	o := folio.Options{Timeout: e.timeout, PageSize: e.pageSize}
	if shared(whoWrites(path)) {
		o.Sharing = folio.ShareWriters
	}
	return folio.Open(path, 0o644, &o)
}

// pageSizeFlag gives a verb that creates files --page-size.
func (e *env) pageSizeFlag(c *cobra.Command) {
	c.Flags().IntVar(&e.pageSize, "page-size", 0, "page size in bytes of a file that is created: 4096, the default, 8192, 16384, 32768 or 65536")
}

// update is db.Update that waits no longer than --timeout for the turn to write, and
// not when ctx is done.
func (e *env) update(ctx context.Context, db *folio.DB, fn func(*folio.Tx) error) error {
	if e.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, e.timeout, folio.ErrTimeout)
		defer cancel()
	}
	return db.UpdateContext(ctx, fn)
}

// cannotOpen says of damage that keeps a file from being opened what to do; check
// would not tell more.
func cannotOpen(err error) error {
	if errors.Is(err, folio.ErrCorrupt) {
		return fail(exitDamaged, "%w: restore a backup, or save what can be read with kvctl salvage", err)
	}
	return err
}

// lostMetas is what a verb that reads everything makes of err: a file that is not folio's as
// its beginning says, but has pages of folio in it, is damaged. Others do not look for those.
func lostMetas(path string, err error) error {
	if errors.Is(err, folio.ErrInvalid) {
		if _, _, found := folio.Identify(path); found == nil {
			return errLostMetas(path)
		}
	}
	return err
}

func errLostMetas(path string) error {
	return fail(exitDamaged, "%s: both meta pages are lost: restore a backup, or save what can be read with kvctl salvage", path)
}

// bucketAt returns the bucket at a path; for the path of no elements, the top
// level, in which there are only buckets.
func bucketAt(tx *folio.Tx, path [][]byte) (*folio.Bucket, error) {
	b := tx.Cursor().Bucket()
	for i, name := range path {
		in := b.Bucket(name)
		if in == nil {
			if err := tx.Err(); err != nil {
				return nil, err
			}
			if b.Count(name, append(name[:len(name):len(name)], 0)) > 0 {
				return nil, fail(exitNotFound, "%s is a key, not a bucket", formatPath(path[:i+1]))
			}
			return nil, fail(exitNotFound, "%w %s", errNoBucket, formatPath(path[:i+1]))
		}
		b = in
	}
	return b, nil
}

var errNoBucket = errors.New("there is no bucket")

// makeBucket returns the bucket at a path, and creates what is missing.
func makeBucket(tx *folio.Tx, path [][]byte) (b *folio.Bucket, err error) {
	if len(path) == 0 {
		return nil, errTopLevel
	}
	if b, err = tx.CreateBucketIfNotExists(path[0]); err != nil {
		return nil, withLimit(err)
	}
	for _, name := range path[1:] {
		if b, err = b.CreateBucketIfNotExists(name); err != nil {
			return nil, withLimit(err)
		}
	}
	return b, nil
}

// errTopLevel is for keys where only buckets can be.
var errTopLevel = fail(exitError, "there are only buckets at the top level: give the path of one, such as /users")

// viewBucket is view for a verb about one bucket.
func (e *env) viewBucket(file, path string, fn func(b *folio.Bucket, path [][]byte) error) error {
	p, err := parsePath(path)
	if err != nil {
		return err
	}
	return e.view(file, func(tx *folio.Tx) error {
		b, err := bucketAt(tx, p)
		if err != nil {
			return err
		}
		return fn(b, p)
	})
}
