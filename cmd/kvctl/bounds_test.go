package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/foliodb/folio"
)

// endless is an input that goes on for ever with what it repeats, but fails the test that
// reads too much of it.
type endless struct {
	begin, repeat string
	left          int
}

var errTooMuch = errors.New("too much was read")

func (r *endless) Read(p []byte) (n int, err error) {
	if r.left -= len(p); r.left < 0 {
		return 0, errTooMuch
	}
	n = copy(p, r.begin)
	r.begin = r.begin[n:]
	for n < len(p) {
		n += copy(p[n:], r.repeat)
	}
	return n, nil
}

// TestEndlessLine: a line is refused as soon as it cannot be right any more.
func TestEndlessLine(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	for _, c := range []struct{ format, begin, repeat, says string }{
		{"lines", "a\n", "\x00", "line 2: key too large: keys and names of buckets have at most 32,768 bytes"},
		{"tsv", "a\tb\n\n", "\x00", "line 3: no tab between key and value"},
		{"jsonl", "", "\x00", "line 1: not the JSON of a key: it is no object"},
	} {
		var out, errs bytes.Buffer
		in := &endless{c.begin, c.repeat, 16 << 20}
		if code := run([]string{"load", file, "/b", "--format", c.format}, in, &out, &errs); code != exitError || !strings.Contains(errs.String(), c.says) {
			t.Errorf("%s: exit %d: %s", c.format, code, &errs)
		}
	}
}

// TestValueTooLarge: nor is more read of a value than it can have, or of a file that is
// too long.
func TestValueTooLarge(t *testing.T) {
	if b, err := readValue(strings.NewReader("four"), 4); err != nil || string(b) != "four" {
		t.Error(string(b), err)
	}
	if _, err := readValue(&endless{repeat: "x", left: 1 << 20}, 4); !errors.Is(err, folio.ErrValueTooLarge) {
		t.Error(err)
	}
	dir := t.TempDir()
	file, long := filepath.Join(dir, "t.folio"), filepath.Join(dir, "long")
	if err := os.WriteFile(long, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(long, folio.MaxValueSize+1); err != nil {
		t.Skip(err) // not every file system has holes
	}
	for _, args := range [][]string{{"put", file, "/b", "k", "--create", "--from", dir}, {"load", file, "/b", dir}} {
		if code, _, stderr := kvctl(args...); code != exitError || !strings.Contains(stderr, dir+": a directory: name the file ") {
			t.Errorf("%s: exit %d: %s", args[0], code, stderr)
		}
	}
	code, _, stderr := kvctl("put", file, "/b", "k", "--create", "--from", long)
	if code != exitError || !strings.Contains(stderr, long+": value too large: values have at most 2,147,483,647 bytes") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
