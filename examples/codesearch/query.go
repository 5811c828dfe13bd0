package main

// This file asks the index. Nothing is read into memory first: every answer comes
// from the pages that it is in.

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/foliodb/folio"
)

// shown is how many results of a question are printed.
const shown = 3

// question is something to be asked. It returns the answer in a few words, and
// some of the results.
type question struct {
	text string
	ask  func(files, words *folio.Bucket) (answer string, results []string)
}

// ask answers questions one after the other, each in a transaction of its own,
// with the time that the lookup took.
func ask(db *folio.DB, w io.Writer, questions []question) error {
	for _, q := range questions {
		err := db.View(func(tx *folio.Tx) error {
			files, words := tx.Bucket(bucketFiles), tx.Bucket(bucketWords)
			if files == nil || words == nil {
				return fmt.Errorf("there is nothing in %s", db.Path())
			}
			start := time.Now()
			answer, results := q.ask(files, words)
			took := time.Since(start)
			fmt.Fprintf(w, "\n%s\n  %s  (%s)\n", q.text, answer, latency(took))
			for _, r := range results {
				fmt.Fprintf(w, "    %s\n", r)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// latency formats a short time.
func latency(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.0f µs", float64(d)/float64(time.Microsecond))
	}
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}

// where prints where identifiers are used.
func where(db *folio.DB, w io.Writer, words []string) error {
	var qs []question
	for _, word := range words {
		qs = append(qs, uses(word, "", 20))
	}
	return ask(db, w, qs)
}

// tour asks a bit of everything.
func tour(db *folio.DB, w io.Writer) error {
	return ask(db, w, []question{
		uses("WaitGroup", "", shown),
		uses("WaitGroup", "net/http/", shown),
		common("Reader", "Writer", "Seeker"),
		startingWith("Unmarshal"),
		below("encoding/json/"),
		middle("net/", "net0"),
		line("sync/waitgroup.go", 14),
	})
}

// uses asks which files below a directory use a word.
func uses(word, dir string, most int) question {
	text := fmt.Sprintf("Which files use %s?", word)
	if dir != "" {
		text = fmt.Sprintf("Which files below %s use %s?", dir, word)
	}
	return question{text, func(_, words *folio.Bucket) (string, []string) {
		list := words.Bucket([]byte(word))
		if list == nil {
			return "none", nil
		}
		var results []string
		for path, lines := range list.Prefix([]byte(dir)) {
			if len(results) == most {
				break
			}
			results = append(results, fmt.Sprintf("%s:%s", path, lineList(decodeLines(lines))))
		}
		// Counting needs no walk over what it counts.
		n := list.Count([]byte(dir), folio.PrefixEnd([]byte(dir)))
		return fileCount(n), results
	}}
}

// common asks which files use all of several words: it leaps from path to path,
// seeking in each list to where the others are.
func common(names ...string) question {
	text := fmt.Sprintf("Which files use all of %s?", strings.Join(names, ", "))
	return question{text, func(_, words *folio.Bucket) (string, []string) {
		var lists []*folio.Cursor
		for _, name := range names {
			list := words.Bucket([]byte(name))
			if list == nil {
				return "none", nil
			}
			lists = append(lists, list.Cursor())
		}
		n := 0
		var results []string
		for path, _ := lists[0].First(); path != nil; {
			furthest := path
			for _, list := range lists {
				next, _ := list.Seek(path)
				if next == nil {
					furthest = nil // there cannot be any more
					break
				}
				if bytes.Compare(next, furthest) > 0 {
					furthest = next
				}
			}
			if bytes.Equal(furthest, path) { // in all of them
				if n++; n <= shown {
					results = append(results, string(path))
				}
				furthest, _ = lists[0].Next()
			}
			path = furthest
		}
		return fileCount(n), results
	}}
}

// startingWith asks which words have a prefix. Each word is a bucket, which knows
// how many keys it has.
func startingWith(prefix string) question {
	text := fmt.Sprintf("Which identifiers start with %s?", prefix)
	return question{text, func(_, words *folio.Bucket) (string, []string) {
		var results []string
		for word := range words.Prefix([]byte(prefix)) {
			if len(results) == shown {
				break
			}
			results = append(results, fmt.Sprintf("%s, in %s", word, fileCount(words.Bucket(word).Len())))
		}
		n := words.Count([]byte(prefix), folio.PrefixEnd([]byte(prefix)))
		return number(n) + " of " + number(words.Len()), results
	}}
}

// below asks which files are below a directory.
func below(dir string) question {
	return question{"Which files are below " + dir + "?", func(files, _ *folio.Bucket) (string, []string) {
		var results []string
		n, total := 0, 0
		for path, text := range files.Prefix([]byte(dir)) {
			n++
			total += len(text)
			if n <= shown {
				results = append(results, fmt.Sprintf("%s, %s", path, size(int64(len(text)))))
			}
		}
		return fmt.Sprintf("%s, %s", fileCount(n), size(int64(total))), results
	}}
}

// middle asks how many files there are in a range of paths, where the range
// begins, and which file is in the middle of it.
func middle(lo, hi string) question {
	text := fmt.Sprintf("How many files are in [%s, %s), and which is in the middle?", lo, hi)
	return question{text, func(files, _ *folio.Bucket) (string, []string) {
		n := files.Count([]byte(lo), []byte(hi))
		at := files.Rank([]byte(lo)) + n/2
		path, _ := files.At(at)
		return fmt.Sprintf("%s of %s", number(n), number(files.Len())),
			[]string{fmt.Sprintf("file number %s of all is %s", number(at), path)}
	}}
}

// line asks for a line of a file.
func line(path string, n int) question {
	return question{fmt.Sprintf("What is line %d of %s?", n, path), func(files, _ *folio.Bucket) (string, []string) {
		text := files.Get([]byte(path))
		if text == nil {
			return "there is no such file", nil
		}
		i := 1
		for line := range bytes.Lines(text) {
			if i == n {
				return string(bytes.TrimRight(line, "\n")), nil
			}
			i++
		}
		return "it is not that long", nil
	}}
}

// fileCount formats a number of files.
func fileCount[T int | uint64](n T) string {
	if n == 1 {
		return "1 file"
	}
	return number(n) + " files"
}

// lineList formats some line numbers.
func lineList(lines []int) string {
	const most = 6
	var b strings.Builder
	for i, n := range lines {
		if i == most {
			return b.String() + ", ..."
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%d", n)
	}
	return b.String()
}
