package main

import (
	"bytes"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) getCmd() *cobra.Command {
	var isHex bool
	var format string
	c := &cobra.Command{
		Use:   "get FILE BUCKET KEY",
		Short: "Print the value of a key",
		Long: `Get prints the value of a key: as it is, without a newline of its own unless the
output is a terminal, or on one line in the given format.

-- ends the flags: what begins with - goes behind it.`,
		Example: `  kvctl get my.folio /users alice
  kvctl get my.folio /images logo > logo.png
  kvctl get my.folio /by-id 0x00000000000004d2
  kvctl get my.folio /by-id --hex 00000000000004d2 --format json
  kvctl get my.folio /options -- -v`,
		Args: argCount(3, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := valueFormatter(format)
			if err != nil {
				return err
			}
			key, err := parseKey(args[2], isHex)
			if err != nil {
				return err
			}
			return e.viewBucket(args[0], args[1], func(b *folio.Bucket, path [][]byte) error {
				v := b.Get(key)
				if v == nil {
					if b.Bucket(key) != nil {
						return fail(exitNotFound, "%s is a bucket: kvctl scan prints its keys", formatPath(append(path, key)))
					}
					return fail(exitNotFound, "there is no key %s in %s", formatKey(key), formatPath(path))
				}
				if f != nil {
					return f.write(e.out, key, v, nil)
				}
				_, err := e.out.Write(v)
				if err == nil && e.terminal && !bytes.HasSuffix(v, []byte("\n")) {
					err = e.out.WriteByte('\n')
				}
				return err
			})
		},
	}
	c.Flags().BoolVar(&isHex, "hex", false, "the key is hex digits, with 0x before them or without")
	c.Flags().StringVar(&format, "format", "raw", "raw, text, hex or json")
	return c
}

// valueFormatter returns the formatter of a value, nil for one that is printed as it is.
func valueFormatter(format string) (*formatter, error) {
	if format == "raw" {
		return nil, nil
	}
	f, err := newFormatter(format)
	if err != nil {
		return nil, fail(exitError, "there is no format %q: raw, text, hex or json", format)
	}
	f.valueOnly = true
	return f, nil
}
