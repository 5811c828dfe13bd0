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

// TestMessages: errors name what is meant, and say what to do.
func TestMessages(t *testing.T) {
	dir := t.TempDir()
	file, none := filepath.Join(dir, "t.folio"), filepath.Join(dir, "none")
	for _, args := range [][]string{{"put", file, "/b/deep", "k", "v", "--create"}, {"put", file, "/b", "a", "v"}} {
		if code, _, stderr := kvctl(args...); code != 0 {
			t.Fatal(stderr)
		}
	}
	long := strings.Repeat("k", folio.MaxKeySize+1)
	for _, c := range []struct {
		code int
		says string
		args []string
	}{
		{exitError, "key too large: keys and names of buckets have at most 32,768 bytes", []string{"put", file, "/b", long, "v"}},
		{exitError, "key too large: keys and names of buckets have at most 32,768 bytes", []string{"put", file, "/" + long, "k", "v", "--create"}},
		{exitError, "an empty name in the bucket path", []string{"scan", file, "/b//deep"}},
		{exitNotFound, none + ": no such file: --create makes it", []string{"put", none, "/b", "k", "v"}},
		{exitNotFound, none + ": no such file\n", []string{"del", none, "/b", "k"}},
		{exitNotFound, "there is no bucket /c: --create makes it", []string{"put", file, "/c", "k", "v"}},
		{exitError, "the name of the file is empty", []string{"info", ""}},
		{exitError, "the name of the file is empty", []string{"put", "", "/b", "k", "v", "--create"}},
		{exitNotFound, "/b is a bucket", []string{"get", file, "/", "b"}},
		{exitNotFound, "/b/deep is a bucket: nothing has been deleted: --bucket", []string{"del", file, "/b", "a", "deep"}},
		{exitError, "/b/deep is a bucket: nothing has been deleted: --bucket", []string{"del", file, "/b", "--all"}},
		{exitError, "/b/deep is a bucket: nothing has been deleted: --bucket", []string{"del", file, "/b", "--prefix", "d"}},
	} {
		if code, _, stderr := kvctl(c.args...); code != c.code || !strings.Contains(stderr, c.says) {
			t.Errorf("%.80v: exit %d: %.200s", c.args, code, stderr)
		}
	}
	if _, out, _ := kvctl("count", file, "/b"); out != "2\n" {
		t.Error(out)
	}
}

// TestLoadFailed: a commit that fails is not the fault of its last line.
func TestLoadFailed(t *testing.T) {
	l := loader{line: 5, done: 1}
	full := errors.New("full")
	for read, want := range map[bool]string{
		false: "line 5: full: 1 key before it is in the file",
		true:  "committing lines 2 to 5: full: 1 key before them is in the file",
	} {
		if err := l.failed(full, 2, read); err.Error() != want {
			t.Error(err)
		}
	}
	if err := l.failed(full, 6, false); err.Error() != "after line 5: full: 1 key up to it is in the file" {
		t.Error(err)
	}
}
