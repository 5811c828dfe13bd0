package main

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
	"github.com/spf13/cobra"
)

func (e *env) infoCmd() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "info FILE",
		Short: "Say what a file is, and in which state",
		Long: `Info describes a file: its format, the newest commit, its size, and both meta
pages. A meta page holds a commit; commits are written to the two in turn, so that
there is always one to fall back to. It ends with code 3 if one of them is damaged: if
that was the one of the newest commit, the file is as it was before, and kvctl salvage
may still find the commit.`,
		Example: `  kvctl info my.folio
  kvctl info --json my.folio`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return e.info(args[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// infoJSON is what info prints with --json.
type infoJSON struct {
	File      string   `json:"file"`
	Version   int      `json:"version"`
	PageSize  int      `json:"page_size"`
	FileID    string   `json:"file_id"`
	TxID      int      `json:"txid"`
	MetaPage  int      `json:"meta_page"`
	Clean     bool     `json:"clean"`
	Writers   []int    `json:"writers,omitempty"` // processes
	Recovered string   `json:"recovered,omitempty"`
	FileSize  int64    `json:"file_size"`
	HighWater int64    `json:"high_water"`
	FreePages int      `json:"free_pages"`
	Buckets   uint64   `json:"buckets"`
	Metas     []string `json:"metas"`
	Damaged   []int    `json:"damaged_metas,omitempty"`
}

func (e *env) info(path string, asJSON bool) error {
	err := e.view(path, func(tx *folio.Tx) error {
		in, st := tx.DB().Info(), tx.DB().Stats()
		metas, err := readMetas(path, in.PageSize)
		if err != nil {
			return err
		}
		j := infoJSON{
			File: path, Version: in.Version, PageSize: in.PageSize, FileID: fmt.Sprintf("%#016x", in.FileID),
			TxID: in.TxID, MetaPage: in.MetaSlot, Clean: newest(metas).Clean, Recovered: in.Recovered,
			FileSize: st.FileSize, HighWater: st.Size / int64(in.PageSize), FreePages: st.FreePageN, Buckets: in.Keys,
		}
		for i, m := range metas {
			j.Metas = append(j.Metas, describeMeta(m))
			if m.Err != nil {
				j.Damaged = append(j.Damaged, i)
			}
		}
		ps := writers(others(tx.DB()))
		for _, p := range ps {
			j.Writers = append(j.Writers, p.PID)
		}
		if asJSON {
			err = writeJSON(e.out, &j)
		} else {
			err = e.printInfo(&j, ps)
		}
		if err == nil && len(j.Damaged) > 0 {
			err = fail(exitDamaged, "%s: meta page %d is damaged, or a power cut fell into its commit: kvctl check tells whether the rest is whole", path, j.Damaged[0])
		}
		return err
	})
	if err == nil || asJSON || !errors.Is(err, folio.ErrCorrupt) {
		return err
	}
	// The file cannot be opened; say at least what its meta pages are.
	if metas, metaErr := readMetas(path, 0); metaErr == nil {
		for i, m := range metas {
			fmt.Fprintf(e.out, "meta page %d   %s\n", i, describeMeta(m))
		}
	}
	return err
}

// damagedMetas returns what is wrong with the meta pages of file, unless somebody may be
// writing them.
func damagedMetas(file string, db *folio.DB) (errs []error) {
	if len(writers(others(db))) > 0 {
		return nil
	}
	metas, err := readMetas(file, db.Info().PageSize)
	if err != nil {
		return []error{err}
	}
	for _, m := range metas {
		if m.Err != nil {
			errs = append(errs, m.Err)
		}
	}
	return errs
}

// newest returns the meta of the newest transaction; with readers there, that can be
// newer than what they see, by the note that the file was closed.
func newest(metas [page.NumMetas]meta.Slot) (m meta.Meta) {
	for _, s := range metas {
		if s.Err == nil && s.Meta.TxID >= m.TxID {
			m = s.Meta
		}
	}
	return m
}

func (e *env) printInfo(j *infoJSON, writing []folio.Process) error {
	state := "closed properly"
	switch {
	case len(writing) > 0:
		state = "in use: " + haveOpen(writing)
	case !j.Clean:
		state = "not closed properly: the newest commit has been checked"
	}
	switch {
	case len(j.Damaged) > 0:
		state = fmt.Sprintf("meta page %d is damaged: what meta page %d holds is the newest that can be read", j.Damaged[0], j.MetaPage)
	case j.Recovered != "":
		state = "fell back to an older commit: " + j.Recovered
	}
	ps := int64(j.PageSize)
	return fields(e.out,
		"file", j.File,
		"format version", fmt.Sprint(j.Version),
		"page size", number(ps)+" bytes",
		"file id", j.FileID,
		"newest commit", fmt.Sprintf("transaction %s, in meta page %d", number(j.TxID), j.MetaPage),
		"state", state,
		"size on disk", size(j.FileSize),
		"high-water mark", fmt.Sprintf("page %s, %s", number(j.HighWater), size(j.HighWater*ps)),
		"free", fmt.Sprintf("%s, %s", plural(j.FreePages, "page"), size(int64(j.FreePages)*ps)),
		"top-level buckets", number(j.Buckets),
		"meta page 0", j.Metas[0],
		"meta page 1", j.Metas[1],
	)
}

func describeMeta(s meta.Slot) string {
	if s.Err != nil {
		return s.Err.Error()
	}
	text := "transaction " + number(uint64(s.Meta.TxID))
	switch {
	case s.Meta.Clean:
		text += ", written at close"
	case s.Meta.Synced:
		text += ", two flushes"
	default:
		text += ", one flush, of " + recordText(&s.Meta)
	}
	return text
}

// readMetas reads the meta pages straight from the file. A page size of 0 is
// looked for.
func readMetas(path string, pageSize int) (slots [page.NumMetas]meta.Slot, err error) {
	f, err := os.Open(path)
	if err != nil {
		return slots, err
	}
	defer f.Close()
	b := make([]byte, meta.Size)
	read := func(slot, size int) meta.Slot {
		n, _ := f.ReadAt(b, int64(slot)*int64(size)) // a short one is no meta
		var s meta.Slot
		s.Meta, s.Err = meta.Decode(b[:n], slot)
		return s
	}
	// What somebody is just writing can look damaged.
	for range metaTries {
		slots[0], slots[1] = readBoth(read, pageSize)
		if slots[0].Err == nil && slots[1].Err == nil {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return slots, nil
}

// metaTries is how often metas are read that look damaged.
const metaTries = 5

// readBoth calls read for both metas, with the page size, or the one that is found.
func readBoth(read func(slot, size int) meta.Slot, pageSize int) (first, second meta.Slot) {
	sizes := []int{pageSize}
	if pageSize == 0 {
		sizes = nil
		for s := page.MinSize; s <= page.MaxSize; s *= 2 {
			sizes = append(sizes, s)
		}
	}
	for _, s := range sizes {
		first, second = read(0, s), read(1, s)
		for _, m := range []meta.Slot{first, second} {
			if m.Err == nil && int(m.Meta.PageSize) == s {
				return first, second
			}
		}
	}
	return read(0, sizes[0]), read(1, sizes[0])
}
