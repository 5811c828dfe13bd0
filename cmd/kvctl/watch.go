package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

// watchFlags are the flags of watch.
type watchFlags struct {
	interval time.Duration
	count    int
	asLines  bool
}

func (e *env) watchCmd() *cobra.Command {
	var f watchFlags
	c := &cobra.Command{
		Use:   "watch FILE",
		Short: "Follow what is written to a file",
		Long: `Watch prints a line for each interval: what those who have the file open have committed
in it, and the state of the file at its end. It goes on until it is interrupted, which
is a success. It waits for nobody, reads no page and keeps nobody from anything. When a
process begins to write, or ends, it says so and goes on; the file need not be open
anywhere when watch begins.

  commits    transactions that have changed something
  groups     times that transactions were written; tx/group of them share one
  free       of the file's pages, in bytes
  readers    read transactions, without those inside of a process that is the only
             writer; the oldest of them, and what is kept for it

On a terminal there is a graph of the commits at the end of each line.`,
		Example: `  kvctl watch my.folio
  kvctl watch my.folio -n 10s
  kvctl watch my.folio -n 100ms --count 20
  kvctl watch --jsonl my.folio | jq '.commits'`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if f.interval <= 0 {
				return fail(exitError, "--interval %v: it must be more than nothing", f.interval)
			}
			if f.count < 0 {
				return fail(exitError, "--count %d: it must be 0 or more", f.count)
			}
			ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			w := watcher{e: e, path: args[0], f: f}
			return w.run(ctx)
		},
	}
	c.Flags().DurationVarP(&f.interval, "interval", "n", time.Second, "the time between two lines")
	c.Flags().IntVarP(&f.count, "count", "c", 0, "end after this many lines; 0 is never")
	c.Flags().BoolVar(&f.asLines, "jsonl", false, "print a line of JSON for each interval")
	return c
}

// watcher follows a file.
type watcher struct {
	e     *env
	path  string
	f     watchFlags
	lines int
	rates []float64 // of commits
	known bool      // who writes has been said
	there []folio.Process
}

// watchJSON is an interval. The counts are of what happened in it.
type watchJSON struct {
	Time         time.Time `json:"time"`
	Seconds      float64   `json:"seconds"`
	Transactions uint64    `json:"commits"`
	Groups       uint64    `json:"groups"`
	Pages        uint64    `json:"pages"`
	Bytes        uint64    `json:"bytes"`
	Flushes      uint64    `json:"flushes"`
	TxID         int       `json:"txid"`
	Durable      int       `json:"durable"`
	FileSize     int64     `json:"file_size"`
	Size         int64     `json:"size"`
	Free         int64     `json:"free"`
	Writers      []int     `json:"writers"`
	Readers      int       `json:"readers"`
	OldestAge    float64   `json:"oldest_seconds"`
	Retained     int64     `json:"retained"`
}

// errReplaced ends following a file that is not at the path any more.
var errReplaced = errors.New("another file has taken its place")

// run follows what is at the path, whatever file it is, until ctx is done.
func (w *watcher) run(ctx context.Context) error {
	for {
		err := w.follow(ctx)
		if !errors.Is(err, errReplaced) {
			return err
		}
		w.known, w.there = false, nil
		if err := w.say("another file is there now"); err != nil {
			return err
		}
	}
}

