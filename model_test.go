package folio_test

// A random test of the whole database against nested sorted maps. The operations
// themselves are in modelops_test.go and modelread_test.go.
//
// An operation is a few numbers, and what they mean depends on the state that it
// meets. So any subsequence of a failing sequence makes sense, and it is shrunk
// before it is printed.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/vfs"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the random tests with this seed only")
	longFlag = flag.Bool("long", false, "run what takes much time or memory as well")
	modelN   = flag.Int("model.n", 6, "seeds that each model test runs")
	largeN   = flag.Int("large.n", 20_000_000, "keys in the transactions that only -long runs")
)

// rounds returns how much of something is tried: with -short or the invariants checked,
// else, and with -long.
func rounds(short, normal, long int) int {
	switch {
	case *longFlag:
		return long
	case invariants.Enabled || testing.Short():
		return short
	}
	return normal
}

var pageSizes = [...]int{4096, 16384, 65536}

type modelOp struct {
	kind    opKind
	a, b, c uint32
}

func (o modelOp) String() string {
	return fmt.Sprintf("{%s, %d, %d, %d},", opTable[o.kind].name, o.a, o.b, o.c)
}

// modelConfig is where a sequence runs.
type modelConfig struct {
	pageSize   int
	heap       bool
	twoFlushes bool
	verify     folio.VerifyMode
	durability folio.Durability
	maxDirty   int64 // 0: the default, which no sequence reaches
}

func (c modelConfig) String() string {
	return fmt.Sprintf("page size %d, heap %v, two flushes %v, verify %v, durability %v, %d dirty bytes",
		c.pageSize, c.heap, c.twoFlushes, c.verify, c.durability, c.maxDirty)
}

// groups tells whether a small commit takes one flush, which is in progress without
// the writer lock.
func (c modelConfig) groups() bool {
	return !c.twoFlushes && c.durability == folio.DurabilityFull && c.maxDirty != 1
}

// dirtyLimit returns what MaxDirty is for a seed: the default, or a few pages, or so
// little that every change finds too much.
func dirtyLimit(seed uint64, pageSize int) int64 {
	return [...]int64{0, 12 * int64(pageSize), 3 * int64(pageSize), 0, 40 * int64(pageSize), 1}[seed%6]
}

// generateOps returns n operations. For stretches of them the mood prefers
// insertions or deletions, so that trees grow and shrink.
func generateOps(rnd *rand.Rand, n int) []modelOp {
	var weighted [3][]opKind
	for k, o := range opTable {
		for mood := range weighted {
			w := o.weight
			if o.mood == mood {
				w *= 4
			}
			for range w {
				weighted[mood] = append(weighted[mood], opKind(k))
			}
		}
	}
	ops := make([]modelOp, n)
	mood := 0
	for i := range ops {
		if i%100 == 0 {
			mood = rnd.IntN(len(weighted))
		}
		ops[i] = modelOp{
			kind: weighted[mood][rnd.IntN(len(weighted[mood]))],
			a:    rnd.Uint32(), b: rnd.Uint32(), c: rnd.Uint32(),
		}
	}
	return ops
}

func TestModel(t *testing.T) {
	for _, size := range pageSizes {
		for _, heap := range []bool{false, true} {
			t.Run(fmt.Sprintf("pages of %d, heap %v", size, heap), func(t *testing.T) {
				t.Parallel()
				for i := range *modelN {
					seed := uint64(i + 1)
					if *seedFlag != 0 {
						seed = *seedFlag
					}
					testModelSeed(t, modelConfig{
						pageSize: size, heap: heap,
						twoFlushes: seed%4 == 3,
						verify:     folio.VerifyMode(seed % 3),
						durability: folio.Durability(seed / 2 % 6 / 4 * (1 + seed%2)),
						maxDirty:   dirtyLimit(seed, size),
					}, seed)
				}
			})
		}
	}
}

func testModelSeed(t *testing.T, cfg modelConfig, seed uint64) {
	n := 1500
	if invariants.Enabled || testing.Short() {
		n = 400
	}
	ops := generateOps(rand.New(rand.NewPCG(seed, uint64(cfg.pageSize))), n)
	err := runModel(t.TempDir(), cfg, ops)
	if err == nil {
		return
	}
	ops = shrinkOps(ops, func(ops []modelOp) bool { return runModel(t.TempDir(), cfg, ops) != nil })
	lines := make([]string, len(ops))
	for i, o := range ops {
		lines[i] = o.String()
	}
	t.Fatalf("-seed %d (%v): %v\nshrunk to %d operations, where it is: %v\n%s",
		seed, cfg, err, len(ops), runModel(t.TempDir(), cfg, ops), strings.Join(lines, "\n"))
}

// shrinkOps removes what is not needed to fail, for half a minute at most.
func shrinkOps(ops []modelOp, fails func([]modelOp) bool) []modelOp {
	deadline := time.Now().Add(30 * time.Second)
	for size := len(ops) / 2; size > 0; size /= 2 {
		for i := 0; i+size <= len(ops) && time.Now().Before(deadline); {
			if less := slices.Delete(slices.Clone(ops), i, i+size); fails(less) {
				ops = less
				continue
			}
			i += size
		}
	}
	return ops
}

// modelRun is a database beside its model.
type modelRun struct {
	cfg  modelConfig
	path string
	db   *folio.DB
	gate *foliotest.Gate
	done *foliotest.Bucket // what is committed, and the next write transaction sees
	seen *foliotest.Bucket // what readers see

	// In a write transaction:
	tx      *folio.Tx
	work    *foliotest.Bucket // what it sees
	at      *folio.Bucket     // the current bucket, and its model
	model   *foliotest.Bucket
	names   []string // of the current bucket
	lent    []lent
	saves   []modelSave
	saveIDs int
	held    []modelHandle
	calls   []uint32  // expected of OnCommit
	ran     *[]uint32 // those that came

	waiting []modelWait // transactions that wait for the gate, in order

	snaps   []modelSnap
	commits int
}

