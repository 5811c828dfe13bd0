package folio_test

// Crashes of short histories, all of them. A history of one to three transactions is
// cut off after every effect, and at each cut every subset of what was not synced
// survives in turn, in sectors, pages and whole writes, with lengths and names apart.
// Where these are too many, each unit alone survives, each alone is lost, and random
// subsets are. What is left is opened and compared with the model. Then the second
// crash: after every effect of the recovery, and, for some of the states, of the same
// transactions run again. The histories are in crashalltx_test.go, what they may leave
// is as in crashpipe_test.go.
//
// A failure names what reproduces it.

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// allCase is a kind of short history.
type allCase struct {
	name    string
	options folio.Options
	empty   bool // there is an empty file at first
	heavy   bool // a large file, of which fewer states are tried
	// setup runs what is durable and cannot be cut; nil: there is no file.
	setup func(h *pipeHistory) error
	run   func(h *pipeHistory) error
	// again is what runs after a crash; nil: the same.
	again func(h *pipeHistory) error
}

// allLimits say how much is tried.
type allLimits struct {
	subsets int // of so many units all are tried
	singles int // units that survive or are lost alone
	random  int // subsets beside
	follow  int // after one of so many states the transactions run again; 0: never
}

// allTries returns the limits for the first and for the second crash.
func (c *allCase) allTries() [2]allLimits {
	switch {
	case *crashN > 1 && c.heavy:
		return [2]allLimits{{6, 16, *crashN, 300}, {2, 4, 1, 0}}
	case *crashN > 1:
		return [2]allLimits{{12, 64, 40 * *crashN, 100}, {6, 12, 10, 0}}
	case testing.Short() || invariants.Enabled:
		if c.heavy {
			return [2]allLimits{{0, 1, 0, 0}, {0, 1, 0, 0}}
		}
		return [2]allLimits{{1, 2, 1, 200}, {0, 1, 0, 0}}
	case c.heavy:
		return [2]allLimits{{1, 2, 0, 0}, {0, 1, 0, 0}}
	}
	return [2]allLimits{{8, 10, 10, 50}, {3, 4, 3, 0}}
}

// casesAnd returns the cases, and more of them, without those that take too long here.
func casesAnd(more ...allCase) []allCase {
	return slices.DeleteFunc(slices.Concat(allCases, more), func(c allCase) bool {
		return c.heavy && underRace && testing.Short()
	})
}

func TestCrashAll(t *testing.T) {
	countStates(t)
	for _, c := range casesAnd() {
		x := newAllRun(&c)
		x.subtest(t, x.history)
	}
}

// allRun is one history with its crashes.
type allRun struct {
	c      *allCase
	seed   uint64
	rnd    *rand.Rand
	limits [2]allLimits
	plan   *faultfs.Plan // of what fails; nil: nothing does

	onlyKills, noKills bool // what TestPlantedBugs tries
	hash               maphash.Seed
	seen               map[allKey]struct{}
	cuts               int
	failures           int // of syncs or writes
	tried              int
}

// crashSameNumber has a weak commit cut off whose pages are all there, but not its meta,
// and then the next one, whose pages go to the same places. A page of the first must
// not pass for one of the second: no transaction number comes twice.
func crashSameNumber() (tried int, err error) {
	defer noPanic(&err)
	c := allCase{options: quietly(folio.Options{PageSize: 65536}), setup: allFull(allPuts("key", 4, 50))}
	weak := func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		allPuts("large", 1, 2200<<10)(h, tx, m)
		allPuts("key", 4, 50)(h, tx, m)
	}
	x := newAllRun(&c)
	h, err := x.prepare()
	if err != nil {
		return 0, err
	}
	if err := h.do(relaxed, weak); err != nil {
		return 0, err
	}
	cut := h.disk.At(h.disk.Events(), 65536)
	metaUnit := cut.Units(foliotest.Writes) - 1
	next := h.c.history(h.seed, cut.Left(foliotest.Writes, func(u int) bool { return u != metaUnit }))
	next.next = h.next
	if err := next.recovered(h.states[:1]); err != nil {
		return 0, err
	}
	if err := next.do(relaxed, weak); err != nil {
		return 0, err
	}
	x.limits[1] = allLimits{singles: 64}
	err = x.cut(next, next.disk.Events(), 1)
	return x.tried, err
}

func TestCrashSameNumber(t *testing.T) {
	countStates(t)
	_, err := crashSameNumber()
	if err != nil {
		t.Fatalf("go test -run TestCrashSameNumber -seed %d: %v", *seedFlag, err)
	}
}

