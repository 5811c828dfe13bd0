package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) copyCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "copy FILE OUT",
		Short: "Back a file up, while programs may write it",
		Long: `Copy writes FILE, as it is at one moment, into the new file OUT, which must not exist.
Programs can write FILE meanwhile, unless they have it for themselves; cp and the like
would mix older and newer pages. OUT is checked, and appears under its name when it is
complete and durable. It has the size of FILE; kvctl compact makes a smaller one.

A program copies its database with Tx.CopyFile, or Tx.WriteTo.`,
		Example: `  kvctl copy my.folio backup.folio
  kvctl copy my.folio /mnt/backup/my-$(date +%F).folio --timeout 1m`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error { return e.copy(args[0], args[1]) },
	}
}

func (e *env) copy(file, to string) error {
	info, err := existing(file)
	if err != nil {
		return err
	}
	start := time.Now()
	var n int64
	err = newFile(to, func(ctx context.Context, tmp string) error {
		err := e.view(file, func(tx *folio.Tx) error {
			n = tx.Size()
			return e.copyTo(ctx, tmp, info.Mode().Perm(), tx)
		})
		if err != nil {
			return err
		}
		return e.view(tmp, func(tx *folio.Tx) error { return e.sound(ctx, tx) })
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s copied into %s in %.1f s\n", size(n), to, time.Since(start).Seconds())
	return nil
}

// copyTo writes what tx sees to the new file path, and syncs it.
func (e *env) copyTo(ctx context.Context, path string, mode os.FileMode, tx *folio.Tx) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	bar := e.bar("copying", tx.Size(), true)
	if _, err = tx.WriteTo(&watchedWriter{ctx, f, func(n int) { _ = bar.Add(n) }}); err == nil {
		err = f.Sync()
	}
	_ = bar.Finish() // only looks
	return errors.Join(err, f.Close())
}

// watchedWriter tells how much is written, and stops when ctx is done.
type watchedWriter struct {
	ctx   context.Context
	f     *os.File
	wrote func(n int)
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	if err := context.Cause(w.ctx); err != nil {
		return 0, err
	}
	n, err := w.f.Write(b)
	w.wrote(n)
	return n, err
}
