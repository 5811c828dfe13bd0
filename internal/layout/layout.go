// Package layout gathers the tables of the file format from the packages that
// define it, for kvctl and for the test that keeps docs/format.md true.
package layout

import (
	"fmt"
	"io"
	"strconv"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// Tables returns all tables of the format.
func Tables() []page.Table {
	tables := []page.Table{{Name: "Meta page", Fields: meta.Layout()}, page.Layout()}
	tables = append(tables, btree.Tables()...)
	return append(tables, freelist.Layout())
}

// Markdown writes t as a table of docs/format.md.
func Markdown(w io.Writer, t page.Table) {
	fmt.Fprintf(w, "### %s\n\n| offset | bytes | field | meaning |\n|---:|---:|---|---|\n", t.Name)
	for _, f := range t.Fields {
		off, size := strconv.Itoa(f.Offset), strconv.Itoa(f.Size)
		if f.Size == 0 {
			size = "-"
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", off, size, f.Name, f.Meaning)
	}
	fmt.Fprintln(w)
}
