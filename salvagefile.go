package folio

// This file is responsible for reading a damaged file: by system calls, so that a
// device that fails is an error for a page, and believing nothing that has not the
// right checksum for its place.

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// salvageFile is a file that may be damaged in any way.
type salvageFile struct {
	f        vfs.File
	pageSize int
	pages    page.ID // whole pages in the file
	fileID   uint64
	run      []byte // buffer for runs
}

// setPageSize looks at the length of the file.
func (f *salvageFile) setPageSize(n int) error {
	size, err := f.f.Size()
	f.pageSize, f.pages = n, page.ID(size/int64(n))
	return err
}

// read fills b with what is in the file from page id on.
func (f *salvageFile) read(b []byte, id page.ID) error {
	if n := page.ID(len(b) / f.pageSize); id < page.FirstID || id >= f.pages || n > f.pages-id {
		return page.Corrupt(id, 0, "it lies outside the file")
	}
	n, err := f.f.ReadAt(b, int64(id)*int64(f.pageSize))
	if n == len(b) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return page.Corrupt(id, 0, "it lies outside the file")
	}
	return fmt.Errorf("%w: page %d: %w", page.ErrCorrupt, id, err)
}

// node reads the node that transaction birth wrote to page id.
func (f *salvageFile) node(p page.Page, id page.ID, birth page.TxID) error {
	if err := f.read(p, id); err != nil {
		return err
	}
	return verifyPage(p, id, birth, f.fileID, page.MaxID) // as verify does
}

// verify checks the structure of a node. References may lead behind the end of the
// file, which can have been cut off: whoever follows them is told.
func (f *salvageFile) verify(p page.Page, id page.ID) error { return btree.Verify(p, id, page.MaxID) }

// data returns the data of the overflow run at r, valid until the next call.
func (f *salvageFile) data(r btree.Ref) ([]byte, error) {
	pages := btree.RunPages(r.Bytes, f.pageSize)
	if r.ID < page.FirstID || r.ID >= f.pages || page.ID(pages) > f.pages-r.ID {
		return nil, page.Corrupt(r.ID, page.KindOverflow, "%s not in the file", pagesFrom(uint64(pages)))
	}
	// The first page is looked at before there is memory for all of them.
	f.buffer(f.pageSize)
	if err := f.read(f.run, r.ID); err != nil {
		return nil, err
	}
	if p := page.Page(f.run); !btree.RunHolds(p, r.Bytes) || p.TxID() != r.Birth {
		return nil, page.Corrupt(r.ID, page.KindOverflow, "it is not the run that transaction %d wrote", r.Birth)
	}
	f.buffer(pages * f.pageSize)
	if err := f.read(f.run, r.ID); err != nil {
		return nil, err
	}
	if err := verifyRun(f.run, r, f.fileID, f.pageSize); err != nil {
		return nil, err
	}
	return btree.RunData(f.run, r.Bytes), nil
}

// runBufferMax is the largest buffer for runs that is kept.
const runBufferMax = 16 << 20

// buffer makes f.run n bytes long.
func (f *salvageFile) buffer(n int) {
	if cap(f.run) < n || cap(f.run) > runBufferMax {
		f.run = make([]byte, n)
	}
	f.run = f.run[:n]
}

const scanChunk = 1 << 20

// each calls fn for every page that can be read, in order, until fn returns false.
func (f *salvageFile) each(progress func(done, total uint64), fn func(id page.ID, p page.Page) bool) {
	chunk := page.ID(scanChunk / f.pageSize)
	buf := make([]byte, scanChunk)
	for id := page.FirstID; id < f.pages; id += chunk {
		progress(uint64(id), uint64(f.pages))
		n := min(chunk, f.pages-id)
		b := buf[:int(n)*f.pageSize]
		whole := f.read(b, id) == nil
		for i := range n {
			p := b[int(i)*f.pageSize:][:f.pageSize]
			// Around a place that the device cannot read, what it can.
			if !whole && f.read(p, id+i) != nil {
				continue
			}
			if !fn(id+i, p) {
				return
			}
		}
	}
}

// eachNode calls fn for every node that is whole, but for those in skip.
func (f *salvageFile) eachNode(progress func(done, total uint64), skip bitmap, fn func(id page.ID, p page.Page)) {
	f.each(progress, func(id page.ID, p page.Page) bool {
		if skip.has(id) || p.Kind() != page.KindLeaf && p.Kind() != page.KindBranch {
			return true
		}
		if p.FileID(id) == f.fileID && f.verify(p, id) == nil {
			fn(id, p)
		}
		return true
	})
}

// Identify finds the page size and the id of a database whose meta pages are lost, from
// its other pages, as Salvage does. It reads all of the file if it must. The error is
// ErrInvalid if there is no page of folio in it.
func Identify(path string) (pageSize int, fileID uint64, err error) {
	file, err := vfs.OS().OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, 0, err
	}
	f := salvageFile{f: file}
	_, err = f.identify(func(_, _ uint64) {})
	return f.pageSize, f.fileID, errors.Join(err, file.Close())
}

// identify finds page size and file id when no meta tells: every whole page of a
// file says the same file id, at the right page size only. It returns how many
// pages agree.
func (f *salvageFile) identify(progress func(done, total uint64)) (votes int, err error) {
	var bestSize int
	for size := page.MinSize; size <= page.MaxSize; size *= 2 {
		if err := f.setPageSize(size); err != nil {
			return 0, err
		}
		if id, n := f.vote(progress); n > votes {
			bestSize, f.fileID, votes = size, id, n
		}
		if votes >= votesEnough {
			break
		}
	}
	if votes == 0 {
		return 0, fmt.Errorf("%w: neither a meta page nor any other page of one is whole", ErrInvalid)
	}
	return votes, f.setPageSize(bestSize)
}

const (
	votesEnough = 64
	candidates  = 64
)

// vote returns the file id that most pages name, and how many do. Of ids that few
// pages name only some are remembered at a time: noise displaces noise.
func (f *salvageFile) vote(progress func(done, total uint64)) (id uint64, votes int) {
	counts := make(map[uint64]int, candidates)
	f.each(progress, func(at page.ID, p page.Page) bool {
		if k := p.Kind(); k != page.KindLeaf && k != page.KindBranch || f.verify(p, at) != nil {
			return true
		}
		said := p.FileID(at)
		if counts[said] == 0 && len(counts) == candidates {
			for c := range counts {
				if counts[c]--; counts[c] == 0 {
					delete(counts, c)
				}
			}
			return true
		}
		counts[said]++
		return counts[said] < votesEnough
	})
	for c, n := range counts {
		if n > votes || n == votes && c < id {
			id, votes = c, n
		}
	}
	return id, votes
}
