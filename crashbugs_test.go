//go:build foliobugs

package folio_test

// Bugs that are planted (internal/bugs), each of which the tests must notice. There are
// nine ways: a look at the database without a crash, a sync or a write that fails, a
// sync that loses what it was to write, goroutines that stop at a bad instant, a power
// failure, one while several goroutines write commits that move pages, the death of the
// process, and other processes.

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/foliotest"
)

// bugWays are what can notice a bug, the fastest first. Each returns what it found, and
// how many states of a disk it looked at. When the bug has been found already, they
// do what takes little time.
var bugWays = []struct {
	name string
	try  func(found bool) (int, error)
}{
	{"check", func(bool) (int, error) { return 0, bugCheck() }},
	{"fault", func(bool) (int, error) { return 0, bugFault() }},
	{"write", func(bool) (int, error) { return bugWrite() }},
	{"race", func(bool) (int, error) { return 0, errors.Join(bugLookRace(), bugMarkRace()) }},
	{"sync", func(bool) (int, error) { return bugSync(true) }},
	{"share", func(found bool) (int, error) {
		if found || bugShare == nil {
			return 0, nil
		}
		return 0, bugShare()
	}},
	{"crash", func(found bool) (int, error) { return bugCrash(false, found) }},
	{"moves", func(found bool) (int, error) {
		if found {
			return 0, nil
		}
		c := crashClean{several: true}
		return 0, c.run()
	}},
	{"kill", func(found bool) (int, error) {
		if found {
			return 0, nil
		}
		return bugCrash(true, false)
	}},
	{"crash, crash", func(found bool) (int, error) {
		if found {
			return 0, nil
		}
		return crashSameNumber()
	}},
	{"sync", func(found bool) (int, error) {
		if found {
			return 0, nil
		}
		return bugSync(false)
	}},
}

// bugShare runs the cases of TestShareCases; nil where processes do not share files.
var bugShare func() error

func TestPlantedBugs(t *testing.T) {
	var table strings.Builder
	table.WriteString("\n| bug | caught by | states |\n|---|---|---|\n")
	for b := bugs.None; b < bugs.End; b++ {
		t.Run(b.String(), func(t *testing.T) {
			bugs.Plant(b)
			defer bugs.Plant(bugs.None)
			var by []string
			states := 0
			for _, way := range bugWays {
				n, err := way.try(len(by) > 0)
				if err == nil {
					continue
				}
				t.Logf("%s, state %d: %.300s", way.name, n, err)
				by = append(by, way.name)
				states = max(states, n)
			}
			if b == bugs.None {
				require.Empty(t, by, "there is no bug")
				return
			}
			fmt.Fprintf(&table, "| %s | %s | %d |\n", b, strings.Join(by, ", "), states)
			require.NotEmpty(t, by, "nothing has noticed it")
		})
	}
	t.Log(table.String())
}

// bugCrash runs the histories of TestCrashAll, the short ones first.
func bugCrash(kills, few bool) (tried int, err error) {
	for _, heavy := range []bool{false, true} {
		if heavy && few {
			break
		}
		for _, c := range allCases {
			if c.heavy != heavy {
				continue
			}
			x := newAllRun(&c)
			x.onlyKills, x.noKills = kills, !kills
			x.limits = [2]allLimits{{2, 4, 2, 0}, {1, 2, 1, 0}}
			if heavy {
				x.limits = [2]allLimits{{1, 3, 0, 0}, {0, 1, 0, 0}}
			} else if kills {
				x.limits[0].follow = 1
			}
			err := x.history()
			if tried += x.tried; err != nil {
				return tried, fmt.Errorf("%s: %w", c.name, err)
			}
		}
	}
	return tried, nil
}

// bugSyncFew are histories of TestCrashSync that take little time, and notice most.
var bugSyncFew = []string{"two small commits", "relaxed", "relaxed in freed pages", "close"}

