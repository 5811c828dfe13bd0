package folio_test

// Syncs that fail, once. The system then forgets what it could not write, and says no
// more of it: its cache shows the new bytes, later syncs succeed, and the disk has the
// old ones (internal/foliotest/lost.go). In the histories of TestCrashAll, to their
// Close, each sync fails in turn, and loses nothing, everything, the metas, the rest, or
// random pages or sectors of what it was to write. Then
//
//   - the call that needed it must say so, and so must every later commit and sync;
//     readers see what they saw before, or an error if the cache has let go of it;
//   - whoever opens the file next must find the last durable state, or that with what
//     was being committed, whole: the same process, another one after its death, or one
//     after a power cut, at every effect since the failure;
//   - what is found and committed then is there after power cuts at every effect.
//
// And the process dies after every effect of the history, and each sync of the next
// session fails in turn, that of its recovery among them.
//
// A failure names what reproduces it.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
)

var errSync = errors.New("the disk has failed")

// syncFault has one sync of a disk fail.
type syncFault struct {
	disk *foliotest.Disk
	mu   sync.Mutex
	n    int // syncs so far
	at   int // the one that fails; 0: none
}

// set has the k-th sync from now on fail, and lose what lose says.
func (f *syncFault) set(k int, lose func(off int64) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.n, f.at, f.disk.Lose = 0, k, lose
}

func (f *syncFault) sync() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n++; f.n == f.at {
		return errSync
	}
	return nil
}

// came tells whether the sync that was to fail has come.
func (f *syncFault) came() bool { return f.n >= f.at }

// syncLosses are what a failed sync loses, of a file whose metas end somewhere.
var syncLosses = []struct {
	name string
	lose func(rnd *rand.Rand, metas int64) func(off int64) bool
}{
	{"all", func(*rand.Rand, int64) func(int64) bool { return func(int64) bool { return true } }},
	{"rest", func(_ *rand.Rand, metas int64) func(int64) bool { return func(off int64) bool { return off >= metas } }},
	{"pages", losePages},
	{"metas", func(_ *rand.Rand, metas int64) func(int64) bool { return func(off int64) bool { return off < metas } }},
	{"nothing", func(*rand.Rand, int64) func(int64) bool { return func(int64) bool { return false } }},
	{"sectors", func(rnd *rand.Rand, _ int64) func(int64) bool { return func(int64) bool { return rnd.IntN(2) == 0 } }},
}

// losePages loses about half of the pages, each as a whole.
func losePages(rnd *rand.Rand, _ int64) func(int64) bool {
	lost := map[int64]bool{}
	return func(off int64) bool {
		l, known := lost[off/4096]
		if !known {
			l = rnd.IntN(2) == 0
			lost[off/4096] = l
		}
		return l
	}
}

// syncLimits say how much is tried.
type syncLimits struct {
	losses int // of syncLosses; beyond them more of the random ones
	last   int // syncs of a history that fail, its last ones: those before fill large files; 0: all
	kills  int // the process dies after one of so many effects; 0: never
}

// syncTries returns the limits, and those of the crashes after a failure.
func (c *allCase) syncTries() (syncLimits, [2]allLimits) {
	kinds := len(syncLosses)
	switch {
	case *crashN > 1 && c.heavy:
		return syncLimits{3, 2, 0}, [2]allLimits{}
	case *crashN > 1:
		return syncLimits{kinds + *crashN/4, 0, 1}, [2]allLimits{{2, 4, 2, 10}, {0, 1, 1, 0}}
	case c.heavy && (testing.Short() || invariants.Enabled):
		return syncLimits{1, 1, 0}, [2]allLimits{}
	case c.heavy:
		return syncLimits{2, 2, 0}, [2]allLimits{}
	case testing.Short() && invariants.Enabled: // under the race detector all takes ten times as long
		return syncLimits{1, 3, 0}, [2]allLimits{}
	case testing.Short() || invariants.Enabled:
		return syncLimits{1, 0, 60}, [2]allLimits{}
	}
	return syncLimits{kinds, 0, 10}, [2]allLimits{}
}

func TestCrashSync(t *testing.T) {
	countStates(t)
	for _, c := range casesAnd() {
		x := newSyncRun(&c)
		x.subtest(t, x.history)
	}
}

// syncRun is one history with its failed syncs.
type syncRun struct {
	*allRun
	limits syncLimits
}