// follow follows one file.
func (w *watcher) follow(ctx context.Context) (err error) {
	db, err := w.e.openReader(w.path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	opened, err := os.Stat(w.path)
	if err != nil {
		return err
	}
	before, ok := db.Activity()
	if !ok {
		return errors.New(errNotShared(w.path))
	}
	if err := w.writers(db); err != nil {
		return err
	}
	last := time.Now()
	tick := time.NewTicker(w.f.interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		now, ok := db.Activity()
		if !ok {
			return fail(exitError, "%s: what is written to it cannot be read: is another file written over it?", w.path)
		}
		at := time.Now()
		if err := errors.Join(w.writers(db), w.line(db, at, at.Sub(last), &before, &now)); err != nil {
			return err
		}
		before, last = now, at
		if w.lines++; w.lines == w.f.count {
			return nil
		}
		switch is, err := os.Stat(w.path); {
		case errors.Is(err, fs.ErrNotExist): // there may be one again
		case err != nil:
			return err
		case !os.SameFile(opened, is):
			return errReplaced
		}
	}
}

// writers says who writes, if it has changed.
func (w *watcher) writers(db *folio.DB) error {
	var now []folio.Process
	dead := map[int]bool{}
	for _, p := range db.Processes() {
		switch {
		case p.Self || p.Role == roleReader:
		case p.Dead:
			dead[p.PID] = true
		default:
			now = append(now, p)
		}
	}
	has := func(in []folio.Process, p folio.Process) bool {
		return slices.ContainsFunc(in, func(q folio.Process) bool { return q.PID == p.PID && q.Since.Equal(p.Since) })
	}
	var errs []error
	for _, p := range w.there {
		switch {
		case has(now, p):
		case dead[p.PID]:
			errs = append(errs, w.say(fmt.Sprintf("process %d, which wrote, has ended without closing the file", p.PID)))
		default:
			errs = append(errs, w.say(fmt.Sprintf("process %d, which wrote, has closed the file", p.PID)))
		}
	}
	for _, p := range now {
		if !has(w.there, p) {
			errs = append(errs, w.say(haveOpen([]folio.Process{p})))
		}
	}
	if len(now) == 0 && (len(w.there) > 0 || !w.known) {
		errs = append(errs, w.say("nobody has it open for writing"))
	}
	w.known, w.there = true, now
	return errors.Join(errs...)
}

// say prints what is no number. With --jsonl the writers in the lines say it.
func (w *watcher) say(what string) error {
	if w.f.asLines {
		return nil
	}
	_, err := fmt.Fprintf(w.e.out, "-- %s: %s\n", w.path, what)
	return errors.Join(err, w.e.out.Flush())
}

// line prints what has happened since before, for that long.
func (w *watcher) line(db *folio.DB, at time.Time, long time.Duration, before, now *folio.Activity) error {
	j := watchJSON{
		Time: at, Seconds: long.Seconds(),
		Transactions: now.Transactions - before.Transactions, Groups: now.Groups - before.Groups,
		Pages: now.Pages - before.Pages, Bytes: now.Bytes - before.Bytes, Flushes: now.Flushes - before.Flushes,
		TxID: now.TxID, Durable: now.Durable, FileSize: now.FileSize, Size: now.Size, Free: now.Free, Writers: []int{},
	}
	for _, p := range w.there {
		j.Writers = append(j.Writers, p.PID)
	}
	oldest := folio.Reader{}
	for _, p := range others(db) {
		for _, r := range p.Readers {
			j.Readers++
			if oldest.TxID == 0 || r.TxID < oldest.TxID || r.TxID == oldest.TxID && r.Since.Before(oldest.Since) {
				oldest = r
			}
		}
	}
	if j.Readers > 0 {
		j.OldestAge, j.Retained = at.Sub(oldest.Since).Seconds(), oldest.Retained
	}
	var err error
	if w.f.asLines {
		err = writeJSONLine(w.e.out, &j)
	} else {
		err = w.text(&j)
	}
	return errors.Join(err, w.e.out.Flush())
}

// headEvery is after how many lines the head is printed again on a terminal.
const headEvery = 20

const watchFormat = "%-8s %9s %8s %8s %8s %12s %9s %10s %10s %7s  %s\n"

func (w *watcher) text(j *watchJSON) error {
	if w.lines == 0 || w.e.terminal && w.lines%headEvery == 0 {
		_, err := fmt.Fprintf(w.e.out, watchFormat, "time", "commits/s", "groups/s", "tx/group", "pages/s", "written/s", "flushes/s",
			"file", "free", "readers", "oldest")
		if err != nil {
			return err
		}
	}
	per := func(n uint64) string { return rate(float64(n) / j.Seconds) }
	each := "-"
	if j.Groups > 0 {
		each = fmt.Sprintf("%.1f", float64(j.Transactions)/float64(j.Groups))
	}
	oldest := "-"
	if j.Readers > 0 {
		oldest = age(time.Duration(j.OldestAge*float64(time.Second))) + ", " + size(j.Retained)
	}
	if w.e.terminal {
		w.rates = append(w.rates, float64(j.Transactions)/j.Seconds)
		w.rates = w.rates[max(0, len(w.rates)-graphWidth):]
		oldest = fmt.Sprintf("%-18s %s", oldest, graph(w.rates))
	}
	_, err := fmt.Fprintf(w.e.out, watchFormat, j.Time.Format(time.TimeOnly), per(j.Transactions), per(j.Groups), each, per(j.Pages),
		size(uint64(float64(j.Bytes)/j.Seconds)), per(j.Flushes), size(j.FileSize), size(j.Free), number(j.Readers), oldest)
	return err
}

// rate formats a number in a second.
func rate(f float64) string {
	if f > 0 && f < 9.95 {
		return fmt.Sprintf("%.1f", f)
	}
	return number(int64(f + 0.5))
}

const graphWidth = 16

// graph draws numbers as blocks, the greatest as a whole one.
func graph(values []float64) string {
	top := max(slices.Max(values), 1)
	bars := []rune("▁▂▃▄▅▆▇█")
	line := make([]rune, len(values))
	for i, v := range values {
		line[i] = ' '
		if v > 0 {
			line[i] = bars[int(v/top*float64(len(bars)-1))]
		}
	}
	return string(line)
}
