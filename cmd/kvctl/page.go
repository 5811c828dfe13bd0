package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
	"github.com/spf13/cobra"
)

func (e *env) pageCmd() *cobra.Command {
	var isHex bool
	c := &cobra.Command{
		Use:   "page FILE N",
		Short: "Decode a page",
		Long: `Page prints the fields of a page and what is in it: the cells of a branch or leaf,
the extents of a freelist page, the commit in a meta page. A page that is free, or
inside of a run, shows what is left there; while somebody writes, that and the meta
pages change all the time.

A page of a file that is too damaged to be opened is printed as well, as far as it makes
sense; if both meta pages are lost, the size of pages is found out from the others. The
exit code is 3 then, and if the page itself is damaged.`,
		Example: `  kvctl page my.folio 0
  kvctl page my.folio 1234
  kvctl page my.folio 1234 --hex`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[1], 10, 46)
			if err != nil {
				return fail(exitError, "%q is no page number", args[1])
			}
			return e.page(args[0], page.ID(id), isHex)
		},
	}
	c.Flags().BoolVar(&isHex, "hex", false, "print the bytes as well")
	return c
}

// page prints page id, which stays as it is while there is a transaction, unless it is
// free. A file that is too damaged to be opened as a database can be looked at as well.
func (e *env) page(path string, id page.ID, isHex bool) error {
	var surveyed bool
	err := e.view(path, func(tx *folio.Tx) error {
		units, _, err := survey(tx)
		if err != nil {
			return err
		}
		surveyed = true
		owner := ""
		for _, u := range units {
			if id >= page.ID(u.id) && id < page.ID(u.id+u.pages) {
				owner = describeUnit(&u, id)
			}
		}
		m, err := metaOf(path)
		if err != nil {
			return err
		}
		return e.printPage(path, &m, id, owner, isHex)
	})
	if surveyed || !errors.Is(err, folio.ErrCorrupt) && !errors.Is(err, folio.ErrInvalid) {
		return err
	}
	m, metaErr := metaOf(path)
	if metaErr != nil {
		return err
	}
	if errors.Is(err, folio.ErrInvalid) { // it is one, as its pages say
		err = errLostMetas(path)
	}
	return errors.Join(err, e.printPage(path, &m, id, "", isHex))
}

// metaOf returns the newest meta of a file. If none can be read, it has what the other
// pages tell.
func metaOf(path string) (meta.Meta, error) {
	metas, err := readMetas(path, 0)
	if m := newest(metas); m.PageSize > 0 || err != nil {
		return m, err
	}
	size, fileID, err := folio.Identify(path)
	return meta.Meta{PageSize: uint32(size), FileID: fileID, HighWater: page.MaxID}, err
}

// printPage prints page id.
func (e *env) printPage(path string, m *meta.Meta, id page.ID, owner string, isHex bool) (err error) {
	in := inspection{out: e.out, id: id, owner: owner, meta: *m}
	if in.bytes, err = readPage(path, id, int(in.meta.PageSize)); err != nil {
		return err
	}
	err = in.print()
	if isHex {
		fmt.Fprintln(e.out)
		d := hex.Dumper(e.out)
		d.Write(in.bytes[:in.meta.PageSize])
		d.Close()
	}
	return err
}

func describeUnit(u *unit, id page.ID) string {
	s := u.kind
	if u.pages > 1 && u.kind != "meta" {
		s = fmt.Sprintf("%s, of pages %d to %d", u.kind, u.id, u.id+u.pages-1)
	}
	if u.bucket != "" {
		s += ", bucket " + u.bucket
	}
	return s
}

// readPage reads page id, or the run that begins there, straight from the file.
func readPage(path string, id page.ID, size int) (page.Page, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	pages := info.Size() / int64(size)
	if int64(id) >= pages {
		return nil, fail(exitNotFound, "there is no page %d: the file has %s", id, plural(pages, "page"))
	}
	b := make(page.Page, size)
	if _, err := f.ReadAt(b, int64(id)*int64(size)); err != nil {
		return nil, err
	}
	n := int64(b.RunLen())
	if k := b.Kind(); id < page.FirstID || k != page.KindOverflow && k != page.KindFreelist || n < 2 || n > pages-int64(id) {
		return b, nil
	}
	run := make(page.Page, n*int64(size))
	if _, err := f.ReadAt(run, int64(id)*int64(size)); err != nil && err != io.EOF {
		return nil, err
	}
	return run, nil
}

