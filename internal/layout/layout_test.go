package layout

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the tables into docs/format.md")

const (
	docPath = "../../docs/format.md"
	begin   = "<!-- tables: generated from the constants by go test ./internal/layout -update -->\n"
	end     = "<!-- end of tables -->\n"
)

// TestFormatDoc keeps the tables of docs/format.md equal to the constants.
func TestFormatDoc(t *testing.T) {
	var want bytes.Buffer
	want.WriteString("\n")
	for _, table := range Tables() {
		Markdown(&want, table)
	}
	b, err := os.ReadFile(docPath)
	require.NoError(t, err)
	doc := string(b)
	from, to := strings.Index(doc, begin)+len(begin), strings.Index(doc, end)
	require.True(t, from >= len(begin) && to >= from, "docs/format.md has lost its markers")
	if *update {
		require.NoError(t, os.WriteFile(docPath, []byte(doc[:from]+want.String()+doc[to:]), 0o644))
		return
	}
	require.Equal(t, want.String(), doc[from:to], "run: go test ./internal/layout -update")
}

// TestTablesDoNotOverlap finds a field moved without its neighbours.
func TestTablesDoNotOverlap(t *testing.T) {
	for _, table := range Tables() {
		at := 0
		for _, f := range table.Fields {
			if f.Size == 0 || f.Offset == 0 {
				at = 0
			}
			require.GreaterOrEqual(t, f.Offset, at, "%s: %s", table.Name, f.Name)
			at = f.Offset + f.Size
		}
	}
}