// crashAttempt has an attempt leave whole pages in free places, which goes back or finds
// no room. The next transaction, which is weak, writes to the same places, and nothing of
// it is there but its meta. The pages of the attempt must not pass for its own.
func crashAttempt(maxDirty int64, attempt func(h *pipeHistory, plan *faultfs.Plan) error) error {
	c := allCase{options: quietly(folio.Options{PageSize: 65536, MaxDirty: maxDirty}), setup: allFull(allPuts("key", 4, 50))}
	x := newAllRun(&c)
	x.plan = &faultfs.Plan{}
	h, err := x.prepare()
	if err != nil {
		return err
	}
	if err := h.do(relaxed, allPuts("key", 4, 60)); err != nil { // it draws a number
		return err
	}
	if err := attempt(h, x.plan); err != nil {
		return err
	}
	if err := h.sync(); err != nil {
		return err
	}
	if err := h.do(relaxed, allPuts("key", 200, 12_000)); err != nil {
		return err
	}
	x.limits[1] = allLimits{singles: 1}
	return x.cut(h, h.disk.Events(), 1)
}

func TestCrashAttempt(t *testing.T) {
	countStates(t)
	undone := allPuts("undone", 400, 12_000)
	t.Run("rolled back", func(t *testing.T) {
		require.NoError(t, crashAttempt(64*65536, func(h *pipeHistory, _ *faultfs.Plan) error {
			err := h.update(relaxed, func(tx *folio.Tx, m *foliotest.Bucket) error {
				undone(h, tx, m)
				return errUndone
			})
			wantErr("Update", err, errUndone)
			return nil
		}))
	})
	t.Run("no room", func(t *testing.T) {
		require.NoError(t, crashAttempt(0, func(h *pipeHistory, plan *faultfs.Plan) error {
			plan.Add(faultfs.Fault{Op: faultfs.Write, Nth: 2, Err: syscall.ENOSPC})
			if err := h.do(relaxed, undone); !errors.Is(err, folio.ErrNoSpace) {
				return fmt.Errorf("without room: %v", err)
			}
			return nil
		}))
	})
}

// TestCrashRelaxedShrink: the file is cut to what the durable state and the next one need,
// while a state is in it that nobody has flushed and that ends further back. The death of
// the process does not take that back.
func TestCrashRelaxedShrink(t *testing.T) {
	x := newAllRun(&allCase{options: quietly(folio.Options{PageSize: 65536}), setup: allFull(allPuts("key", 4, 50))})
	h, err := x.prepare()
	require.NoError(t, err)
	require.NoError(t, allWith(relaxed, allPuts("large", 1, 9<<20), allDelete("large", 1), allPuts("key", 1, 60))(h))
	begun := h.disk.Events()
	require.NoError(t, allWith(relaxed, allPuts("key", 1, 70), allPuts("key", 1, 80), allPuts("key", 1, 90))(h))
	for cut := begun; cut <= h.disk.Events(); cut++ {
		require.NoError(t, x.check(h, h.disk.Kill(cut), cut, true, 1), "killed at event %d", cut)
	}
}

// allKey is a state of a disk, and what it may be: nothing is learnt from it twice.
type allKey struct {
	sum       uint64
	low, high *foliotest.Bucket
}

func newAllRun(c *allCase) *allRun {
	seed := uint64(1)
	if *seedFlag != 0 {
		seed = *seedFlag
	}
	return &allRun{
		c: c, seed: seed, rnd: rand.New(rand.NewPCG(seed, 13)), limits: c.allTries(),
		hash: maphash.MakeSeed(), seen: map[allKey]struct{}{},
	}
}

// history runs the case and all its crashes.
func (x *allRun) history() (err error) {
	defer noPanic(&err)
	h, err := x.prepare()
	if err != nil {
		return err
	}
	if err := x.c.run(h); err != nil {
		return err
	}
	return x.explore(h, 0)
}

// prepare returns a history whose setup is durable.
func (x *allRun) prepare() (*pipeHistory, error) {
	c := &pipeCase{name: x.c.name, options: x.c.options}
	h := c.history(x.seed, foliotest.NewDisk())
	h.plan = x.plan
	h.states = []*foliotest.Bucket{foliotest.NewBucket()}
	if x.c.empty {
		h.disk.Put(crashFile, nil)
	}
	if x.c.setup == nil {
		return h, nil
	}
	if err := h.open(); err != nil {
		return nil, err
	}
	if err := x.c.setup(h); err != nil {
		return nil, err
	}
	err := h.sync()
	h.settle()
	return h, err
}

func noPanic(err *error) {
	if r := recover(); r != nil {
		cause, ok := r.(error)
		if !ok {
			cause = fmt.Errorf("%v", r)
		}
		*err = fmt.Errorf("panic: %w", cause)
	}
}

