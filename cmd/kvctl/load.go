package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/foliodb/folio"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

// loadFlags are the flags of load.
type loadFlags struct {
	format  string
	literal bool
	batch   int
}

func (e *env) loadCmd() *cobra.Command {
	var f loadFlags
	c := &cobra.Command{
		Use:   "load FILE BUCKET [INPUT]",
		Short: "Put many keys, from lines of text",
		Long: `Load reads keys and values from a file, or from the standard input, and puts them
into a bucket, many in a transaction. It creates the file and the bucket if there
are none. Keys that exist get the new value.

  lines  the line is the key; values are empty
  tsv    key, tab, value, written as kvctl --help says; see --literal
  jsonl  an object a line: "key" and "value", or "key_hex" and "value_hex";
         "path" names a bucket below BUCKET. A value that is no string is kept as
         the JSON that it is: null is the text null. What JSON cannot say, bytes
         that are not UTF-8, must be in hex. "bucket" and "keys" are what scan
         prints; other fields, and lines without a value, are errors.

Without --format, INPUT that ends in .txt is lines, in .jsonl or .ndjson it is jsonl,
and everything else is tsv. Empty lines are left out, and so are a return at the end of
a line and a byte order mark before the first, but with --literal.

Lines that scan prints of nested buckets, of which it does not print what is in them,
are left out, and counted on stderr: scan and load those buckets as well.

An error names the line. What was committed before it, or before an interrupt, stays:
loading the same input again does no harm. Input in the order of its keys loads fastest.`,
		Example: `  kvctl load my.folio /words /usr/share/dict/words --format lines
  kvctl load my.folio /users users.tsv
  kvctl scan old.folio /users | kvctl load new.folio /users
  curl -s https://example.com/users.jsonl | kvctl load my.folio /users --format jsonl`,
		Args: argCount(2, 3),
		RunE: func(_ *cobra.Command, args []string) error {
			return e.load(args[0], args[1], append(args, "-")[2], &f)
		},
	}
	c.Flags().StringVar(&f.format, "format", "", "lines, tsv or jsonl; the default is by what INPUT ends in: .txt, .jsonl or .ndjson, else tsv")
	c.Flags().BoolVar(&f.literal, "literal", false, "tsv: take everything as it is: backslashes, 0x, returns at the ends of lines, and a byte order mark")
	c.Flags().IntVar(&f.batch, "batch", 10000, "lines in a transaction")
	e.pageSizeFlag(c)
	return c
}

func (e *env) load(file, bucket, input string, f *loadFlags) error {
	path, err := parsePath(bucket)
	if err != nil {
		return err
	}
	if f.batch < 1 {
		return fail(exitError, "--batch %d: it must be 1 or more", f.batch)
	}
	form, err := f.lineForm(input)
	if err != nil {
		return err
	}
	in, total := e.in, int64(-1)
	if input != "-" {
		if err := isFile(input, "the file to load"); err != nil {
			return err
		}
		opened, err := os.Open(input)
		if err != nil {
			return err
		}
		defer opened.Close()
		if info, err := opened.Stat(); err == nil && info.Mode().IsRegular() {
			total = info.Size()
		}
		in = opened
	}
	l := loader{
		update: e.update, path: path, form: form, batch: f.batch,
		literal: f.literal, from: in, bar: e.bar("loading", total, true),
	}
	start := time.Now()
	err = e.change(file, true, l.run)
	_ = l.bar.Finish() // only looks
	if err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s loaded into %s in %.1f s\n", plural(l.done, "key"), formatPath(path), time.Since(start).Seconds())
	if l.buckets > 0 {
		fmt.Fprintf(e.err, "kvctl: %s left out, with what is in them: scan and load each of them as well\n", plural(l.buckets, "nested bucket"))
	}
	return nil
}

// lineForm is a format of lines.
type lineForm struct {
	parse func(line []byte) (pairToLoad, error)
	// begins refuses the beginning of a long line that cannot be right, however it goes
	// on. It need not end.
	begins func(line []byte) error
}