// inspection is the printing of one page.
type inspection struct {
	out   io.Writer
	id    page.ID
	bytes page.Page // the page, or its run
	meta  meta.Meta // the newest
	owner string
}

func (in *inspection) print() error {
	fmt.Fprintf(in.out, "page %d: ", in.id)
	if in.owner == "" {
		in.owner = "not known what it is used for"
	}
	fmt.Fprintf(in.out, "%s\n\n", in.owner)
	if in.id < page.FirstID {
		return in.printMeta()
	}
	p := in.bytes
	err := in.verify()
	state := "right"
	if err != nil {
		f := finding(err)
		state = f.What
	}
	sizeOfPage := int(in.meta.PageSize)
	pairs := []string{
		"checksum", fmt.Sprintf("%#016x, %s", p.Checksum(), state),
		"txid", number(uint64(p.TxID())),
		"kind", fmt.Sprintf("%d, %s", p.Kind(), p.Kind()),
		"level", fmt.Sprint(p.Level()),
		"count", fmt.Sprint(p.Count()),
		"prefix length", fmt.Sprint(p.PrefixLen()),
		"cell bytes", fmt.Sprint(p.CellBytes()),
		"run length", fmt.Sprint(p.RunLen()),
		"hint", fmt.Sprintf("%#x", p.Hint()),
	}
	isNode := p.Kind() == page.KindBranch || p.Kind() == page.KindLeaf
	if err == nil && isNode {
		used := btree.Used(p)
		pairs = append(pairs, "used", fmt.Sprintf("%s of %s bytes, %s", number(used), number(sizeOfPage), percent(used, sizeOfPage)))
	}
	if err := fields(in.out, pairs...); err != nil {
		return err
	}
	if err != nil {
		if p.Kind().String() == "unknown" {
			return nil // never written, or inside of a run
		}
		return fail(exitDamaged, "page %d: %s", in.id, state)
	}
	fmt.Fprintln(in.out)
	switch p.Kind() {
	case page.KindBranch:
		return in.printBranch()
	case page.KindLeaf:
		return in.printLeaf()
	case page.KindFreelist:
		return in.printFreelist()
	}
	return nil
}

// verify checks the page as a reader would.
func (in *inspection) verify() error {
	p := in.bytes
	switch p.Kind() {
	case page.KindBranch, page.KindLeaf:
		if p.ComputeChecksum(in.id, in.meta.FileID) != p.Checksum() {
			return page.Corrupt(in.id, p.Kind(), "wrong checksum")
		}
		return btree.Verify(p, in.id, in.meta.HighWater)
	case page.KindOverflow:
		return btree.VerifyRun(p, in.id, in.meta.FileID, int(in.meta.PageSize))
	case page.KindFreelist:
		_, err := freelist.DecodePage(p, freelist.Link{ID: in.id, Birth: p.TxID(), Pages: p.RunLen()}, in.meta.FileID)
		return err
	}
	return page.Corrupt(in.id, 0, "no page of a known kind")
}

func (in *inspection) printMeta() error {
	m, err := meta.Decode(in.bytes, int(in.id))
	if err != nil {
		return err
	}
	root := "none, the file is empty"
	if m.Root.ID != 0 {
		root = fmt.Sprintf("page %d, written by transaction %s, %s", m.Root.ID, number(uint64(m.Root.Birth)), plural(m.Root.Count, "key"))
	}
	head := "none"
	if m.Freelist.Head != 0 {
		head = fmt.Sprintf("page %d, written by transaction %s", m.Freelist.Head, number(uint64(m.Freelist.HeadBirth)))
	}
	err = fields(in.out,
		"txid", number(uint64(m.TxID)),
		"page size", number(uint64(m.PageSize)),
		"file id", fmt.Sprintf("%#016x", m.FileID),
		"synced", fmt.Sprint(m.Synced),
		"clean", fmt.Sprint(m.Clean),
		"root", root,
		"sequence", number(m.Root.Sequence),
		"high-water mark", number(uint64(m.HighWater)),
		"freelist head", head,
		"free pages", number(m.Freelist.FreePages),
		"freelist tail", plural(len(m.Freelist.Tail), "byte"),
		"commit record", recordText(&m),
	)
	if err != nil {
		return err
	}
	if len(m.Freelist.Tail) > 0 {
		fmt.Fprintln(in.out, "\nfreelist tail")
		if err := in.printDeltas(m.Freelist.Tail); err != nil {
			return err
		}
	}
	if len(m.Record) > 0 {
		fmt.Fprintln(in.out, "\ncommit record")
		for _, u := range m.Record {
			fmt.Fprintf(in.out, "  page %-10d checksum %#016x\n", u.ID, u.Sum)
		}
	}
	return nil
}

