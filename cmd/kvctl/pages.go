package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

// pagesFlags are the flags of pages.
type pagesFlags struct {
	kinds         []string
	drawn         bool
	width         int
	first, behind int
}

func (e *env) pagesCmd() *cobra.Command {
	var f pagesFlags
	c := &cobra.Command{
		Use:   "pages FILE",
		Short: "List the pages, or draw a map of them",
		Long: `Pages lists what the pages of a file are used for, in their order: their kind, the
transaction that wrote them, and the bucket that they belong to. With --map it draws
them, a character a page:

` + legend() + `
A row that is the same as the one before is left out, with a * in its place. It ends
with code 3 if it meets damage, listed or not. Of long values it reads the beginning
only; kvctl check reads all.`,
		Example: `  kvctl pages my.folio
  kvctl pages my.folio --kind branch
  kvctl pages my.folio --map
  kvctl pages my.folio --first 1000 --behind 2000`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return e.pages(args[0], &f) },
	}
	c.Flags().StringSliceVar(&f.kinds, "kind", nil, "list only these kinds: meta, branch, leaf, overflow, freelist, free, damaged, lost")
	c.Flags().BoolVar(&f.drawn, "map", false, "draw a map")
	c.Flags().IntVar(&f.width, "width", 64, "pages in a row of the map")
	c.Flags().IntVar(&f.first, "first", 0, "the first page to show")
	c.Flags().IntVar(&f.behind, "behind", math.MaxInt, "the first page not to show any more, behind those that are shown")
	c.Flags().Lookup("behind").DefValue = "0" // does not print the real one, which says nothing
	return c
}

// pageKind is a kind of pages, and how the map shows it.
type pageKind struct {
	char byte
	name string
	what string
}

// pageKinds are the kinds of pages in the order of the legend.
var pageKinds = []pageKind{
	{'M', "meta", "meta page"},
	{'B', "branch", "branch of a tree"},
	{'L', "leaf", "leaf of a tree"},
	{'O', "overflow", "long values and keys"},
	{'F', "freelist", "list of the free pages"},
	{'.', "free", "free, or freed and still needed"},
	{'!', "damaged", "damaged"},
	{'?', "lost", "not referred to by anything, or only by what is damaged"},
}

func legend() string {
	var s strings.Builder
	for _, k := range pageKinds {
		fmt.Fprintf(&s, "  %c  %s\n", k.char, k.what)
	}
	return s.String()
}

// unit is a page, or a run of pages, of one use.
type unit struct {
	id, pages int
	kind      string
	bucket    string
	err       error
}

func (e *env) pages(file string, f *pagesFlags) error {
	for _, kind := range f.kinds {
		if !slices.ContainsFunc(pageKinds, func(k pageKind) bool { return k.name == kind }) {
			return fail(exitError, "there is no kind %q: see kvctl pages --help", kind)
		}
	}
	if f.width < 1 {
		return fail(exitError, "--width %d: it must be 1 or more", f.width)
	}
	if f.drawn && len(f.kinds) > 0 {
		return fail(exitError, "--map and --kind: the map shows all kinds; leave out one of them")
	}
	if err := notNegative(map[string]int{"first": f.first, "behind": f.behind}); err != nil {
		return err
	}
	if f.behind <= f.first {
		return fail(exitError, "--behind %d: it must be more than --first %d", f.behind, f.first)
	}
	return e.view(file, func(tx *folio.Tx) error {
		units, found, err := survey(tx)
		if err != nil {
			return err
		}
		if f.drawn {
			err = e.pageMap(units, f)
		} else {
			err = e.pageList(tx, units, f)
		}
		if err == nil && found > 0 {
			err = fail(exitDamaged, "%s: %s: kvctl check tells what is affected", file, plural(found, "damage"))
		}
		return err
	})
}

// survey returns what all pages are used for, in their order, and how many damages
// there are.
func survey(tx *folio.Tx) ([]unit, int, error) {
	var units []unit
	found := 0
	damaged := make(map[int]error)
	err := tx.PageMap(func(u folio.PageUse) error {
		if u.Err != nil {
			damaged[u.ID] = u.Err
			found++
			return nil
		}
		in := unit{id: u.ID, pages: u.Pages, kind: u.Type}
		if u.Bucket != nil {
			in.bucket = formatPath(u.Bucket)
		}
		units = append(units, in)
		return nil
	})
	if err != nil {
		return nil, 0, err
	}
	slices.SortFunc(units, func(a, b unit) int { return a.id - b.id })
	all := make([]unit, 0, len(units))
	next := 0
	gap := func(end int) {
		if end > next {
			all = append(all, unit{id: next, pages: end - next, kind: "lost"})
		}
	}
	for _, u := range units {
		gap(u.id)
		next = u.id + u.pages
		if err := damaged[u.id]; err != nil && u.id != 0 {
			u.kind, u.err = "damaged", err
		}
		if u.kind == "node" {
			info, err := tx.Page(u.id)
			if err != nil {
				return nil, 0, err
			}
			u.kind = info.Type
		}
		all = append(all, u)
	}
	gap(int(tx.Size() / int64(tx.DB().Info().PageSize)))
	return all, found, nil
}

func (e *env) pageList(tx *folio.Tx, units []unit, f *pagesFlags) error {
	ps := tx.DB().Info().PageSize
	row := func(cells ...string) error {
		_, err := fmt.Fprintf(e.out, "%10s  %-8s %8s %6s %6s %8s %12s  %s\n", cells[0], cells[1], cells[2], cells[3],
			cells[4], cells[5], cells[6], cells[7])
		return err
	}
	if err := row("page", "kind", "pages", "level", "cells", "fill", "txid", "bucket"); err != nil {
		return err
	}
	for _, u := range units {
		if u.id+u.pages <= f.first || u.id >= f.behind || len(f.kinds) > 0 && !slices.Contains(f.kinds, u.kind) {
			continue
		}
		cells := []string{fmt.Sprint(u.id), u.kind, fmt.Sprint(u.pages), "", "", "", "", u.bucket}
		switch u.kind {
		case "branch", "leaf", "overflow", "freelist":
			info, err := tx.Page(u.id)
			if err != nil {
				return err
			}
			cells[6] = fmt.Sprint(info.TxID)
			if u.kind == "branch" || u.kind == "leaf" {
				cells[3], cells[4] = fmt.Sprint(info.Level), fmt.Sprint(info.Count)
				cells[5] = percent(info.Used, ps)
			}
		case "damaged":
			f := finding(u.err)
			cells[7] += "  " + f.What
		}
		if err := row(cells...); err != nil {
			return err
		}
	}
	return nil
}

func (e *env) pageMap(units []unit, f *pagesFlags) error {
	chars := make(map[string]byte)
	for _, k := range pageKinds {
		chars[k.name] = k.char
	}
	var last string
	skipped := false
	line := make([]byte, 0, f.width)
	at := -1 // page of the beginning of the line
	flush := func() error {
		text := string(line)
		line = line[:0]
		if text == last && len(text) == f.width {
			if !skipped {
				fmt.Fprintf(e.out, "%10s\n", "*")
			}
			skipped = true
			return nil
		}
		last, skipped = text, false
		_, err := fmt.Fprintf(e.out, "%10d  %s\n", at, text)
		return err
	}
	for _, u := range units {
		for id := max(u.id, f.first); id < min(u.id+u.pages, f.behind); id++ {
			if len(line) == 0 {
				at = id
			}
			if line = append(line, chars[u.kind]); len(line) == f.width {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if len(line) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	_, err := fmt.Fprint(e.out, "\n"+legend())
	return err
}
