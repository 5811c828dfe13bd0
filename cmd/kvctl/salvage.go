package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/foliodb/folio"
	"github.com/schollz/progressbar/v3"
	"github.com/spf13/cobra"
)

func (e *env) salvageCmd() *cobra.Command {
	var asLines bool
	var o folio.SalvageOptions
	c := &cobra.Command{
		Use:   "salvage IN OUT",
		Short: "Rebuild what can be read of a damaged file into a new one",
		Long: `Salvage reads the damaged file IN and writes what it can read into the new file OUT,
which must not exist, and which is checked before it gets its name. OUT gets the
permissions of IN, which is not changed, and must not be open for writing meanwhile.
Salvage needs neither meta pages, nor roots, nor branches: pages that nothing refers to
are found by looking at all of them.

It prints what is damaged, and what that costs: keys of damaged leaves, and long
values in damaged runs. It ends with code 3 if the new file is not complete. Where
an older version of a damaged leaf is left in the file, its keys are taken, and marked
"may be out of date". Trees whose bucket is not known come into the bucket lost+found.

If there is a backup, restore it first: docs/salvage.md says what to do in which
order.`,
		Example: `  kvctl salvage damaged.folio new.folio
  kvctl salvage damaged.folio new.folio --current-only
  kvctl salvage damaged.folio new.folio --jsonl | jq 'select(.keys > .found)'`,
		Args: argCount(2, 2),
		RunE: func(_ *cobra.Command, args []string) error { return e.salvage(args[0], args[1], &o, asLines) },
	}
	c.Flags().BoolVar(&asLines, "jsonl", false, "print JSON: a line for each loss, and one for each tree without a name, and the summary")
	c.Flags().BoolVar(&o.CurrentOnly, "current-only", false, "take no older versions of what is damaged")
	return c
}

// lossJSON is something that salvage could not read.
type lossJSON struct {
	findingJSON
	Keys      uint64 `json:"keys"`  // that were there
	Found     uint64 `json:"found"` // of them, by scanning
	OutOfDate bool   `json:"out_of_date,omitempty"`
	Buckets   bool   `json:"buckets,omitempty"`
}

// orphanJSON is a tree whose bucket is not known.
type orphanJSON struct {
	Orphan    string `json:"orphan"`
	Page      int    `json:"page"`
	TxID      int    `json:"txid"`
	Keys      uint64 `json:"keys"`
	OutOfDate bool   `json:"out_of_date,omitempty"`
}

func (e *env) salvage(in, out string, o *folio.SalvageOptions, asLines bool) error {
	info, err := existing(in)
	if err != nil {
		return err
	}
	if _, err := os.Lstat(out); err == nil {
		return fail(exitError, "%s exists: give the new file another name", out)
	}
	if _, err := os.Stat(filepath.Dir(out)); err != nil {
		return err
	}
	o.Timeout, o.Progress = e.timeout, e.phases()
	ctx, stop := interruptible()
	defer stop()
	r, err := folio.SalvageContext(ctx, in, out, info.Mode().Perm(), o)
	if err != nil && ctx.Err() != nil {
		return notMade(ctx, out)
	}
	if err != nil {
		return cannotSalvage(in, cannotMake(out, err))
	}
	if asLines {
		err = e.salvageJSON(r)
	} else {
		e.salvageText(out, r)
	}
	if err == nil && !complete(r) {
		err = fail(exitDamaged, "%s: not everything is there, or where it was, or up to date: see the list", out)
	}
	return err
}

// cannotSalvage says why a file could not be salvaged. No advice of other verbs fits:
// they end here.
func cannotSalvage(in string, err error) error {
	if errors.Is(err, folio.ErrTimeout) {
		return mustClose(in, err)
	}
	if errors.Is(err, folio.ErrInvalid) {
		return fail(exitError, "%w: there is nothing in it that could be saved: is this the right file? If it is one of bbolt, take it over with kvctl import; else restore a backup", err)
	}
	return err
}

// complete tells whether everything was saved, as far as anybody can know.
func complete(r *folio.SalvageReport) bool {
	return len(r.Orphans) == 0 && !slices.ContainsFunc(r.Losses, func(l folio.SalvageLoss) bool {
		return l.Found < l.Keys || l.OutOfDate
	})
}

// phases returns a function that shows what is being done, with a bar for each phase.
func (e *env) phases() func(what string, done, total uint64) {
	var bar *progressbar.ProgressBar
	var phase string
	return func(what string, done, total uint64) {
		if what != phase {
			if bar != nil {
				_ = bar.Finish() // only looks
			}
			bar, phase = e.bar(what, int64(total), false), what
		}
		_ = bar.Set64(int64(done)) // only looks
	}
}

// loss turns a loss into what is printed.
func loss(l *folio.SalvageLoss) lossJSON {
	f := finding(&folio.CheckError{Bucket: l.Bucket, Lo: l.Lo, Hi: l.Hi, Err: l.Err})
	return lossJSON{findingJSON: f, Keys: l.Keys, Found: l.Found, OutOfDate: l.OutOfDate, Buckets: l.Buckets}
}

func (l *lossJSON) String() string {
	s := l.findingJSON.String()
	switch {
	case l.Bucket == nil:
		return s
	case l.Found == 0:
		s += fmt.Sprintf(": %s lost", plural(l.Keys, "key"))
	case l.Found >= l.Keys:
		s += fmt.Sprintf(": %s found by scanning", plural(l.Found, "key"))
	default:
		s += fmt.Sprintf(": %s found by scanning, of %s", plural(l.Found, "key"), number(l.Keys))
	}
	if l.OutOfDate {
		s += ", may be out of date"
	}
	return s
}

func (e *env) salvageText(out string, r *folio.SalvageReport) {
	if r.State != "" {
		fmt.Fprintf(e.out, "%s\n", r.State)
	}
	for i := range r.Losses {
		l := loss(&r.Losses[i])
		fmt.Fprintln(e.out, l.String())
	}
	for _, o := range r.Orphans {
		fmt.Fprintf(e.out, "page %d: the root of a tree whose bucket is not known: %s, now in %s", o.Page, plural(o.Keys, "key"), formatPath(o.Bucket))
		if o.OutOfDate {
			fmt.Fprint(e.out, ", may be out of date")
		}
		fmt.Fprintln(e.out)
	}
	fmt.Fprintf(e.out, "%s: %s in %s; %s lost\n", out, plural(r.Keys, "key"), plural(r.Buckets, "bucket"), plural(r.LostKeys, "key"))
}

func (e *env) salvageJSON(r *folio.SalvageReport) error {
	for i := range r.Losses {
		if err := writeJSONLine(e.out, loss(&r.Losses[i])); err != nil {
			return err
		}
	}
	for _, o := range r.Orphans {
		err := writeJSONLine(e.out, orphanJSON{formatPath(o.Bucket), o.Page, o.TxID, o.Keys, o.OutOfDate})
		if err != nil {
			return err
		}
	}
	return writeJSONLine(e.out, map[string]any{
		"page_size": r.PageSize, "file_id": fmt.Sprintf("%#016x", r.FileID), "pages": r.Pages, "txid": r.TxID, "state": r.State,
		"keys_written": r.Keys, "buckets_written": r.Buckets, "keys_lost": r.LostKeys,
	})
}