func (in *inspection) printBranch() error {
	t := table{from: 0, to: 4}
	t.row("cell", "child", "keys below", "child's txid", "  keys from")
	for i := range in.bytes.Count() {
		c := btree.BranchChild(in.bytes, i)
		from := "(the first)"
		if i > 0 {
			from = keyText(c.Sep, c.SepRun)
		}
		t.row(fmt.Sprint(i), fmt.Sprint(c.ID), number(c.Count), number(uint64(c.Birth)), "  "+from)
	}
	return t.write(in.out)
}

// keyText writes a key, of which a node holds stub, and run the whole if there is one.
func keyText(stub []byte, run btree.Ref) string {
	s := cut(formatKey(stub), 60)
	if run.Bytes > 0 {
		s += fmt.Sprintf(" (%s, in page %d)", plural(run.Bytes, "byte"), run.ID)
	}
	return s
}

func (in *inspection) printLeaf() error {
	t := table{from: 0, to: 3}
	t.row("cell", "key bytes", "value bytes", "  key", "  value")
	for i := range in.bytes.Count() {
		c := btree.LeafCell(in.bytes, i)
		// A run has the whole of what is in the cell.
		keyLen, valueLen := max(len(c.Key), c.KeyRun.Bytes), max(len(c.Value), c.ValueRun.Bytes)
		t.row(fmt.Sprint(i), number(keyLen), number(valueLen), "  "+keyText(c.Key, c.KeyRun), "  "+valueText(&c))
	}
	return t.write(in.out)
}

// valueText writes the value of a cell, or what it is if not one to be read here.
func valueText(c *btree.Cell) string {
	switch {
	case c.Flags&btree.FlagBucket != 0:
		h := btree.DecodeHeader(c.Value)
		where := "here"
		if h.Root != 0 {
			where = fmt.Sprintf("page %d", h.Root)
		}
		return fmt.Sprintf("(bucket of %s, in %s)", plural(h.Count, "key"), where)
	case c.ValueRun.Bytes > 0:
		return fmt.Sprintf("(in page %d)", c.ValueRun.ID)
	}
	return cut(formatValue(c.Value), 60)
}

func (in *inspection) printFreelist() error {
	p, err := freelist.DecodePage(in.bytes, freelist.Link{ID: in.id, Birth: in.bytes.TxID(), Pages: in.bytes.RunLen()}, in.meta.FileID)
	if err != nil {
		return err
	}
	next := "none"
	if p.Next.ID != 0 {
		next = fmt.Sprintf("page %d, written by transaction %s", p.Next.ID, number(uint64(p.Next.Birth)))
	}
	fmt.Fprintf(in.out, "older: %s; payload: %s\n\n", next, plural(len(p.Payload), "byte"))
	if !p.Checkpoint {
		return in.printDeltas(p.Payload)
	}
	list, err := freelist.Load(p.Payload, nil, page.MaxID)
	if err != nil {
		return err
	}
	fmt.Fprintln(in.out, "all that was free:")
	for e := range list.All() {
		fmt.Fprintf(in.out, "  %s\n", extent(e))
	}
	return nil
}

func (in *inspection) printDeltas(b []byte) error {
	return freelist.DecodeDeltas(b, page.MaxID, func(d freelist.Delta) error {
		_, err := fmt.Fprintf(in.out, "  transaction %s took %s, freed %s\n", number(uint64(d.TxID)), extents(d.Taken), extents(d.Freed))
		return err
	})
}

func extents(es []freelist.Extent) string {
	if len(es) == 0 {
		return "nothing"
	}
	s := ""
	for i, e := range es {
		if i > 0 {
			s += " "
		}
		s += extent(e)
	}
	return s
}

func extent(e freelist.Extent) string {
	if e.Len == 1 {
		return fmt.Sprint(e.Start)
	}
	return fmt.Sprintf("%d-%d", e.Start, e.End()-1)
}

// recordText says what is in the commit record.
func recordText(m *meta.Meta) string {
	if m.Synced {
		return "none: the pages were flushed before the meta page"
	}
	if len(m.Record) == 1 {
		return "1 page or run"
	}
	return number(len(m.Record)) + " pages and runs"
}
