package main

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"unicode/utf8"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

// add adds the flags to a verb.
func (r *rangeFlags) add(c *cobra.Command, withHex bool) {
	c.Flags().StringVar(&r.from, "from", "", "the first key, which need not exist")
	c.Flags().StringVar(&r.to, "to", "", "the key to stop before, which need not exist")
	c.Flags().StringVar(&r.prefix, "prefix", "", "only keys that begin so")
	if withHex {
		c.Flags().BoolVar(&r.hex, "hex", false, "keys on the command line are hex digits, with 0x before them or without")
	}
}

// scanFlags are the flags of scan.
type scanFlags struct {
	rangeFlags
	reverse, keysOnly bool
	limit, offset     uint64
	format            string
}

func (e *env) scanCmd() *cobra.Command {
	var f scanFlags
	c := &cobra.Command{
		Use:   "scan FILE [BUCKET]",
		Short: "Print keys and values in order",
		Long: `Scan prints the keys of a bucket and their values, in order or backwards, one on a
line. A nested bucket has no value.

  text  key, tab, value, written as kvctl --help says
  hex   the same in hex digits
  json  an object: key and value, or key_hex and value_hex where they are not UTF-8

The text and json formats are what kvctl load reads, without --keys. It leaves out the
lines of nested buckets, which end in their number of keys, or have "bucket": what is in
them must be scanned and loaded by itself. --offset does not walk over what it leaves
out.`,
		Example: `  kvctl scan my.folio
  kvctl scan my.folio /users --prefix a
  kvctl scan my.folio /log --from 2024-01-01 --to 2024-02-01 --reverse --limit 10
  kvctl scan my.folio /log --offset 1000000 --limit 1
  kvctl scan my.folio /users --format json | jq .value`,
		Args: argCount(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			args = append(args, "/")
			out, err := newFormatter(f.format)
			if err != nil {
				return err
			}
			out.keyOnly = f.keysOnly
			return e.viewBucket(args[0], args[1], func(b *folio.Bucket, _ [][]byte) error {
				return e.scan(b, &f, out)
			})
		},
	}
	f.add(c, true)
	c.Flags().BoolVar(&f.reverse, "reverse", false, "from the last key to the first")
	c.Flags().BoolVar(&f.keysOnly, "keys", false, "print no values")
	c.Flags().Uint64Var(&f.limit, "limit", 0, "print no more than this many; 0 is all")
	c.Flags().Uint64Var(&f.offset, "offset", 0, "leave out this many first")
	c.Flags().StringVar(&f.format, "format", "text", "text, hex or json")
	return c
}

// scan prints the keys that f chooses, which are known by their positions.
func (e *env) scan(b *folio.Bucket, f *scanFlags, out *formatter) error {
	lo, hi, err := f.bounds()
	if err != nil {
		return err
	}
	n := b.Count(lo, hi)
	if n <= f.offset {
		return nil
	}
	n -= f.offset
	at := f.offset
	if lo != nil {
		at += b.Rank(lo)
	}
	c := b.Cursor()
	move := c.Next
	if f.reverse {
		at += n - 1 - f.offset
		move = c.Prev
	}
	if f.limit > 0 {
		n = min(n, f.limit)
	}
	k, v := c.At(at)
	for ; n > 0 && k != nil; n-- {
		var nested *folio.Bucket
		if v == nil {
			nested = b.Bucket(k)
		}
		if err := out.write(e.out, k, v, nested); err != nil {
			return err
		}
		if n > 1 {
			k, v = move()
		}
	}
	return nil
}

// formatter writes keys and values, one pair on a line.
type formatter struct {
	format             string
	keyOnly, valueOnly bool
	line               []byte
}

func newFormatter(format string) (*formatter, error) {
	switch format {
	case "text", "hex", "json":
		return &formatter{format: format}, nil
	}
	return nil, fail(exitError, "there is no format %q: text, hex or json", format)
}

// record is a line of JSON, of scan and for load.
type record struct {
	Path     string  `json:"path,omitempty"` // load: a bucket below the one given
	Key      *string `json:"key,omitempty"`
	KeyHex   *string `json:"key_hex,omitempty"`
	Value    *string `json:"value,omitempty"`
	ValueHex *string `json:"value_hex,omitempty"`
	Bucket   bool    `json:"bucket,omitempty"`
	Keys     *uint64 `json:"keys,omitempty"` // of a bucket
}

func jsonText(b []byte) (text, inHex *string) {
	if utf8.Valid(b) {
		s := string(b)
		return &s, nil
	}
	s := hex.EncodeToString(b)
	return nil, &s
}

// write writes a key with its value, or with the bucket of that name.
func (f *formatter) write(w io.Writer, key, value []byte, nested *folio.Bucket) error {
	f.line = f.line[:0]
	switch f.format {
	case "json":
		var r record
		if !f.valueOnly {
			r.Key, r.KeyHex = jsonText(key)
		}
		if nested != nil {
			n := nested.Len()
			r.Bucket, r.Keys = true, &n
		} else if !f.keyOnly {
			r.Value, r.ValueHex = jsonText(value)
		}
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(&r)
	case "hex":
		f.pair(key, value, nested, hex.EncodeToString, hex.EncodeToString)
	default:
		f.pair(key, value, nested, formatKey, formatValue)
	}
	_, err := w.Write(append(f.line, '\n'))
	return err
}

func (f *formatter) pair(key, value []byte, nested *folio.Bucket, formatKey, formatValue func([]byte) string) {
	if !f.valueOnly {
		f.line = append(f.line, formatKey(key)...)
	}
	if nested != nil {
		f.line = append(f.line, "/  ("+plural(nested.Len(), "key")+")"...)
		return
	}
	if f.keyOnly {
		return
	}
	if !f.valueOnly {
		f.line = append(f.line, '\t')
	}
	f.line = append(f.line, formatValue(value)...)
}
