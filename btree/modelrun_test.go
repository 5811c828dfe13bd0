package btree_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag = flag.Uint64("seed", 0, "run the model test with this seed only")
	longFlag = flag.Duration("long", 0, "run each of the random tests for this long")
)

var pageSizes = [...]int{4096, 16384, 65536}

// randomRun returns the configuration and the operations of a seed.
func randomRun(seed uint64) (config, []op) {
	rnd := rand.New(rand.NewPCG(seed, 1))
	c := config{
		pageSize: pageSizes[[...]int{0, 0, 0, 0, 1, 2}[rnd.IntN(6)]],
		keys:     rnd.IntN(numKeyKinds),
		numKeys:  1 << (3 + rnd.IntN(10)),
		values:   rnd.IntN(numValueKinds),
		pack:     [...]int{0, 0, 100, 300}[rnd.IntN(4)],
	}
	ops := make([]op, 200+rnd.IntN(3000))
	// Some stretches of a sequence put keys one after the other, some mostly
	// delete.
	ascending, mood := uint64(0), 0
	for i := range ops {
		if i%128 == 0 {
			mood, ascending = rnd.IntN(6), rnd.Uint64()
		}
		o := op{byte(rnd.IntN(64)), byte(rnd.IntN(numSubjects)), rnd.Uint64(), rnd.Uint64(), rnd.Uint64()}
		switch mood {
		case 0, 1:
			ascending++
			o.kind, o.a = byte(rnd.IntN(40)), ascending
		case 2:
			ascending--
			o.kind, o.a = byte(rnd.IntN(30)), ascending
		case 3:
			o.kind = byte(28 + rnd.IntN(20))
		}
		ops[i] = o
	}
	return c, ops
}

// TestModel runs random operations and compares with a sorted slice. A failure
// names its seed: go test -run TestModel ./btree -seed N.
func TestModel(t *testing.T) {
	if *seedFlag != 0 {
		runSeed(t, *seedFlag)
		return
	}
	seed, n := uint64(time.Now().UnixNano()), 60
	if testing.Short() {
		n = 15
	}
	end := time.Now().Add(*longFlag)
	for i := 0; (i < n || time.Now().Before(end)) && !t.Failed(); i++ {
		runSeed(t, seed+uint64(i))
	}
}

// TestModelSeeds runs sequences that failed once, and a few more.
func TestModelSeeds(t *testing.T) {
	for seed := uint64(1); seed <= 40 && !t.Failed(); seed++ {
		runSeed(t, seed)
	}
}

func runSeed(t *testing.T, seed uint64) {
	t.Helper()
	c, ops := randomRun(seed)
	if err := runModel(c, ops); err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		t.Errorf("seed %d: %s\n%s", seed, first, report(c, shrink(c, ops)))
	}
}

// shrink leaves out whatever operations it can so that the rest still fails.
func shrink(c config, ops []op) []op {
	end := time.Now().Add(20 * time.Second)
	for size := len(ops) / 2; size > 0; {
		smaller := false
		for i := 0; i+size <= len(ops) && time.Now().Before(end); {
			less := append(append([]op{}, ops[:i]...), ops[i+size:]...)
			if runModel(c, less) != nil {
				ops, smaller = less, true
			} else {
				i += size
			}
		}
		if !smaller || size > len(ops) {
			size /= 2
		}
	}
	return ops
}

func report(c config, ops []op) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d operations still fail: %v\nconfig%+v []op{\n", len(ops), runModel(c, ops), c)
	for _, o := range ops[:min(len(ops), 60)] {
		fmt.Fprintf(&b, "\t%v,\n", o)
	}
	return b.String() + "}"
}

func stack() string { return string(debug.Stack()) }
