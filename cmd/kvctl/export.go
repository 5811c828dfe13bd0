package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
	bolt "go.etcd.io/bbolt"
)

func (e *env) exportCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "export FILE BOLT",
		Short: "Make a new file of bbolt of what is in a file",
		Long: `Export writes all of FILE into BOLT, a new file of bbolt, which must not exist: buckets
in buckets, their sequences, keys and values. BOLT appears under its name when it is
complete and durable. FILE is checked first, and refused if it is damaged.

It is the reverse of kvctl import: a way back. Whatever folio holds, bbolt can hold,
but for values of 2,147,483,647 bytes, which are one too long.`,
		Example: `  kvctl export app.folio app.db
  kvctl export app.folio app.db && bbolt check app.db`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error { return e.exportBolt(args[0], args[1]) },
	}
}

func (e *env) exportBolt(file, to string) error {
	info, err := existing(file)
	if err != nil {
		return err
	}
	m, start := exporter{}, time.Now()
	err = newFile(to, func(ctx context.Context, tmp string) error {
		return e.view(file, func(tx *folio.Tx) error {
			if err := e.sound(ctx, tx); err != nil {
				return err
			}
			m.ctx = ctx
			return e.exportInto(tmp, info.Mode().Perm(), tx, &m)
		})
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s in %s exported into %s in %.1f s\n",
		plural(m.keys, "key"), plural(m.buckets, "bucket"), to, time.Since(start).Seconds())
	return nil
}

// exportInto writes what tx sees into the new file of bbolt at path.
func (e *env) exportInto(path string, mode os.FileMode, tx *folio.Tx, m *exporter) error {
	// It has no name before the sync at the end, so no commit before needs one.
	db, err := bolt.Open(path, mode, &bolt.Options{NoSync: true, NoGrowSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	m.begin = func() (change, *bolt.Bucket, error) {
		tx, err := db.Begin(true)
		if err != nil {
			return nil, nil, err
		}
		return tx, tx.Cursor().Bucket(), nil
	}
	// Keys come in order: half empty pages, as bbolt leaves them otherwise, are a waste.
	m.prepare = func(b *bolt.Bucket) { b.FillPercent = 0.9 }
	m.bar = e.bar("exporting", tx.Size(), true)
	err = m.run(tx.Cursor().Bucket())
	_ = m.bar.Finish() // only looks
	return errors.Join(err, db.Sync(), db.Close())
}

// sound returns the first damage that a check of what tx sees finds, and an error if ctx is
// done.
func (e *env) sound(ctx context.Context, tx *folio.Tx) (err error) {
	bar := e.bar("checking", tx.Size()/int64(tx.DB().Info().PageSize), false)
	for found := range tx.Check(folio.WithProgress(func(done, _ uint64) { _ = bar.Set64(int64(done)) })) {
		if err == nil { // the rest must be received too
			err = found
		}
	}
	_ = bar.Finish() // only looks
	return errors.Join(err, context.Cause(ctx))
}
