package main

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/spf13/cobra"
)

func (e *env) checkCmd() *cobra.Command {
	var asJSON, asLines bool
	c := &cobra.Command{
		Use:   "check FILE",
		Short: "Read everything, and report all damage",
		Long: `Check reads the whole file and verifies every checksum, the order of all keys, and
that each page is in use exactly once, or free. Meta pages are left out while a program
has the file open for writing. It prints everything that it finds,
with the page, the bucket and the keys that cannot be trusted, and ends with code 3
if there is anything. It changes nothing. Keys a .. b are those from a on and before b;
they are written as the other verbs take them.

What is not reported can be read: kvctl scan prints it. What to do about damage, in
which order, is in docs/salvage.md.`,
		Example: `  kvctl check my.folio
  kvctl check my.folio > found.txt 2>&1; [ $? -ne 3 ] || mail -s damage admin < found.txt
  kvctl check --json my.folio | jq .findings
  kvctl check --jsonl my.folio | jq 'select(.bucket == "/users")'`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON && asLines {
				return errBothJSON
			}
			return e.check(args[0], asJSON, asLines)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&asLines, "jsonl", false, "print a line of JSON for each finding, at once")
	return c
}

var errBothJSON = fail(exitError, "both --json and --jsonl: give one of them")

// findingJSON is something that check has found.
type findingJSON struct {
	Page   *int    `json:"page,omitempty"`
	Kind   string  `json:"kind,omitempty"`
	What   string  `json:"what"`
	Bucket *string `json:"bucket,omitempty"`
	From   *string `json:"from,omitempty"` // the first key affected; not set: all to the left
	To     *string `json:"to,omitempty"`   // the first key behind; not set: all to the right
}

// finding takes apart what folio reports.
func finding(err error) (f findingJSON) {
	var c *folio.CheckError
	if errors.As(err, &c) {
		err = c.Err
		if c.Bucket != nil {
			path := formatPath(c.Bucket)
			f.Bucket = &path
		}
		if c.Lo != nil {
			s := formatKey(c.Lo)
			f.From = &s
		}
		if c.Hi != nil {
			s := formatKey(c.Hi)
			f.To = &s
		}
	}
	f.What = err.Error()
	var p *page.CorruptError
	if errors.As(err, &p) {
		f.What = p.Detail
		if p.ID != 0 || isMeta(p) {
			id := int(p.ID)
			f.Page = &id
		}
		if p.Kind != 0 {
			f.Kind = p.Kind.String()
		}
	}
	return f
}

// isMeta tells whether p is about a meta page: other errors have page 0 if they are about
// no page in particular.
func isMeta(p *page.CorruptError) bool { return strings.HasPrefix(p.Detail, "meta page: ") }

func (f *findingJSON) String() string {
	s := f.What
	if f.Kind != "" {
		s = f.Kind + ": " + s
	}
	if f.Page != nil {
		s = fmt.Sprintf("page %d: %s", *f.Page, s)
	}
	if f.Bucket == nil {
		return s
	}
	return s + "; bucket " + *f.Bucket + ", " + f.keys()
}

// keys says which keys are affected.
func (f *findingJSON) keys() string {
	if f.From == nil && f.To == nil {
		return "all keys"
	}
	from, to := "", ""
	if f.From != nil {
		from = cut(*f.From, 60) + " "
	}
	if f.To != nil {
		to = " " + cut(*f.To, 60)
	}
	return "keys " + from + ".." + to
}

func (e *env) check(file string, asJSON, asLines bool) error {
	found := []findingJSON{}
	start := time.Now()
	var pages, inTree int64
	var printErr error
	err := e.view(file, func(tx *folio.Tx) error {
		pages = tx.Size() / int64(tx.DB().Info().PageSize)
		bar := e.bar("checking", pages, false)
		var mu sync.Mutex // the check runs on, and draws, while a finding is printed
		progress := folio.WithProgress(func(done, _ uint64) {
			mu.Lock()
			defer mu.Unlock()
			_ = bar.Set64(int64(done)) // only looks
		})
		report := func(err error) {
			f := finding(err)
			found = append(found, f)
			if !asJSON {
				mu.Lock()
				_ = bar.Clear()
				printErr = errors.Join(printErr, e.printFinding(f, asLines))
				mu.Unlock()
			}
		}
		for err := range tx.Check(progress) {
			report(err)
		}
		inTree = int64(len(found))
		for _, err := range damagedMetas(file, tx.DB()) {
			report(err)
		}
		return bar.Finish()
	})
	if err = errors.Join(err, printErr); err != nil {
		return lostMetas(file, err)
	}
	if asJSON {
		err = writeJSON(e.out, map[string]any{"file": file, "pages": pages, "findings": found})
	} else if len(found) == 0 && !asLines {
		_, err = fmt.Fprintf(e.out, "%s: no damage in %s (%.1f s)\n", file, plural(pages, "page"), time.Since(start).Seconds())
	}
	switch {
	case err != nil:
	case len(found) > 0 && inTree == 0:
		err = fail(exitDamaged, "%s: a meta page is damaged, or a power cut fell into its commit: all else is whole, and the next commits write it again", file)
	case len(found) > 0:
		err = fail(exitDamaged, "%s: %s: restore a backup, or save what can be read with kvctl salvage", file, plural(len(found), "finding"))
	}
	return err
}