func newSyncRun(c *allCase) *syncRun {
	x := &syncRun{allRun: newAllRun(c)}
	x.limits, x.allRun.limits = c.syncTries()
	return x
}

// history runs the case over and over.
func (x *syncRun) history() (err error) {
	defer noPanic(&err)
	syncs, err := x.killed()
	if err != nil {
		return err
	}
	k := 1
	if x.limits.last > 0 {
		k = max(1, syncs-x.limits.last+1)
	}
	for ; k <= syncs; k++ {
		for loss := range x.limits.losses {
			for _, way := range []func(*pipeHistory) error{x.gone, x.reopened, x.evicted} {
				if err := x.first(k, loss, way); err != nil {
					return fmt.Errorf("sync %d of %d fails, loss %d (%s): %w", k, syncs, loss, x.loss(loss), err)
				}
			}
		}
	}
	return nil
}

// loss returns the name of a loss.
func (x *syncRun) loss(n int) string { return syncLosses[x.lossKind(n)].name }

// lossKind returns the place in syncLosses of the n-th loss that is tried. Behind the
// last come those again that are random: pages and sectors.
func (x *syncRun) lossKind(n int) int {
	if kinds := len(syncLosses); n >= kinds {
		return [...]int{2, kinds - 1}[n%2]
	}
	return n
}

// fail has the k-th sync of h from now on fail.
func (x *syncRun) fail(h *pipeHistory, k, loss int) {
	metas := int64(2 * max(4096, x.c.options.PageSize))
	rnd := rand.New(rand.NewPCG(x.seed+uint64(loss)<<32, uint64(k)))
	h.fault.set(k, syncLosses[x.lossKind(loss)].lose(rnd, metas))
	h.disk.CacheUnit = int64(rnd.IntN(2)) * (2 << 20)
}

// first runs a session whose k-th sync fails, and then what happens to the database.
func (x *syncRun) first(k, loss int, then func(*pipeHistory) error) (err error) {
	defer noPanic(&err)
	h, err := x.prepare()
	if err != nil {
		return err
	}
	x.fail(h, k, loss)
	if came, err := x.ended(h, x.c.run(h)); err != nil {
		return err
	} else if !came {
		return errors.New("it did not come to that sync")
	}
	if err := x.latched(h); err != nil {
		return err
	}
	return then(h)
}

// ended closes h, whose transactions have returned err, and tells whether the sync came
// that was to fail. If it did, somebody must have said so.
func (x *syncRun) ended(h *pipeHistory, err error) (came bool, _ error) {
	if err == nil {
		err = h.close()
	}
	if !h.fault.came() {
		return false, err
	}
	x.failures++
	if !errors.Is(err, errSync) || h.db != nil && !errors.Is(err, folio.ErrLatched) {
		return true, fmt.Errorf("a sync failed, and the session ended with: %v", err)
	}
	return true, nil
}

// latched makes sure that a database which is still open commits nothing more, says why,
// and shows what it showed before.
func (x *syncRun) latched(h *pipeHistory) error {
	if h.db == nil {
		return nil // it was Open that failed, or Close
	}
	return h.refuses(errSync, h.sync)
}

// refuses makes sure that h commits nothing more, nor does what else it is given, says
// why, and shows what it showed before.
func (h *pipeHistory) refuses(cause error, more ...func() error) error {
	for _, try := range append(more,
		func() error { return h.do(full, allPuts("key", 1, 20)) },
		func() error { return h.do(none, allPuts("key", 1, 20)) },
	) {
		if err := try(); !errors.Is(err, folio.ErrLatched) || !errors.Is(err, cause) {
			return fmt.Errorf("after a failure the next call returned: %v", err)
		}
	}
	return h.shows()
}

// shows makes sure that readers see what they saw.
func (h *pipeHistory) shows() error {
	return h.db.View(func(tx *folio.Tx) error {
		return errors.Join(foliotest.Diff(tx, h.published()), foliotest.Check(tx))
	})
}

// published returns the state that readers see.
func (h *pipeHistory) published() *foliotest.Bucket {
	return h.states[h.publishedNumber()-h.base]
}

func (h *pipeHistory) publishedNumber() int {
	n := h.base
	for _, m := range h.marks {
		if m.kind != markBegun {
			n = max(n, m.state)
		}
	}
	return n
}

