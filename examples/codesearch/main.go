// Codesearch indexes the Go source files below a directory into one folio file,
// and answers questions from that file.
//
//	codesearch -db code.folio               index $(go env GOROOT)/src, ask a few things
//	codesearch -db code.folio -src ~/proj   index something else
//	codesearch -db code.folio WaitGroup     which files use an identifier, and where
//
// The index is two buckets:
//
//	files   path -> contents
//	words   identifier -> a bucket of its own: path -> the lines it is on
//
// Every identifier has a nested bucket. Most of them are tiny, and live in a leaf
// of their parent without a page of their own; the few that half of all files use
// are trees of thousands of keys. Paths are the keys of both, in order, so that
// "below this directory" is a range, and counting a range costs O(log n).
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/foliodb/folio"
)

func main() {
	db := flag.String("db", "code.folio", "database `file`; created if there is none")
	src := flag.String("src", "", "`directory` to index (default: that of the Go standard library)")
	flag.Usage = func() {
		fmt.Fprintf(flag.CommandLine.Output(), "usage: codesearch [-db file] [-src directory] [identifier...]\n\n"+
			"Indexes the Go files below a directory, those that are new, and answers questions\n"+
			"from the index: where the identifiers are used, or some of its own.\n\n")
		flag.PrintDefaults()
	}
	flag.Parse()
	if err := run(*db, *src, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "codesearch:", err)
		os.Exit(1)
	}
}

func run(path, src string, words []string) (err error) {
	if src == "" {
		if src, err = goroot(); err != nil {
			return err
		}
	}
	db, err := folio.Open(path, 0o644, &folio.Options{Timeout: time.Second})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()

	if err := index(db, src, os.Stderr); err != nil {
		return err
	}
	if len(words) > 0 {
		return where(db, os.Stdout, words)
	}
	return tour(db, os.Stdout)
}

// goroot returns the directory of the standard library's source.
func goroot() (string, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return "", fmt.Errorf("asking go for GOROOT: %w: name a directory with -src", err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "src"), nil
}
