package main

// This file is responsible for what the device takes by itself: the writes of a commit in a
// piece or a few, and the flush, without a store. What a store that writes its pages for
// each commit takes for more than that is its own work.

import (
	"fmt"
	"math/rand/v2"
	"os"
)

const (
	limitPage  = 4096
	limitPages = 1 << 15 // in the file
)

// limits writes what commits write: some pages in some pieces, each anywhere in a file that
// is there already, and one page at its beginning, and flushes.
func (r *run) limits() error {
	f, err := os.OpenFile(r.path("limits"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	all := make([]byte, 64*limitPage)
	rnd := rand.New(rand.NewPCG(r.seed, 2))
	for i := range all {
		all[i] = byte(rnd.Uint32())
	}
	for at := int64(0); at < limitPages*limitPage; at += int64(len(all)) {
		if _, err := f.WriteAt(all, at); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	for _, c := range []struct {
		like          string
		pages, pieces int
	}{
		{"1 put", 5, 1},
		{"a group of 16 puts", 42, 1},
		{"a group of 16 puts", 49, 2},
		{"100 puts", 200, 1},
		{"100 puts", 240, 3},
	} {
		row := fmt.Sprintf("device alone, as for %s: %d pages in %d", c.like, c.pages, c.pieces)
		const n = 500
		err := r.measure(row, n, func() error {
			for i := range n {
				if err := commitAlone(f, rnd, i, c.pages, c.pieces, all); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// commitAlone writes pages in so many pieces and a page, and flushes them.
func commitAlone(f *os.File, rnd *rand.Rand, i, pages, pieces int, from []byte) error {
	for k := range pieces {
		n := (pages + k) / pieces
		at := int64(2+rnd.IntN(limitPages-2-n)) * limitPage
		for n > 0 {
			b := from[:min(n*limitPage, len(from))]
			if _, err := f.WriteAt(b, at); err != nil {
				return err
			}
			at, n = at+int64(len(b)), n-len(b)/limitPage
		}
	}
	if _, err := f.WriteAt(from[:limitPage], int64(i%2)*limitPage); err != nil {
		return err
	}
	return flush(f)
}
