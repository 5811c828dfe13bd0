package main

// The tests of kvctl are sessions: files in testdata with commands and what they
// print, each run in a directory of its own. A line that begins with $ is a
// command; lines that begin with < are its input; "exit N" is its code if that is
// not 0, and "!" begins a line of stderr. Besides kvctl there are commands that
// damage files, and such that open them as other programs do, and stay. Sessions whose
// names end in _linux are for Linux only. go test -run Golden -update writes what kvctl prints now.

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/foliodb/folio"
)

var update = flag.Bool("update", false, "write the sessions in testdata again")

func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.session")
	if err != nil || len(files) == 0 {
		t.Fatal("no sessions in testdata", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		name := strings.TrimSuffix(filepath.Base(file), ".session")
		if strings.HasSuffix(name, "_linux") && runtime.GOOS != "linux" {
			continue
		}
		t.Run(name, func(t *testing.T) { session(t, file) })
	}
}

func session(t *testing.T, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	var programs programs
	defer programs.close(t)
	var got bytes.Buffer
	lines := strings.Split(strings.ReplaceAll(string(want), "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if strings.HasPrefix(line, "#") || line == "" && i+1 < len(lines) && strings.HasPrefix(lines[i+1], "#") {
			fmt.Fprintln(&got, line)
			continue
		}
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue // what it printed once
		}
		fmt.Fprintln(&got, line)
		var input strings.Builder
		for i+1 < len(lines) && strings.HasPrefix(lines[i+1], "<") {
			i++
			fmt.Fprintln(&got, lines[i])
			fmt.Fprintln(&input, strings.TrimPrefix(strings.TrimPrefix(lines[i], "<"), " "))
		}
		if args := words(t, command); !programs.run(t, args) {
			execute(t, args, input.String(), &got)
		}
	}
	if *update {
		if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if got, want := got.String(), strings.Join(lines, "\n"); got != want {
		t.Errorf("run go test -run Golden -update and look at the difference, which begins so:\n%s", difference(got, want))
	}
}

// difference returns the first lines that differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	i := 0
	for i < len(g) && i < len(w) && g[i] == w[i] {
		i++
	}
	some := func(lines []string) string { return strings.Join(lines[min(i, len(lines)):min(i+5, len(lines))], "\n") }
	return fmt.Sprintf("line %d\n--- is\n%s\n--- should be\n%s", i+1, some(g), some(w))
}

// varying is what differs from run to run: ids, checksums, times, the number of the
// process, with the spaces before it in a table.
var varying = regexp.MustCompile(fmt.Sprintf(`0x[0-9a-f]{16}|[0-9a-f]{16}|\b\d+\.\d s\b|\b\d\d:\d\d:\d\d\b|`+
	`\d{4}-\d\d-\d\dT[0-9:.]+(Z|[-+]\d\d:\d\d)|"(seconds|oldest_seconds)":[0-9.e-]+| *\b%d\b`, os.Getpid()))

// execute runs a command and writes what it prints.
func execute(t *testing.T, args []string, input string, out *bytes.Buffer) {
	if args[0] != "kvctl" {
		damage(t, args)
		return
	}
	var stdout, stderr bytes.Buffer
	code := run(args[1:], strings.NewReader(input), &stdout, &stderr)
	for _, line := range strings.SplitAfter(stdout.String(), "\n") {
		out.WriteString(varying.ReplaceAllString(line, "<varies>"))
	}
	if stdout.Len() > 0 && !bytes.HasSuffix(stdout.Bytes(), []byte("\n")) {
		out.WriteString("<no newline>\n")
	}
	for line := range strings.Lines(stderr.String()) {
		out.WriteString("! " + varying.ReplaceAllString(line, "<varies>"))
	}
	if code != 0 {
		fmt.Fprintf(out, "exit %d\n", code)
	}
}

// programs are handles of files that stay open.
type programs struct {
	dbs map[string]*folio.DB
	txs []*folio.Tx
}

// run runs the commands that are about them.
func (p *programs) run(t *testing.T, args []string) bool {
	t.Helper()
	var err error
	switch args[0] {
	case "open": // NAME FILE reader, writer or shared
		// The name of this program, for those who look.
		if err := os.WriteFile("/proc/self/comm", []byte("app"), 0); err != nil {
			t.Fatal(err)
		}
		if p.dbs == nil {
			p.dbs = map[string]*folio.DB{}
		}
		o := folio.Options{ReadOnly: args[3] == "reader"}
		if args[3] == "shared" {
			o.Sharing = folio.ShareWriters
		}
		p.dbs[args[1]], err = folio.Open(args[2], 0o644, &o)
	case "read": // NAME: begins a read transaction
		var tx *folio.Tx
		tx, err = p.dbs[args[1]].Begin(false)
		p.txs = append(p.txs, tx)
	case "commit": // NAME
		err = p.dbs[args[1]].Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			return b.Put([]byte("k"), []byte("v"))
		})
	case "close":
		p.close(t)
	default:
		return false
	}
	if err != nil {
		t.Fatal(err)
	}
	return true
}

// close ends all of them.
func (p *programs) close(t *testing.T) {
	for _, tx := range p.txs {
		_ = tx.Rollback()
	}
	for _, db := range p.dbs {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	*p = programs{}
}

// words splits a command as a shell does, with single quotes only.
func words(t *testing.T, s string) (ws []string) {
	t.Helper()
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		if s[0] == '\'' {
			w, rest, ok := strings.Cut(s[1:], "'")
			if !ok {
				t.Fatalf("no end of the quote: %s", s)
			}
			ws, s = append(ws, w), rest
			continue
		}
		w, rest, _ := strings.Cut(s, " ")
		ws, s = append(ws, w), rest
	}
	return ws
}

// damage runs the commands that are not kvctl.
func damage(t *testing.T, args []string) {
	t.Helper()
	n := func(i int) int64 {
		v, err := strconv.ParseInt(args[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	var err error
	switch args[0] {
	case "flip": // FILE OFFSET: turns the bits of a byte over
		err = patch(args[1], n(2), func(b []byte) { b[0] ^= 0xff }, 1)
	case "zero": // FILE OFFSET LENGTH
		err = patch(args[1], n(2), func(b []byte) { clear(b) }, int(n(3)))
	case "truncate": // FILE SIZE
		err = os.Truncate(args[1], n(2))
	case "write": // FILE TEXT
		err = os.WriteFile(args[1], []byte(strings.Join(args[2:], " ")), 0o644)
	case "fill": // FILE BUCKET N: keys key0000000.. with small values
		err = fill(args[1], args[2], int(n(3)))
	default:
		t.Fatalf("there is no command %s", args[0])
	}
	if err != nil {
		t.Fatal(err)
	}
}

func patch(file string, off int64, change func([]byte), n int) error {
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	b := make([]byte, n)
	if _, err := f.ReadAt(b, off); err != nil {
		return err
	}
	change(b)
	_, err = f.WriteAt(b, off)
	return err
}

func fill(file, bucket string, n int) error {
	db, err := folio.Open(file, 0o644, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte(bucket))
		for i := 0; i < n && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "key%07d", i), fmt.Appendf(nil, "value %d", i))
		}
		return err
	})
}
