package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) delCmd() *cobra.Command {
	var r rangeFlags
	var all, bucket bool
	c := &cobra.Command{
		Use:   "del FILE BUCKET [KEY...]",
		Short: "Delete keys, a range of keys, or a bucket",
		Long: `Del deletes keys, all keys of a range, or a whole bucket with all that is nested
in it, in one transaction. A range is deleted without looking at what is in it. A
key that is not there is an error, and nothing is deleted then.

-- ends the flags: what begins with - goes behind it.`,
		Example: `  kvctl del my.folio /users alice bob
  kvctl del my.folio /log --to 2024-01-01
  kvctl del my.folio /cache --all
  kvctl del my.folio /users/old --bucket`,
		Args: argCount(2, -1),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := parsePath(args[1])
			if err != nil {
				return err
			}
			ways := 0
			for _, way := range []bool{len(args) > 2, !r.unbounded(), all, bucket} {
				if way {
					ways++
				}
			}
			if ways != 1 {
				return fail(exitError, "say what to delete, in one way: keys, a range (--from, --to, --prefix), --all or --bucket")
			}
			if len(path) == 0 {
				return errTopLevel
			}
			return e.change(args[0], false, func(db *folio.DB) error {
				return e.update(context.Background(), db, func(tx *folio.Tx) error {
					switch {
					case bucket:
						return e.delBucket(tx, path)
					case len(args) > 2:
						return e.delKeys(tx, path, args[2:], r.hex)
					}
					return e.delRange(tx, path, &r)
				})
			})
		},
	}
	r.add(c, true)
	c.Flags().BoolVar(&all, "all", false, "delete all keys of the bucket, which must not have buckets in it")
	c.Flags().BoolVar(&bucket, "bucket", false, "delete the bucket itself, with all that is in it")
	return c
}

func (e *env) delBucket(tx *folio.Tx, path [][]byte) error {
	if _, err := bucketAt(tx, path); err != nil {
		return err
	}
	parent, err := bucketAt(tx, path[:len(path)-1])
	if err != nil {
		return err
	}
	return parent.DeleteBucket(path[len(path)-1])
}

func (e *env) delKeys(tx *folio.Tx, path [][]byte, keys []string, isHex bool) error {
	b, err := bucketAt(tx, path)
	if err != nil {
		return err
	}
	for _, s := range keys {
		key, err := parseKey(s, isHex)
		if err != nil {
			return err
		}
		if b.Bucket(key) != nil {
			return fail(exitNotFound, "%s is a bucket: nothing has been deleted: --bucket deletes buckets", formatPath(append(path, key)))
		}
		if b.Get(key) == nil {
			return fail(exitNotFound, "there is no key %s in %s: nothing has been deleted", formatKey(key), formatPath(path))
		}
		if err := b.Delete(key); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) delRange(tx *folio.Tx, path [][]byte, r *rangeFlags) error {
	lo, hi, err := r.bounds()
	if err != nil {
		return err
	}
	b, err := bucketAt(tx, path)
	if err != nil {
		return err
	}
	n, err := b.DeleteRange(lo, hi)
	if errors.Is(err, folio.ErrIncompatibleValue) {
		return fail(exitError, "%s is a bucket: nothing has been deleted: --bucket deletes buckets", formatPath(append(path, bucketIn(b, lo, hi))))
	}
	if err != nil {
		return fmt.Errorf("deleting from %s: %w", formatPath(path), err)
	}
	fmt.Fprintf(e.out, "%s deleted\n", plural(n, "key"))
	return nil
}

// bucketIn returns the name of the first nested bucket in [lo, hi).
func bucketIn(b *folio.Bucket, lo, hi []byte) []byte {
	for name := range b.Buckets() {
		if bytes.Compare(name, lo) >= 0 && (hi == nil || bytes.Compare(name, hi) < 0) {
			return name
		}
	}
	return nil
}
