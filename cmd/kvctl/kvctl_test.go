package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foliodb/folio"
)

// kvctl runs kvctl and returns what it prints.
func kvctl(args ...string) (code int, stdout, stderr string) { return kvctlIn("", args...) }

// kvctlIn is kvctl with an input.
func kvctlIn(input string, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(input), &out, &errs)
	return code, out.String(), errs.String()
}

func TestInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	db, err := folio.Open(file, 0o644, &folio.Options{Sharing: folio.ShareNothing})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	start := time.Now()
	for _, args := range [][]string{
		{"info", file}, {"get", file, "/b", "k"}, {"put", file, "/b", "k", "v"}, {"check", file}, {"page", file, "0"},
		{"scrub", file}, {"salvage", file, file + ".new"}, {"readers", file}, {"watch", file},
	} {
		code, _, stderr := kvctl(append(args, "--timeout", "20ms")...)
		if code != exitInUse || !strings.Contains(stderr, "in use by another process: close it there") {
			t.Errorf("%s: exit %d: %s", args[0], code, stderr)
		}
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("waited %v", took)
	}
}

func TestReadersTogether(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	db, err := folio.Open(file, 0, &folio.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if code, out, stderr := kvctl("get", file, "/b", "k"); code != 0 || out != "v" {
		t.Error(code, out, stderr)
	}
	if code, out, stderr := kvctl("check", file); code != 0 {
		t.Error(code, out, stderr)
	}
}

func TestRate(t *testing.T) {
	for s, want := range map[string]int64{
		"20MiB/s": 20 << 20, "1.5KiB/s": 1536, "1GiB": 1 << 30, "100": 100, "100B/s": 100, "0": -1,
	} {
		if got, err := parseRate(s); err != nil || got != want {
			t.Errorf("%s is read as %d, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "fast", "-1", "MiB", "1e30GiB", "0.1", "NaN"} {
		if got, err := parseRate(s); err == nil {
			t.Errorf("%q was taken for %d", s, got)
		}
	}
}

// TestHelp looks at what every verb says of itself.
func TestHelp(t *testing.T) {
	e := &env{}
	if _, out, _ := kvctl("check", "--help"); !strings.Contains(out, "[ $? -ne 3 ] ||") {
		t.Error("a file that is in use would be taken for a damaged one:", out)
	}
	for _, c := range e.root().Commands() {
		code, out, _ := kvctl(c.Name(), "--help")
		if code != 0 || c.Long == "" || !strings.Contains(out, "Examples:\n  kvctl "+c.Name()) && c.Name() != "page" {
			t.Errorf("%s --help: %s", c.Name(), out)
		}
	}
	_, out, _ := kvctl("--help")
	for _, want := range []string{"Exit codes:", "3  the file is damaged", "130, 143  interrupted", "141  "} {
		if !strings.Contains(out, want) {
			t.Errorf("--help does not say %q", want)
		}
	}
}

// TestProgress makes sure that progress stays off stdout.
func TestProgress(t *testing.T) {
	dir := t.TempDir()
	in, file := filepath.Join(dir, "in.txt"), filepath.Join(dir, "t.folio")
	if err := os.WriteFile(in, []byte(strings.Repeat("a line\n", 30000)), 0o644); err != nil {
		t.Fatal(err)
	}
	code, out, stderr := kvctl("load", file, "/b", in, "--progress")
	if code != 0 || !strings.HasPrefix(out, "30,000 keys loaded into /b") || !strings.Contains(stderr, "loading") {
		t.Error(code, out, stderr)
	}
	code, out, stderr = kvctl("check", file, "--progress")
	if code != 0 || strings.Contains(out, "\r") {
		t.Error(code, out, stderr)
	}
}

// TestSyntax reads back what was written.
func TestSyntax(t *testing.T) {
	for _, b := range [][]byte{
		[]byte("a"), []byte("a/b"), []byte(`a\b`), []byte("a\tb\nc\rd"), []byte("0x12"), []byte("0xzz"), []byte("0x"),
		[]byte("é λ 日本"), {0}, {0, 0, 0, 7}, {'a', 'b', 'c', 0xff}, {0xff, 0xfe, 'a'}, []byte("\\x00"), []byte("\u200b"),
		[]byte("0x00\x01"), []byte(`\`), []byte("/"), []byte("//"),
	} {
		if got, err := parseKey(formatKey(b), false); err != nil || !bytes.Equal(got, b) {
			t.Errorf("key %q is written %s and read %q, %v", b, formatKey(b), got, err)
		}
		if got, err := unescape(formatValue(b)); err != nil || !bytes.Equal(got, b) {
			t.Errorf("value %q is written %s and read %q, %v", b, formatValue(b), got, err)
		}
		path := [][]byte{[]byte("x"), b, []byte("y")}
		got, err := parsePath(formatPath(path))
		if err != nil || len(got) != len(path) {
			t.Fatalf("path %q is written %s and read %q, %v", path, formatPath(path), got, err)
		}
		for i := range path {
			if !bytes.Equal(got[i], path[i]) {
				t.Errorf("path %q is written %s and read %q", path, formatPath(path), got)
			}
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, s := range []string{`a\`, `\q`, `\x1`, `\xzz`} {
		if _, err := parseKey(s, false); err == nil {
			t.Errorf("%s has been taken", s)
		}
	}
	for _, s := range []string{"a//b", "//"} {
		if p, err := parsePath(s); err == nil {
			t.Errorf("%s has been taken for %q", s, p)
		}
	}
}

func FuzzSyntax(f *testing.F) {
	f.Add([]byte("a/b\\\x00"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 {
			return
		}
		if got, err := parseKey(formatKey(b), false); err != nil || !bytes.Equal(got, b) {
			t.Errorf("key %q is written %s and read %q, %v", b, formatKey(b), got, err)
		}
		if p, err := parsePath(formatPath([][]byte{b})); err != nil || len(p) != 1 || !bytes.Equal(p[0], b) {
			t.Errorf("path %q is written %s and read %q, %v", b, formatPath([][]byte{b}), p, err)
		}
	})
}

// TestPageHex looks at the dump of a page.
func TestPageHex(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	code, out, stderr := kvctl("page", file, "0", "--hex")
	if code != 0 || !strings.Contains(out, "00000000  89 66 6f 6c 69 6f 0d 0a") || !strings.Contains(out, "\n00000ff0") {
		t.Error(code, out, stderr)
	}
}

// TestLongValueIsVerified: what get and scan print is what was put, however long it is.
func TestLongValueIsVerified(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	value := strings.Repeat("v", 3_000_000)
	if code, _, errs := kvctlIn("long\t"+value+"\n", "load", file, "/b"); code != 0 {
		t.Fatal(errs)
	}
	if code, out, errs := kvctl("get", file, "/b", "long"); code != 0 || out != value {
		t.Fatal(code, len(out), errs)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	copy(content[bytes.LastIndex(content, []byte("vvvv"))-1_000_000:], "damage")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"get", file, "/b", "long"}, {"scan", file, "/b"}} {
		if code, out, errs := kvctl(args...); code != exitDamaged || strings.Contains(out, "damage") {
			t.Errorf("%v: code %d, %d bytes, %s", args[0], code, len(out), errs)
		}
	}
}