// gone has the process die, or the power be cut, after every effect since the failure.
func (x *syncRun) gone(h *pipeHistory) error {
	for cut := h.disk.FailedAt(); cut <= h.disk.Events(); cut++ {
		if err := x.next(h, h.disk.Kill(cut), cut); err != nil {
			return fmt.Errorf("killed at event %d: %w", cut, err)
		}
		if err := x.cut(h, cut, 1); err != nil {
			return err
		}
	}
	return x.failAgain(h, h.disk.Events())
}

// reopened has the same process close the database and open it again. The cache is as it
// was and stays so, as it does on systems that cannot be asked to let go of it, or while
// somebody else has the pages mapped.
func (x *syncRun) reopened(h *pipeHistory) error {
	h.disk.NoDropCache = true
	if h.db != nil {
		// It is an error if what has been committed is not durable.
		if err := h.db.Close(); err != nil && !errors.Is(err, errSync) {
			return fmt.Errorf("closing it after a failed sync: %w", err)
		}
	}
	return x.next(h, h.disk, h.disk.Events())
}

// evicted has the cache let go of what it thinks the disk has, while the database is open.
// What readers see then is what they saw, or, if that is not durable, perhaps an error.
func (x *syncRun) evicted(h *pipeHistory) error {
	h.disk.Evict(crashFile)
	if h.db == nil {
		return x.next(h, h.disk, h.disk.Events())
	}
	seen, durable := h.published(), h.allowed(h.disk.Events(), false)[0]
	err := h.db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, seen) })
	if err != nil && (seen == durable || !errors.Is(err, folio.ErrCorrupt)) {
		return fmt.Errorf("after the cache has let go: %w", err)
	}
	return x.reopened(h)
}

// next is the session after h, which ended at an event and left disk.
func (x *syncRun) next(h *pipeHistory, disk *foliotest.Disk, end int) error {
	x.tried++
	next := h.after(disk, end)
	if err := next.recovered(next.first); err != nil {
		return err
	}
	if err := x.secondCrash(next, true); err != nil {
		return err
	}
	return next.close()
}

// after returns the history of the session after h, which ended at an event and left
// disk. Until that session is open, a power cut may leave what it may leave of h.
func (h *pipeHistory) after(disk *foliotest.Disk, end int) *pipeHistory {
	next := h.c.history(h.seed, disk)
	next.next, next.floor, next.first = h.next, end, h.allowed(end, false)
	return next
}

// killed has the process die after the effects of the whole session, none of whose
// syncs fails, and each sync of the next session fail in turn. It returns how many syncs
// the session has.
func (x *syncRun) killed() (syncs int, err error) {
	h, err := x.prepare()
	if err != nil {
		return 0, err
	}
	h.fault.set(0, nil)
	if err := errors.Join(x.c.run(h), h.close()); err != nil {
		return 0, err
	}
	syncs = h.fault.n
	every := x.limits.kills
	for cut := h.floor; every > 0 && cut <= h.disk.Events(); cut++ {
		if x.rnd.IntN(every) != 0 {
			continue
		}
		if err := x.failAgain(h, cut); err != nil {
			return syncs, fmt.Errorf("killed at event %d: %w", cut, err)
		}
	}
	return syncs, nil
}

// failAgain opens what is left of h after its death, and has each sync of that session
// fail in turn.
func (x *syncRun) failAgain(h *pipeHistory, end int) error {
	for k := 1; k == 1 || !x.c.heavy; k++ {
		for loss := range min(2, x.limits.losses) {
			came, err := x.failNext(h, end, k, loss)
			if err != nil {
				return fmt.Errorf("and then sync %d of the next session fails, loss %d (%s): %w", k, loss, x.loss(loss), err)
			}
			if !came {
				return nil
			}
		}
	}
	return nil
}

func (x *syncRun) failNext(h *pipeHistory, end, k, loss int) (came bool, err error) {
	defer noPanic(&err)
	x.tried++
	next := h.after(h.disk.Kill(end), end)
	x.fail(next, k, loss)
	err = next.recovered(next.first)
	if err == nil {
		err = x.again(next)
	}
	came, err = x.ended(next, err)
	if err != nil || !came {
		return came, err
	}
	events := next.disk.Events()
	return true, x.next(next, next.disk.Kill(events), events)
}
