package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/foliodb/folio"
)

func TestTokenise(t *testing.T) {
	got := tokenise([]byte("package p\n\nfunc f(x int) int {\n\treturn x + x // y\n}\n"))
	want := map[string][]int{"p": {1}, "f": {3}, "x": {3, 4}, "int": {3}}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for word, lines := range want {
		if !reflect.DeepEqual(decodeLines(got[word]), lines) {
			t.Errorf("%s is on lines %v, expected %v", word, decodeLines(got[word]), lines)
		}
	}
	// What is no Go must not stop the indexing.
	tokenise([]byte("\x00\xff\"unterminated"))
}

// TestIndex indexes a few files, and some more in a second run.
func TestIndex(t *testing.T) {
	src := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(src, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	db, err := folio.Open(filepath.Join(t.TempDir(), "code.folio"), 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()

	write("a/a.go", "package a\n\nvar Shared = 1\n")
	write("a/b.go", "package a\n\nvar Other = Shared\n")
	write("a/notes.txt", "Shared")
	if err := index(db, src, io.Discard); err != nil {
		t.Fatal(err)
	}
	write("b/c.go", "package b\n\nvar X, Shared = 1, 2\n\nvar Y = Shared\n")
	if err := index(db, src, io.Discard); err != nil {
		t.Fatal(err)
	}
	if err := index(db, src, io.Discard); err != nil { // nothing new
		t.Fatal(err)
	}

	var out bytes.Buffer
	if err := ask(db, &out, []question{
		uses("Shared", "", 5), uses("Shared", "a/", 5), uses("Missing", "", 5), common("Shared", "Other"),
		startingWith("S"), below("a/"), middle("a/", "c"), line("b/c.go", 3), line("missing.go", 1),
	}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"  3 files  (", "    b/c.go:3, 5\n", "  2 files  (", "  none  (", "  1 file  (", "    a/b.go\n",
		"    Shared, in 3 files\n", "  3 of 3  (", "file number 1 of all is a/b.go", "  var X, Shared = 1, 2  (", "there is no such file",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in:\n%s", want, out.String())
		}
	}
	err = db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			t.Error(err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
