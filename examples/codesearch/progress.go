package main

// This file says how far indexing has come.

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/foliodb/folio"
)

// progress writes a line now and then: over itself on a terminal, else below the
// one before.
type progress struct {
	w            io.Writer
	terminal     bool
	total, files int
	bytes        int
	start, next  time.Time
}

func newProgress(w io.Writer, total int) *progress {
	p := &progress{w: w, total: total, start: time.Now()}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// add counts a file.
func (p *progress) add(bytes int) {
	p.files++
	p.bytes += bytes
	if time.Now().Before(p.next) {
		return
	}
	end, pause := "\n", time.Second
	if p.terminal {
		end, pause = "    \r", time.Second/10
	}
	p.next = time.Now().Add(pause)
	fmt.Fprintf(p.w, "indexing: %3d%%, %s of %s files, %s%s",
		100*p.files/p.total, number(p.files), number(p.total), size(int64(p.bytes)), end)
}

// finish says what there is now.
func (p *progress) finish(db *folio.DB) {
	took := time.Since(p.start)
	fmt.Fprintf(p.w, "indexed %s files, %s, in %.1f s: %s is %s\n", number(p.files), size(int64(p.bytes)),
		took.Seconds(), db.Path(), size(db.Stats().FileSize))
}

// number formats n with a comma for each thousand.
func number[T int | uint64](n T) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// size formats a number of bytes as kvctl does.
func size(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
