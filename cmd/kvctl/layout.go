package main

import (
	"fmt"
	"strconv"

	"github.com/foliodb/folio/internal/layout"
	"github.com/spf13/cobra"
)

func (e *env) layoutCmd() *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "layout",
		Short: "Print the tables of the file format",
		Long: `Layout prints where everything is in a file, from the constants of this program.
docs/format.md has the same tables, and says what they mean.`,
		Example: `  kvctl layout
  kvctl layout --format markdown`,
		Args: argCount(0, 0),
		RunE: func(*cobra.Command, []string) error {
			switch format {
			case "markdown":
				for _, t := range layout.Tables() {
					layout.Markdown(e.out, t)
				}
				return nil
			case "text":
				return e.layout()
			}
			return fail(exitError, "there is no format %q: text or markdown", format)
		},
	}
	c.Flags().StringVar(&format, "format", "text", "text or markdown")
	return c
}

func (e *env) layout() error {
	for i, t := range layout.Tables() {
		if i > 0 {
			fmt.Fprintln(e.out)
		}
		fmt.Fprintln(e.out, t.Name)
		for _, f := range t.Fields {
			size := strconv.Itoa(f.Size)
			if f.Size == 0 {
				size = "-"
			}
			fmt.Fprintf(e.out, "  %6d %5s  %-16s %s\n", f.Offset, size, f.Name, f.Meaning)
		}
	}
	return nil
}
