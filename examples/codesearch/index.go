package main

// This file fills the index.

import (
	"encoding/binary"
	"fmt"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/foliodb/folio"
)

// The top-level buckets.
var (
	bucketFiles = []byte("files")
	bucketWords = []byte("words")
)

// batchBytes is how much source goes into a transaction: enough that a commit is
// a few large writes, and little enough to stay in memory while it is gathered.
const batchBytes = 16 << 20

// source is a file that has been read.
type source struct {
	path  string // below the indexed directory, with slashes
	text  []byte
	words map[string][]byte // identifier -> the lines it is on, see appendLine
	err   error
}

// index adds the files below dir that are not in the index yet. Each transaction
// adds some files and all that is known of them, so an index run that is cut off
// can be started again.
func index(db *folio.DB, dir string, progress io.Writer) error {
	paths, err := newFiles(db, dir)
	if err != nil || len(paths) == 0 {
		return err
	}
	done := make(chan struct{})
	defer close(done)
	p := newProgress(progress, len(paths))
	var batch []source
	size := 0
	for s := range read(dir, paths, done) {
		if s.err != nil {
			return s.err
		}
		batch = append(batch, s)
		if size += len(s.text); size >= batchBytes {
			if err := add(db, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		p.add(len(s.text))
	}
	if err := add(db, batch); err != nil {
		return err
	}
	p.finish(db)
	return nil
}

// newFiles returns the Go files below dir that are not in the index, in order.
func newFiles(db *folio.DB, dir string) (paths []string, err error) {
	err = db.View(func(tx *folio.Tx) error {
		files := tx.Bucket(bucketFiles)
		return filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() || !strings.HasSuffix(name, ".go") {
				return err
			}
			rel, err := filepath.Rel(dir, name)
			if err != nil {
				return err
			}
			path := filepath.ToSlash(rel)
			// Counting the one key looks at its leaf; Get would read the contents.
			if files == nil || files.Count([]byte(path), []byte(path+"\x00")) == 0 {
				paths = append(paths, path)
			}
			return nil
		})
	})
	return paths, err
}

// read reads and tokenises files, several at a time, until done is closed.
func read(dir string, paths []string, done <-chan struct{}) <-chan source {
	todo := make(chan string)
	go func() {
		defer close(todo)
		for _, path := range paths {
			select {
			case todo <- path:
			case <-done:
				return
			}
		}
	}()
	out := make(chan source, 64)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for path := range todo {
				s := source{path: path}
				if s.text, s.err = os.ReadFile(filepath.Join(dir, filepath.FromSlash(path))); s.err == nil {
					s.words = tokenise(s.text)
				}
				select {
				case out <- s:
				case <-done:
					return
				}
			}
		})
	}
	go func() {
		workers.Wait()
		close(out)
	}()
	return out
}

// tokenise returns the identifiers in text with the lines they are on. Text that
// is not Go gives what can be made of it.
func tokenise(text []byte) map[string][]byte {
	type seen struct {
		lines []byte
		last  int
	}
	found := make(map[string]*seen)
	file := token.NewFileSet().AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	for {
		pos, tok, word := s.Scan()
		switch tok {
		case token.EOF:
			words := make(map[string][]byte, len(found))
			for word, w := range found {
				words[word] = w.lines
			}
			return words
		case token.IDENT:
			w := found[word]
			if w == nil {
				w = new(seen)
				found[word] = w
			}
			if line := file.Line(pos); line > w.last {
				w.lines = appendLine(w.lines, line-w.last)
				w.last = line
			}
		}
	}
}

// Lines are kept as the distances between them, in varints: mostly a byte each.

func appendLine(lines []byte, distance int) []byte {
	return binary.AppendUvarint(lines, uint64(distance))
}

func decodeLines(b []byte) (lines []int) {
	line := 0
	for len(b) > 0 {
		distance, n := binary.Uvarint(b)
		if n <= 0 {
			return lines
		}
		line += int(distance)
		lines = append(lines, line)
		b = b[n:]
	}
	return lines
}

// add puts files into the index, in one transaction. It goes through files and
// words in the order of their keys, which is the fastest way to fill a bucket.
func add(db *folio.DB, batch []source) error {
	type posting struct {
		path  string
		lines []byte
	}
	slices.SortFunc(batch, func(a, b source) int { return strings.Compare(a.path, b.path) })
	postings := make(map[string][]posting)
	for _, s := range batch {
		for word, lines := range s.words {
			postings[word] = append(postings[word], posting{s.path, lines})
		}
	}
	return db.Update(func(tx *folio.Tx) error {
		files, err := tx.CreateBucketIfNotExists(bucketFiles)
		if err != nil {
			return err
		}
		for _, s := range batch {
			if err := files.Put([]byte(s.path), s.text); err != nil {
				return fmt.Errorf("%s: %w", s.path, err)
			}
		}
		words, err := tx.CreateBucketIfNotExists(bucketWords)
		if err != nil {
			return err
		}
		for _, word := range slices.Sorted(maps.Keys(postings)) {
			list, err := words.CreateBucketIfNotExists([]byte(word))
			if err != nil {
				return fmt.Errorf("%s: %w", word, err)
			}
			for _, p := range postings[word] {
				if err := list.Put([]byte(p.path), p.lines); err != nil {
					return fmt.Errorf("%s in %s: %w", word, p.path, err)
				}
			}
		}
		return nil
	})
}