func (f *loadFlags) lineForm(input string) (lineForm, error) {
	format := f.format
	if format == "" {
		format = map[string]string{".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "lines"}[filepath.Ext(input)]
	}
	switch format {
	case "lines":
		return lineForm{func(line []byte) (pairToLoad, error) { return pairToLoad{key: line}, nil }, beginsKey}, nil
	case "tsv", "":
		return lineForm{f.parseTSV, beginsTSV}, nil
	case "jsonl":
		return lineForm{parseJSONL, beginsJSON}, nil
	}
	return lineForm{}, fail(exitError, "there is no format %q: lines, tsv or jsonl", format)
}

func beginsKey(line []byte) error {
	if len(line) > folio.MaxKeySize+len("\r\n") {
		return withLimit(folio.ErrKeyTooLarge)
	}
	return nil
}

// A byte of a key or value has at most so many in a line: \xNN, and \u00NN.
const (
	escapedTSV  = 4
	escapedJSON = 6
)

func beginsTSV(line []byte) error {
	const longestKey = escapedTSV*folio.MaxKeySize + 100 // bytes of a line, also of one of a bucket
	tab := bytes.IndexByte(line[:min(len(line), longestKey)], '\t')
	switch {
	case tab < 0 && len(line) > longestKey:
		return errNoTab
	case int64(len(line)) > longestKey+escapedTSV*folio.MaxValueSize:
		return withLimit(folio.ErrValueTooLarge)
	}
	return nil
}

// pairToLoad is what a line holds.
type pairToLoad struct {
	path       [][]byte // below the bucket
	key, value []byte
	bucket     bool // it is what scan prints of a bucket: nothing to put
}

// bucketLine is what scan prints of a nested bucket; keys have a tab behind them.
var bucketLine = regexp.MustCompile(`/  \([0-9,]+ keys?\)$`)

var errNoTab = fail(exitError, "no tab between key and value: --format lines takes whole lines as keys")

func (f *loadFlags) parseTSV(line []byte) (p pairToLoad, err error) {
	key, value, ok := bytes.Cut(line, []byte("\t"))
	if !ok && !f.literal && bucketLine.Match(line) {
		return pairToLoad{bucket: true}, nil
	}
	if !ok {
		return p, errNoTab
	}
	if f.literal {
		return pairToLoad{key: key, value: value}, nil
	}
	if p.key, err = parseKey(string(key), false); err != nil {
		return p, err
	}
	p.value = value
	if bytes.IndexByte(value, '\\') >= 0 {
		p.value, err = unescape(string(value))
	}
	return p, err
}

// loader is one run of load.
type loader struct {
	update  func(context.Context, *folio.DB, func(*folio.Tx) error) error
	path    [][]byte
	form    lineForm
	batch   int
	literal bool
	from    io.Reader
	ctx     context.Context // of the run
	in      *bufio.Reader   // of it and from
	bar     *progressbar.ProgressBar
	line    int // read so far
	done    int // committed
	buckets int // lines of nested buckets, left out
}

// batchBytes ends a transaction early if lines are long.
const batchBytes = 32 << 20

func (l *loader) run(db *folio.DB) error {
	ctx, stop := interruptible()
	defer stop()
	l.ctx, l.in = ctx, patientInput(ctx, l.from)
	for more := true; more; {
		n, size, first, read := 0, 0, l.line+1, false
		err := l.update(ctx, db, func(tx *folio.Tx) (err error) {
			n, size, more, err = l.transaction(tx)
			read = err == nil
			return err
		})
		if err != nil {
			if ctx.Err() != nil {
				return fmt.Errorf("%w: %s of the input are in the file", context.Cause(ctx), plural(l.done, "key"))
			}
			return l.failed(err, first, read)
		}
		l.done += n
		_ = l.bar.Add(size) // only looks
	}
	return nil
}

// failed says where an error met us, in a transaction that begins with line first: at the
// last line, or, if all had been read, in the commit of them.
func (l *loader) failed(err error, first int, read bool) error {
	if l.line == 0 {
		return err
	}
	where, before := fmt.Sprintf("line %d", l.line), "before it"
	switch {
	case l.line < first:
		where, before = "after "+where, "up to it"
	case read:
		where, before = fmt.Sprintf("committing lines %d to %d", first, l.line), "before them"
	}
	is := "are"
	if l.done == 1 {
		is = "is"
	}
	return fmt.Errorf("%s: %w: %s %s %s in the file", where, err, plural(l.done, "key"), before, is)
}

// transaction puts up to a batch of lines, and tells whether there are more.
func (l *loader) transaction(tx *folio.Tx) (n, size int, more bool, err error) {
	b, err := makeBucket(tx, l.path)
	if err != nil {
		return 0, 0, false, err
	}
	for n < l.batch && size < batchBytes {
		if l.ctx.Err() != nil {
			return n, size, false, context.Cause(l.ctx)
		}
		line, err := l.readLine()
		if err != nil || len(line) == 0 {
			return n, size, false, err
		}
		size += len(line)
		line = bytes.TrimSuffix(line, []byte("\n"))
		if !l.literal {
			if l.line == 1 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			line = bytes.TrimSuffix(line, []byte("\r"))
		}
		if len(line) == 0 {
			continue // an empty line
		}
		p, err := l.form.parse(line)
		if err != nil {
			return n, size, false, err
		}
		if p.bucket {
			l.buckets++
			continue
		}
		if err := l.put(tx, b, &p); err != nil {
			return n, size, false, err
		}
		n++
	}
	return n, size, true, nil
}

// readLine returns the next line, with its newline; nothing at the end of the input.
func (l *loader) readLine() (line []byte, err error) {
	for {
		part, err := l.in.ReadSlice('\n')
		if len(line) == 0 && len(part) > 0 {
			l.line++
		}
		line = append(line, part...)
		switch err {
		case bufio.ErrBufferFull:
		case io.EOF:
			return line, nil
		default:
			return line, err
		}
		if err := l.form.begins(line); err != nil {
			return nil, err
		}
	}
}

// put puts what a line holds into b, or into the bucket below it that the line names.
func (l *loader) put(tx *folio.Tx, b *folio.Bucket, p *pairToLoad) (err error) {
	if len(p.key) == 0 {
		return errEmptyKey
	}
	if len(p.path) > 0 {
		if b, err = makeBucket(tx, append(l.path[:len(l.path):len(l.path)], p.path...)); err != nil {
			return err
		}
	}
	return withLimit(b.Put(p.key, p.value))
}
