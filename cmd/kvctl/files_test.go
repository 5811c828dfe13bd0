package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestSalvageMode: what only its owner could read is not shown to all.
func TestSalvageMode(t *testing.T) {
	dir := t.TempDir()
	file, saved := filepath.Join(dir, "t.folio"), filepath.Join(dir, "new.folio")
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("salvage", file, saved); code != 0 {
		t.Fatal(stderr)
	}
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
}

// TestEmptyFile: an empty file is made a database by nobody who was not asked to.
func TestEmptyFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"info", file}, {"get", file, "/b", "k"}, {"put", file, "/b", "k", "v"}, {"del", file, "/b", "k"}, {"salvage", file, file + ".new"},
	} {
		code, _, stderr := kvctl(args...)
		if code != exitError || !strings.Contains(stderr, "not a folio file: it is empty") || strings.Contains(stderr, "try kvctl salvage") {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Size() != 0 {
		t.Error("the file was changed", info.Size(), err)
	}
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Error(stderr)
	}
}

// TestZeros: nor is a file of zeros, which a creation that was cut off can leave.
func TestZeros(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	for _, size := range []int{100, 2 * 4096, 100_000} {
		if err := os.WriteFile(file, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{{"put", file, "/b", "k", "v"}, {"del", file, "/b", "k"}, {"get", file, "/b", "k"}} {
			if code, _, stderr := kvctl(args...); code != exitError || !strings.Contains(stderr, "not a folio file: there are only zeros in it") {
				t.Errorf("%d, %v: exit %d: %s", size, args, code, stderr)
			}
		}
		if b, err := os.ReadFile(file); err != nil || !bytes.Equal(b, make([]byte, size)) {
			t.Error("the file was changed", len(b), err)
		}
	}
}

// TestPagesOfRuns: the beginning of a long value is verified like a page of a tree.
func TestPagesOfRuns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if code, _, stderr := kvctlIn(strings.Repeat("v", 20_000), "put", file, "/b", "k", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	_, out, _ := kvctl("pages", file, "--kind", "overflow")
	var id int64
	if _, err := fmt.Sscan(out[strings.Index(out, "\n"):], &id); err != nil {
		t.Fatal(err, out)
	}
	if err := patch(file, id*4096, func(b []byte) { b[0] ^= 0xff }, 1); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"pages", file, "--kind", "damaged"}, {"pages", file, "--map"}, {"check", file}} {
		if code, out, stderr := kvctl(args...); code != exitDamaged || !strings.Contains(out, "wrong checksum") && !strings.Contains(out, "!!!!!") {
			t.Errorf("%v: exit %d: %s%s", args, code, out, stderr)
		}
	}
}

// TestSalvageNothing: where nothing can be saved, salvage does not advise salvage.
func TestSalvageNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "t.folio")
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Truncate(file, 100); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := kvctl("salvage", file, filepath.Join(dir, "new.folio"))
	if code != exitError || !strings.Contains(stderr, "nothing in it that could be saved") || strings.Contains(stderr, "kvctl salvage") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

// TestLoadReturns: a return before the newline is part of a value that is taken as it is.
func TestLoadReturns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	const input = "a\tb\r\n\nc\td\n"
	for bucket, args := range map[string][]string{
		"/literal": {"--literal"}, "/tsv": nil, "/lines": {"--format", "lines"},
	} {
		if code, _, stderr := kvctlIn(input, append([]string{"load", file, bucket}, args...)...); code != 0 {
			t.Fatal(bucket, stderr)
		}
	}
	for bucket, want := range map[string]string{
		"/literal": "a\tb\\r\nc\td\n", "/tsv": "a\tb\nc\td\n", "/lines": "a\\tb\t\nc\\td\t\n",
	} {
		if _, out, _ := kvctl("scan", file, bucket); out != want {
			t.Errorf("%s has %q", bucket, out)
		}
	}
}

// fullDisk is where nothing can be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space") }

// TestOutputFull: what went wrong is said once.
func TestOutputFull(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if err := fill(file, "b", 10000); err != nil {
		t.Fatal(err)
	}
	var errs bytes.Buffer
	code := run([]string{"scan", file, "/b"}, strings.NewReader(""), fullDisk{}, &errs)
	if code != exitError || strings.Count(errs.String(), "no space") != 1 {
		t.Errorf("exit %d: %s", code, &errs)
	}
}

// TestVersion: the version of Go is known in any case.
func TestVersion(t *testing.T) {
	for _, arg := range []string{"version", "--version"} {
		if code, out, stderr := kvctl(arg); code != 0 || !strings.HasPrefix(out, "kvctl ") || !strings.HasSuffix(out, ", "+runtime.Version()+"\n") {
			t.Error(arg, code, out, stderr)
		}
	}
}

// TestGuarded: a fault in bbolt is damage of the file, not an error of a program.
func TestGuarded(t *testing.T) {
	err := guarded("a.db", func() error {
		var b []byte
		_ = b[len(os.Args)+1]
		return nil
	})
	if code, text := explain(err); code != exitDamaged || !strings.HasPrefix(text, "a.db is damaged: ") || strings.Contains(text, "runtime") {
		t.Error(code, text)
	}
}

// TestCannotMake: the error names the file that was to be made.
func TestCannotMake(t *testing.T) {
	dir := t.TempDir()
	file, bolt := filepath.Join(dir, "t.folio"), filepath.Join(dir, "t.db")
	if err := fill(file, "b", 10); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("export", file, bolt); code != 0 {
		t.Fatal(stderr)
	}
	name := filepath.Join(dir, strings.Repeat("x", 250)) // there is no room for the end of a temporary one
	for _, args := range [][]string{{"export", file, name}, {"import", bolt, name}, {"salvage", file, name}} {
		if code, _, stderr := kvctl(args...); code != exitError || !strings.Contains(stderr, name+" cannot be made: ") {
			t.Errorf("%s: exit %d: %s", args[0], code, stderr)
		}
	}
}

// TestScanIsLoaded: what scan prints of any keys and values is what load puts.
func TestScanIsLoaded(t *testing.T) {
	dir := t.TempDir()
	before, file := filepath.Join(dir, "a.db"), filepath.Join(dir, "t.folio")
	makeBolt(t, before, 5, 200)
	if code, _, stderr := kvctl("import", before, file); code != 0 {
		t.Fatal(stderr)
	}
	for _, format := range []string{"text", "json"} {
		_, text, _ := kvctl("scan", file, "/bucket 3", "--format", format)
		args := map[string][]string{"text": nil, "json": {"--format", "jsonl"}}[format]
		if code, _, stderr := kvctlIn(text, append([]string{"load", file, "/" + format}, args...)...); code != 0 {
			t.Fatal(format, stderr)
		}
		_, copied, _ := kvctl("scan", file, "/"+format, "--format", "hex")
		_, want, _ := kvctl("scan", file, "/bucket 3", "--format", "hex")
		buckets := 0
		for line := range strings.Lines(want) {
			if strings.HasSuffix(line, ")\n") {
				buckets++
			} else if !strings.Contains(copied, line) {
				t.Errorf("%s: %.80q is missing", format, line)
			}
		}
		if strings.Count(copied, "\n") != strings.Count(want, "\n")-buckets || buckets == 0 {
			t.Errorf("%s: %d lines of %d, %d of them buckets", format, strings.Count(copied, "\n"), strings.Count(want, "\n"), buckets)
		}
	}
}