// explore cuts h off after each effect.
func (x *allRun) explore(h *pipeHistory, depth int) error {
	for cut := h.floor; cut <= h.disk.Events(); cut++ {
		if depth == 0 {
			x.cuts++
		}
		if depth == 0 && !x.noKills {
			if err := x.check(h, h.disk.Kill(cut), cut, true, depth); err != nil {
				return fmt.Errorf("kill at event %d: %w", cut, err)
			}
		}
		if depth == 0 && x.onlyKills {
			continue
		}
		if err := x.cut(h, cut, depth); err != nil {
			return err
		}
	}
	return nil
}

// cut tries what a power failure after cut effects can leave.
func (x *allRun) cut(h *pipeHistory, cut, depth int) error {
	c := h.disk.At(cut, int64(max(4096, x.c.options.PageSize)))
	for g := foliotest.NumGrains - 1; g >= 0; g-- {
		for i, keep := range x.subsets(c.Units(g), x.limits[depth]) {
			if err := x.state(h, c.Left(g, keep), cut, depth); err != nil {
				return fmt.Errorf("crash at event %d, grain %d, subset %d of %d units: %w", cut, g, i, c.Units(g), err)
			}
		}
	}
	return nil
}

// subsets returns the subsets of n units that are tried.
func (x *allRun) subsets(n int, l allLimits) (subsets []func(int) bool) {
	if n <= l.subsets {
		for set := range 1 << n {
			subsets = append(subsets, func(u int) bool { return set>>u&1 != 0 })
		}
		return subsets
	}
	subsets = append(subsets, func(int) bool { return false }, func(int) bool { return true })
	for _, one := range x.some(n, l.singles) {
		subsets = append(subsets, func(u int) bool { return u == one }, func(u int) bool { return u != one })
	}
	for range l.random {
		mask := make([]bool, n)
		part := 1 + x.rnd.IntN(7)
		for i := range mask {
			mask[i] = x.rnd.IntN(8) < part
		}
		subsets = append(subsets, func(u int) bool { return mask[u] })
	}
	return subsets
}

// some returns at most k of n units, the last among them: that is the newest effect.
func (x *allRun) some(n, k int) []int {
	if n <= k {
		k = n
	}
	units := x.rnd.Perm(n - 1)[:max(0, k-1)]
	return append(units, n-1)
}

// state looks at what a power failure has left, if it is not known yet.
func (x *allRun) state(h *pipeHistory, disk *foliotest.Disk, cut, depth int) error {
	allowed := h.allowed(cut, false)
	key := allKey{disk.Sum(x.hash, crashFile), allowed[0], allowed[len(allowed)-1]}
	if _, known := x.seen[key]; known {
		return nil
	}
	x.seen[key] = struct{}{}
	return x.check(h, disk, cut, false, depth)
}

// check opens a disk and compares it, and then crashes it a second time.
func (x *allRun) check(h *pipeHistory, disk *foliotest.Disk, cut int, kill bool, depth int) (err error) {
	defer noPanic(&err)
	x.tried++
	next := h.c.history(h.seed, disk)
	next.next = h.next
	if kill {
		next.floor, next.first = cut, h.allowed(cut, false)
	}
	if err := next.recovered(h.allowed(cut, kill)); err != nil || depth > 0 {
		return err
	}
	f := x.limits[0].follow
	return x.secondCrash(next, f > 0 && (kill || x.rnd.IntN(f) == 0))
}

// secondCrash cuts off what has been recovered: after every effect of the recovery, and,
// if the transactions are to run again, of these.
func (x *allRun) secondCrash(next *pipeHistory, again bool) error {
	if err := x.explore(next, 1); err != nil {
		return fmt.Errorf("second crash, in recovery: %w", err)
	}
	if !again {
		return nil
	}
	next.rnd = rand.New(rand.NewPCG(x.seed, uint64(x.tried)))
	if err := x.again(next); err != nil {
		return fmt.Errorf("going on after a crash: %w", err)
	}
	if err := x.explore(next, 1); err != nil {
		return fmt.Errorf("second crash, after going on: %w", err)
	}
	return nil
}

// session runs the transactions, in a database that it opens if need be. What they panic
// with is an error.
func (x *allRun) session(h *pipeHistory) (err error) {
	defer noPanic(&err)
	if h.db == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	return x.c.run(h)
}

// again runs the transactions that come after a crash.
func (x *allRun) again(h *pipeHistory) error {
	if x.c.again != nil {
		return x.c.again(h)
	}
	return x.c.run(h)
}
