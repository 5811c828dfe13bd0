package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
	bolt "go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

func (e *env) importCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "import BOLT FILE",
		Short: "Make a new file of what is in a file of bbolt",
		Long: `Import reads BOLT, a file of bbolt, and writes all of it into the new file FILE, which
must not exist: buckets in buckets, their sequences, keys and values. FILE appears
under its name when it is complete and durable.

BOLT is not changed. It is locked for writers meanwhile, so the program that it
belongs to must be stopped. It is checked first, and refused if it is damaged. Memory
does not depend on the size of the file, but for bbolt's own check: some 100 bytes for
each page.

kvctl export does the reverse.`,
		Example: `  kvctl import app.db app.folio
  kvctl import app.db app.folio --timeout 0
  kvctl import articles.db articles.folio --page-size 16384`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error { return e.importBolt(args[0], args[1]) },
	}
	e.pageSizeFlag(c)
	return c
}

func (e *env) importBolt(from, file string) error {
	info, err := regularFile(from)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fail(exitError, "%s is not a file of bbolt: it is empty", from)
	}
	m, start := importer{}, time.Now()
	err = newFile(file, func(ctx context.Context, tmp string) error {
		return guarded(from, func() error {
			src, err := e.openBolt(from)
			if err != nil {
				return err
			}
			defer src.Close() // it was only read
			return src.View(func(tx *bolt.Tx) error {
				if err := e.checkBolt(from, tx); err != nil {
					return err
				}
				m.ctx = ctx
				return e.importInto(tmp, info.Mode().Perm(), tx, &m)
			})
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s in %s imported into %s in %.1f s\n",
		plural(m.keys, "key"), plural(m.buckets, "bucket"), file, time.Since(start).Seconds())
	return nil
}

// openBolt opens a file of bbolt for reading. Its freelist is read here, and not later
// in a goroutine that is not guarded.
func (e *env) openBolt(path string) (*bolt.DB, error) {
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true, Timeout: e.timeout, PreLoadFreelist: true})
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, berrors.ErrTimeout):
		return nil, fail(exitInUse, "%s: another process has it open: close it there, or wait for it longer with --timeout", path)
	case errors.Is(err, berrors.ErrInvalid), errors.Is(err, berrors.ErrVersionMismatch):
		return nil, fail(exitError, "%s is not a file of bbolt (%w)", path, err)
	}
	var system *fs.PathError
	if errors.As(err, &system) {
		return nil, err
	}
	return nil, damagedBolt(path, err)
}

// checkBolt refuses a damaged file: bbolt's own check is thorough, but follows what it
// reads, so its ways are made safe first.
func (e *env) checkBolt(path string, tx *bolt.Tx) error {
	size := tx.Size()
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.Size() < size {
		return damagedBolt(path, fmt.Errorf("it was cut off: it has %s bytes and needs %s", number(info.Size()), number(size)))
	}
	if err := checkBoltPages(path, tx, e.bar("checking pages", size, true)); err != nil {
		return damagedBolt(path, err)
	}
	bar := e.bar("checking keys", 1, false) // bbolt does not say how far it is
	var found error
	for err := range tx.Check() {
		if found == nil { // the rest must be received too, for then nobody reads any more
			found = damagedBolt(path, err)
		}
	}
	_ = bar.Finish() // only looks
	return found
}

// importInto writes what tx sees into the new file at path.
func (e *env) importInto(path string, mode os.FileMode, tx *bolt.Tx, m *importer) error {
	// A crash leaves a file without a name; Close makes it durable.
	db, err := folio.Open(path, mode, &folio.Options{Durability: folio.DurabilityNone, PageSize: e.pageSize})
	if err != nil {
		return err
	}
	m.begin = beginner(db)
	m.bar = e.bar("importing", tx.Size(), true)
	err = m.run(tx.Cursor().Bucket())
	_ = m.bar.Finish() // only looks
	return errors.Join(err, db.Close())
}
