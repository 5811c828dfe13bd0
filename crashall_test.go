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
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
)

// allCase is a kind of short history.
type allCase struct {
	name    string
	options folio.Options
	free    bool // goroutines run, so nothing may look at stores
	empty   bool // there is an empty file at first
	heavy   int  // how many times fewer states than of a small file are tried
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
	follow  int // after one of so many states the transactions run again
}

// allTries returns the limits for the first and for the second crash.
func (c *allCase) allTries() [2]allLimits {
	limits := [2]allLimits{{5, 12, 8, 200}, {2, 3, 2, 0}}
	switch {
	case *crashN > 1:
		limits = [2]allLimits{{10, 64, 12 * *crashN, 100}, {5, 12, 10, 0}}
	case testing.Short() || invariants.Enabled:
		limits = [2]allLimits{{2, 3, 1, 60}, {1, 1, 1, 0}}
	}
	if c.heavy > 0 {
		for i := range limits {
			l := &limits[i]
			l.subsets, l.singles, l.random = min(l.subsets, 6), l.singles/c.heavy+1, l.random/c.heavy+1
		}
		limits[0].follow *= c.heavy
	}
	return limits
}

func TestCrashAll(t *testing.T) {
	var cuts, tried int
	var took time.Duration
	for _, c := range allCases {
		t.Run(c.name, func(t *testing.T) {
			x := newAllRun(&c)
			begun := time.Now()
			if err := x.history(); err != nil {
				t.Fatalf("go test -run 'TestCrashAll/%s' -seed %d -crash.n %d: %v", c.name, x.seed, *crashN, err)
			}
			d := time.Since(begun)
			t.Logf("%d cuts, %d states, %.0f a second", x.cuts, x.tried, float64(x.tried)/d.Seconds())
			cuts, tried, took = cuts+x.cuts, tried+x.tried, took+d
		})
	}
	t.Logf("in all %d cuts, %d states, %.0f a second", cuts, tried, float64(tried)/took.Seconds())
}

// allRun is one history with its crashes.
type allRun struct {
	c      *allCase
	seed   uint64
	rnd    *rand.Rand
	limits [2]allLimits
	most   int // states; 0: no limit
	hash   maphash.Seed
	seen   map[allKey]struct{}
	cuts   int
	tried  int
	kills  int // of tried
	found  string
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
	c := &pipeCase{name: x.c.name, options: x.c.options, free: x.c.free}
	h := c.history(x.seed, foliotest.NewDisk())
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
		*err = fmt.Errorf("panic: %v", r)
	}
}

// explore cuts h off after each effect.
func (x *allRun) explore(h *pipeHistory, depth int) error {
	for cut := h.floor; cut <= h.disk.Events(); cut++ {
		if depth == 0 {
			x.cuts++
			x.kills++
			if err := x.check(h, h.disk.Kill(cut), cut, true, depth); err != nil {
				return fmt.Errorf("kill at event %d: %w", cut, err)
			}
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
			if x.most > 0 && x.tried >= x.most {
				return nil
			}
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
	x.found = "crash"
	if kill {
		x.found = "kill"
	}
	if err := next.recovered(h.allowed(cut, kill)); err != nil || depth > 0 {
		return err
	}
	if kill {
		x.found = "kill, crash"
	} else {
		x.found = "crash, crash"
	}
	if err := x.explore(next, 1); err != nil {
		return fmt.Errorf("second crash, in recovery: %w", err)
	}
	if !kill && x.rnd.IntN(x.limits[0].follow) != 0 {
		return nil
	}
	next.rnd = rand.New(rand.NewPCG(x.seed, uint64(x.tried)))
	again := x.c.again
	if again == nil {
		again = x.c.run
	}
	if err := again(next); err != nil {
		return fmt.Errorf("going on after a crash: %w", err)
	}
	if err := x.explore(next, 1); err != nil {
		return fmt.Errorf("second crash, after going on: %w", err)
	}
	return nil
}