// lent is bytes that the database gave out, and what they were then.
type lent struct{ got, want []byte }

// modelSnap is a read transaction, and what it must see to its end.
type modelSnap struct {
	tx   *folio.Tx
	want *foliotest.Bucket
}

// modelFailure is the panic that ends a run.
type modelFailure struct{ error }

func (f modelFailure) Unwrap() error { return f.error }

func failf(format string, args ...any) { panic(modelFailure{fmt.Errorf(format, args...)}) }

func must(err error) {
	if err != nil {
		failf("unexpected error: %w", err)
	}
}

// wantErr fails unless got is want.
func wantErr(op string, got, want error) {
	if got != want {
		failf("%s: error %v, expected %v", op, got, want)
	}
}

// runModel runs ops and returns what went wrong.
func runModel(dir string, cfg modelConfig, ops []modelOp) (err error) {
	empty := foliotest.NewBucket()
	r := &modelRun{cfg: cfg, path: filepath.Join(dir, "db"), done: empty, seen: empty}
	r.gate = foliotest.NewGate(vfs.OS())
	if cfg.heap {
		r.gate.FS = vfs.NewMem()
	}
	defer func() {
		if p := recover(); p != nil {
			f, ours := p.(modelFailure)
			if !ours {
				f.error = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
			err = f.error
			if ours {
				r.abandon()
			} // else it may have left locks behind
		}
	}()
	r.open()
	for len(ops) > 0 {
		n := 0
		for n < len(ops)-1 && opTable[ops[n].kind].end == nil {
			n++
		}
		r.transaction(ops[:n], ops[n])
		ops = ops[n+1:]
	}
	r.settle()
	for len(r.snaps) > 0 {
		r.dropSnap(0)
	}
	return r.db.Close()
}

func (r *modelRun) open() {
	db, err := folio.OpenFS(r.gate, r.path, 0o600, &folio.Options{
		PageSize: r.cfg.pageSize, TwoFlushes: r.cfg.twoFlushes, Verify: r.cfg.verify,
		Durability: r.cfg.durability, MaxDirty: r.cfg.maxDirty,
	})
	must(err)
	r.db = db
	// The first one makes durable what Open has found, which takes a flush.
	must(db.Update(func(*folio.Tx) error { return nil }))
}

// abandon closes what a failed run has left open.
func (r *modelRun) abandon() {
	r.gate.Open()
	if r.tx != nil && r.tx.DB() != nil {
		_ = r.tx.Rollback()
	}
	for _, s := range r.snaps {
		_ = s.tx.Rollback()
	}
	if r.db != nil {
		_ = r.db.Close()
	}
}

// transaction runs ops in a write transaction that ends as the last operation
// says.
func (r *modelRun) transaction(ops []modelOp, last modelOp) {
	body := func(tx *folio.Tx) {
		r.tx, r.work = tx, r.done.Clone()
		r.top(modelOp{})
		r.calls, r.ran = nil, new([]uint32)
		r.do(ops)
		r.checkLent()
	}
	end := opTable[last.kind].end
	if end == nil {
		end = plainEnd(endUpdate)
	}
	if !opTable[last.kind].joins {
		r.settle()
	}
	before := r.done
	end(r, last, body)
	if len(r.waiting) == 0 {
		checkCalls(r.done != before, *r.ran, r.calls)
		r.seen = r.done
	}
	r.tx, r.lent, r.saves, r.held = nil, nil, nil, nil
	r.afterEnd()
}

// do runs ops. Some take those behind them as their body.
func (r *modelRun) do(ops []modelOp) {
	for len(ops) > 0 {
		o := ops[0]
		ops = ops[1:]
		switch k := opTable[o.kind]; {
		case k.around != nil:
			n := min(len(ops), int(o.a%12))
			k.around(r, o, ops[:n])
			ops = ops[n:]
		case k.do != nil:
			k.do(r, o)
		}
	}
}

// checkCalls compares the functions of OnCommit that were called with those that
// should have been.
func checkCalls(committed bool, ran, want []uint32) {
	if !committed {
		want = nil
	}
	if !slices.Equal(ran, want) {
		failf("OnCommit: %v were called, expected %v", ran, want)
	}
}

// afterEnd checks the whole database after a transaction.
func (r *modelRun) afterEnd() {
	r.commits++
	if r.db.Stats().FileSize > 4<<20 && r.commits%8 != 0 {
		return
	}
	must(r.db.View(func(tx *folio.Tx) error {
		return errors.Join(foliotest.Check(tx), foliotest.Diff(tx, r.seen))
	}))
}

// lend remembers bytes that must stay as they are to the end of the transaction.
func (r *modelRun) lend(b []byte) {
	if len(r.lent) < 500 {
		r.lent = append(r.lent, lent{b, slices.Clone(b)})
	}
}

func (r *modelRun) checkLent() {
	for _, l := range r.lent {
		if !slices.Equal(l.got, l.want) {
			failf("bytes that were handed out have changed from %s to %s", foliotest.Short(l.want), foliotest.Short(l.got))
		}
	}
}

// dropSnap compares snapshot i with its model and ends it.
func (r *modelRun) dropSnap(i int) {
	s := r.snaps[i]
	must(foliotest.Diff(s.tx, s.want))
	must(s.tx.Rollback())
	r.snaps = slices.Delete(r.snaps, i, i+1)
}
