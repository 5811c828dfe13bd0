package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) compactCmd() *cobra.Command {
	c := &cobra.Command{
		Use:   "compact FILE OUT",
		Short: "Make a new file of what is in a file, as small as can be",
		Long: `Compact reads FILE, as it is at one moment, and puts all keys in their order into the
new file OUT, which must not exist: there are hardly any free pages in it, and those of
long buckets are full. OUT appears under its name when it is complete and durable. FILE
is checked first, and refused if it is damaged. It is not changed.

What programs write to FILE after that moment is not in OUT. To replace FILE by OUT, end
them first. A file that is written on needs free pages: after random changes for a while
it is as long as it was before.`,
		Example: `  kvctl compact my.folio small.folio
  kvctl compact my.folio small.folio && mv small.folio my.folio
  kvctl compact my.folio small.folio --page-size 16384`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error { return e.compact(args[0], args[1]) },
	}
	c.Flags().IntVar(&e.pageSize, "page-size", 0, "page size of OUT in bytes: 4096, 8192, 16384, 32768 or 65536; the default is that of FILE")
	return c
}

func (e *env) compact(file, to string) error {
	info, err := existing(file)
	if err != nil {
		return err
	}
	m, start := compacter{}, time.Now()
	var before int64
	err = newFile(to, func(ctx context.Context, tmp string) error {
		return e.view(file, func(tx *folio.Tx) error {
			if err := e.sound(ctx, tx); err != nil {
				return err
			}
			m.ctx, before = ctx, tx.Size()
			return e.compactInto(tmp, info.Mode().Perm(), tx, &m)
		})
	})
	if err != nil {
		return err
	}
	made, err := os.Stat(to)
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s in %s: %s where it was %s, in %.1f s\n", plural(m.keys, "key"), plural(m.buckets, "bucket"),
		size(made.Size()), size(before), time.Since(start).Seconds())
	return nil
}

// compactInto puts what tx sees into the new file at path.
func (e *env) compactInto(path string, mode os.FileMode, tx *folio.Tx, m *compacter) error {
	pageSize := cmp.Or(e.pageSize, tx.DB().Info().PageSize)
	// A crash leaves a file without a name; Close makes it durable.
	db, err := folio.Open(path, mode, &folio.Options{Durability: folio.DurabilityNone, PageSize: pageSize})
	if err != nil {
		return err
	}
	m.begin = beginner(db)
	m.bar = e.bar("compacting", tx.Size(), true)
	err = m.run(tx.Cursor().Bucket())
	_ = m.bar.Finish() // only looks
	var used int64
	err = errors.Join(err, db.View(func(tx *folio.Tx) error {
		used = tx.Size()
		return nil
	}), db.Close())
	if err != nil {
		return err
	}
	return os.Truncate(path, used) // behind it is what the file has grown ahead of need
}
