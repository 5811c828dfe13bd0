package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) putCmd() *cobra.Command {
	var isHex, create bool
	var from string
	c := &cobra.Command{
		Use:   "put FILE BUCKET KEY [VALUE]",
		Short: "Set the value of a key",
		Long: `Put sets the value of a key. The value is taken as it is given; without one, it is
read from the standard input or from a file. When put has ended, the change is
durable.

-- ends the flags: what begins with - goes behind it.`,
		Example: `  kvctl put my.folio /users alice '{"age": 30}'
  kvctl put my.folio /images logo --from logo.png
  date | kvctl put my.folio /log today --create
  kvctl put my.folio /by-id --hex 04d2 ff00`,
		Args: argCount(3, 4),
		RunE: func(_ *cobra.Command, args []string) error {
			path, err := parsePath(args[1])
			if err != nil {
				return err
			}
			if len(path) == 0 {
				return errTopLevel
			}
			key, err := parseKey(args[2], isHex)
			if err != nil {
				return err
			}
			value, err := e.value(args[3:], from, isHex)
			if err != nil {
				return err
			}
			err = e.change(args[0], create, func(db *folio.DB) error {
				return e.update(context.Background(), db, func(tx *folio.Tx) error { return put(tx, path, key, value, create) })
			})
			if errors.Is(err, errNoFile) || errors.Is(err, errNoBucket) {
				err = fmt.Errorf("%w: --create makes it", err)
			}
			return err
		},
	}
	c.Flags().BoolVar(&isHex, "hex", false, "the key and the value are hex digits, with 0x before them or without")
	c.Flags().BoolVar(&create, "create", false, "create the file and the bucket if there are none")
	c.Flags().StringVar(&from, "from", "", "read the value from this file")
	e.pageSizeFlag(c)
	return c
}

// value returns the value to put, from wherever it is to be taken.
func (e *env) value(args []string, from string, isHex bool) ([]byte, error) {
	switch {
	case len(args) > 0 && from != "":
		return nil, fail(exitError, "a value and --from: give one of them")
	case from != "":
		return valueFrom(from)
	case len(args) == 0:
		if isTerminal(e.in) {
			fmt.Fprintln(e.err, "reading the value from the standard input, to its end: Ctrl-D")
		}
		return readValue(e.in, folio.MaxValueSize)
	case isHex:
		return parseHex(args[0])
	}
	return []byte(args[0]), nil
}

// valueFrom returns what is in a file. One that is too long is not read first.
func valueFrom(path string) ([]byte, error) {
	if err := isFile(path, "the file with the value"); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Mode().IsRegular() && info.Size() > folio.MaxValueSize {
		return nil, withLimit(fmt.Errorf("%s: %w", path, folio.ErrValueTooLarge))
	}
	return readValue(f, folio.MaxValueSize)
}

// readValue reads up to most bytes. More than that is an error, for it need not end.
func readValue(r io.Reader, most int64) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(r, most+1))
	if err == nil && int64(len(b)) > most {
		err = withLimit(folio.ErrValueTooLarge)
	}
	return b, err
}

// withLimit says of what is too large how large it may be.
func withLimit(err error) error {
	switch {
	case errors.Is(err, folio.ErrKeyTooLarge):
		return fmt.Errorf("%w: keys and names of buckets have at most %s bytes", err, number(folio.MaxKeySize))
	case errors.Is(err, folio.ErrValueTooLarge):
		return fmt.Errorf("%w: values have at most %s bytes", err, number(folio.MaxValueSize))
	}
	return err
}

func put(tx *folio.Tx, path [][]byte, key, value []byte, create bool) error {
	var b *folio.Bucket
	var err error
	if create {
		b, err = makeBucket(tx, path)
	} else {
		b, err = bucketAt(tx, path)
	}
	if err != nil {
		return err
	}
	if err := b.Put(key, value); err != nil {
		return withLimit(fmt.Errorf("key %s in %s: %w", cut(formatKey(key), 60), formatPath(path), err))
	}
	return nil
}
