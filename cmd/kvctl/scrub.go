package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

// scrubFlags are the flags of scrub.
type scrubFlags struct {
	rate    string
	loop    bool
	pause   time.Duration
	asLines bool
}

func (e *env) scrubCmd() *cobra.Command {
	var f scrubFlags
	c := &cobra.Command{
		Use:   "scrub FILE",
		Short: "Verify everything from the disk, slowly",
		Long: `Scrub verifies a file as check does, but reads from the disk and not from the
cache, as far as the system allows, and not faster than --rate, so that others can go
on working with the disk. It also verifies the meta page that is not in use, unless
somebody writes. It prints what it finds at once, and ends with code 3 if there was
anything. A scrub is a long read: while others write, the file grows by what they
replace meanwhile.

With --loop it starts again after --pause, until it is interrupted or finds damage.
Other codes than 3 say nothing of damage: 130 and 143 are interrupts, 1, 2 and 4 that
it could not read. A program scrubs a database with Tx.Scrub.`,
		Example: `  kvctl scrub my.folio
  kvctl scrub my.folio --rate 100MiB/s
  kvctl scrub my.folio --loop --pause 24h > found.txt 2>&1; [ $? -ne 3 ] || mail -s damage admin < found.txt`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error { return e.scrub(args[0], &f) },
	}
	c.Flags().StringVar(&f.rate, "rate", "20MiB/s", "bytes in a second, such as 500KiB/s, 20MiB/s or 1GiB/s; 0 is as fast as the disk is")
	c.Flags().BoolVar(&f.loop, "loop", false, "start again and again")
	c.Flags().DurationVar(&f.pause, "pause", time.Hour, "with --loop, between the rounds")
	c.Flags().BoolVar(&f.asLines, "jsonl", false, "print a line of JSON for each finding and one for each round")
	return c
}

// parseRate returns the bytes in a second that s stands for.
func parseRate(s string) (int64, error) {
	number := strings.TrimSuffix(s, "/s")
	unit := int64(1)
	for i, suffix := range []string{"KiB", "MiB", "GiB"} {
		if n, ok := strings.CutSuffix(number, suffix); ok {
			number, unit = n, 1<<(10*(i+1))
		}
	}
	n, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(number), "B"), 64)
	rate := n * float64(unit)
	if err != nil || !(rate == 0 || rate >= 1 && rate <= 1<<50) { // NaN is neither
		return 0, fail(exitError, "--rate %s: give bytes in a second, such as 20MiB/s", s)
	}
	if rate == 0 {
		return -1, nil
	}
	return int64(rate), nil
}

func (e *env) scrub(file string, f *scrubFlags) error {
	rate, err := parseRate(f.rate)
	if err != nil {
		return err
	}
	if f.pause < 0 {
		return fail(exitError, "--pause %v: it must be 0 or more", f.pause)
	}
	ctx, stop := interruptible()
	defer stop()
	for {
		err := e.scrubOnce(ctx, file, rate, f.asLines)
		if err != nil || !f.loop {
			return err
		}
		if err := e.out.Flush(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w between two rounds: there was no damage in what was read", context.Cause(ctx))
		case <-time.After(f.pause):
		}
	}
}

func (e *env) scrubOnce(ctx context.Context, file string, rate int64, asLines bool) error {
	start := time.Now()
	var pages, found int64
	var printErr error
	err := e.view(file, func(tx *folio.Tx) error {
		pages = tx.Size() / int64(tx.DB().Info().PageSize)
		bar := e.bar("scrubbing", pages, false)
		err := tx.Scrub(ctx, folio.ScrubOptions{
			Rate:     rate,
			Progress: func(done, _ uint64) { _ = bar.Set64(int64(done)) }, // only looks
			Found: func(c *folio.CheckError) {
				found++
				_ = bar.Clear()
				printErr = errors.Join(printErr, e.printFinding(finding(c), asLines), e.out.Flush())
			},
		})
		_ = bar.Finish() // only looks
		return err
	})
	switch {
	case printErr != nil:
		return printErr
	case found > 0:
		return fail(exitDamaged, "%s: %s: see docs/salvage.md", file, plural(found, "finding"))
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("%w before all was read: there was no damage so far", context.Cause(ctx))
	case err != nil:
		return lostMetas(file, err)
	case asLines:
		return writeJSONLine(e.out, map[string]any{"file": file, "pages": pages, "findings": 0})
	}
	_, err = fmt.Fprintf(e.out, "%s: no damage in %s (%.1f s)\n", file, plural(pages, "page"), time.Since(start).Seconds())
	return err
}

// printFinding prints a finding as a line of text or JSON.
func (e *env) printFinding(f findingJSON, asLines bool) error {
	if asLines {
		return writeJSONLine(e.out, f)
	}
	_, err := fmt.Fprintln(e.out, f.String())
	return err
}