// bugSync runs the histories of TestCrashSync, few of them or all others.
func bugSync(few bool) (tried int, err error) {
	for _, c := range allCases {
		if slices.Contains(bugSyncFew, c.name) != few {
			continue
		}
		x := newSyncRun(&c)
		x.limits, x.allRun.limits = syncLimits{losses: len(syncLosses)}, [2]allLimits{}
		if few || c.heavy {
			x.limits = syncLimits{losses: 2, last: 2}
		}
		err := x.history()
		if tried += x.tried; err != nil {
			return tried, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return tried, nil
}

// bugWriteFew are histories of TestCrashWrite that take little time, and notice most.
var bugWriteFew = []string{"creation", "reopen", "relaxed", "mixed", "close"}

// bugWrite runs them.
func bugWrite() (tried int, err error) {
	for _, c := range allCases {
		if !slices.Contains(bugWriteFew, c.name) {
			continue
		}
		x := newWriteRun(&c)
		x.limits = writeLimits{faults: len(writeFaults), share: 1, ways: 1, again: 30}
		err := x.history()
		if tried += x.tried; err != nil {
			return tried, fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return tried, nil
}

// bugCheck runs the histories without a crash, beside a reader.
func bugCheck() error {
	for _, c := range allCases {
		if err := bugCheckOne(&c); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

func bugCheckOne(c *allCase) (err error) {
	defer noPanic(&err)
	h, err := newAllRun(c).prepare()
	if err != nil {
		return err
	}
	if h.db == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	before := h.states[len(h.states)-1]
	reader, err := h.db.Begin(false)
	if err != nil {
		return err
	}
	ended := false
	defer func() {
		if !ended {
			reader.Rollback()
		}
	}()
	if c.setup != nil {
		if err := errors.Join(c.setup(h), c.setup(h)); err != nil {
			return err
		}
	}
	if err := errors.Join(foliotest.Diff(reader, before), foliotest.Check(reader)); err != nil {
		return fmt.Errorf("a reader: %w", err)
	}
	ended = true
	must(reader.Rollback())
	if err := c.run(h); err != nil {
		return err
	}
	for range 2 {
		if h.db == nil {
			if err := h.open(); err != nil {
				return err
			}
		}
		if err := h.look(); err != nil {
			return err
		}
		err := h.db.View(func(tx *folio.Tx) error {
			return errors.Join(foliotest.Diff(tx, h.states[len(h.states)-1]), foliotest.Check(tx))
		})
		if err != nil {
			return err
		}
		if err := h.close(); err != nil {
			return err
		}
	}
	return nil
}

// bugFault has a sync fail. Nothing may be committed after that, and nobody who opens
// the file may take for committed what is not on the disk.
func bugFault() (err error) {
	defer noPanic(&err)
	x := newAllRun(&allCase{setup: allFull(allPuts("key", 4, 50))})
	h, err := x.prepare()
	if err != nil {
		return err
	}
	before := h.states[len(h.states)-1:]
	h.setGate(func() error { return errSync })
	if err := h.do(full, allPuts("key", 2, 60)); !errors.Is(err, errSync) {
		return fmt.Errorf("a sync failed, and the commit returned %v", err)
	}
	h.setGate(nil)
	if err := h.do(full, allPuts("key", 2, 70)); !errors.Is(err, folio.ErrLatched) {
		return fmt.Errorf("after a failed sync a commit returned %v", err)
	}
	next := h.c.history(h.seed, h.disk.Kill(h.disk.Events()))
	return next.recovered(before)
}

// bugLookRace has a reader begin, and a flush end, while a writer looks for what it may
// write over. The writer must not take what the reader needs.
func bugLookRace() (err error) {
	defer noPanic(&err)
	x := newAllRun(&allCase{setup: allFull(allPuts("key", 40, 300))})
	h, err := x.prepare()
	if err != nil {
		return err
	}
	before := h.states[len(h.states)-1]
	arrived, open, flushed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	var once sync.Once
	h.setGate(func() error {
		once.Do(func() { close(arrived); <-open })
		return nil
	})
	commit := func(size int) (err error) {
		defer noPanic(&err)
		return h.do(full, allPuts("key", 40, size))
	}
	go func() { flushed <- commit(310) }()
	select {
	case <-arrived:
	case err := <-flushed:
		return fmt.Errorf("a commit did not flush, and returned: %v", err)
	}
	var reader *folio.Tx
	bugs.OnPause(func() {
		reader, err = h.db.Begin(false)
		close(open)
		err = errors.Join(err, <-flushed)
	})
	if writeErr := commit(320); err != nil || writeErr != nil {
		return errors.Join(err, writeErr)
	}
	if reader == nil {
		return errors.New("the writer did not come by")
	}
	defer reader.Rollback()
	return foliotest.Diff(reader, before)
}

// bugMarkRace has a reader verify pages while the database latches. They must not count
// as verified afterwards.
func bugMarkRace() (err error) {
	defer noPanic(&err)
	x := newAllRun(&allCase{setup: allFull(allPuts("key", 4, 50))})
	h, err := x.prepare()
	if err != nil {
		return err
	}
	look := func() error {
		return h.db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, h.states[0]) })
	}
	bugs.OnPause(func() { err = look() })
	folio.Latch(h.db, errSync)
	if err != nil {
		return err
	}
	f, err := h.disk.OpenFile(crashFile, os.O_RDWR, 0)
	must(err)
	_, err = f.WriteAt([]byte{'x'}, int64(bytes.Index(h.disk.Content(crashFile), []byte("0 key 000"))))
	must(err)
	if err := look(); !errors.Is(err, folio.ErrCorrupt) {
		return fmt.Errorf("a damaged page was read: %v", err)
	}
	return nil
}
