package folio_test

// What the crash tests have in common: how a case is run, and how many states of disks
// there were in all.

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/foliodb/folio/internal/invariants"
)

var crashN = flag.Int("crash.n", 1, "multiplies the number of crashes that are tried")

// crashStates is how many states of disks have been opened and compared.
var crashStates atomic.Int64

// crashPart is a test, and how many of the states were its own. The controls, which
// end when something is noticed, are none.
type crashPart struct {
	name   string
	states int64
	took   time.Duration
}

var crashParts []crashPart

// countStates makes t one of crashParts when it and its subtests have ended. Tests that
// call it do not run beside each other.
func countStates(t *testing.T) {
	begun, before := time.Now(), crashStates.Load()
	t.Cleanup(func() {
		crashParts = append(crashParts, crashPart{t.Name(), crashStates.Load() - before, time.Since(begun)})
	})
}

// TestMain says in the end, of a run with -crash.n, how many states were tried.
func TestMain(m *testing.M) {
	code := m.Run()
	if *crashN > 1 && len(crashParts) > 0 {
		fmt.Println(crashSum(crashParts))
	}
	os.Exit(code)
}

// crashSum adds the parts up.
func crashSum(parts []crashPart) string {
	var states int64
	var took time.Duration
	var of []string
	for _, p := range parts {
		states, took = states+p.states, took+p.took
		of = append(of, fmt.Sprintf("%s %d in %.0f s", p.name, p.states, p.took.Seconds()))
	}
	return fmt.Sprintf("crashes: %d states in %.0f s, %.0f a second (%s)",
		states, took.Seconds(), float64(states)/took.Seconds(), strings.Join(of, ", "))
}

// crashSubtest runs a case of random crashes beside the others. run tries states cuts in
// each window, and says what there was.
func crashSubtest(t *testing.T, name string, states *int, run func() (string, error)) {
	t.Run(name, func(t *testing.T) {
		t.Parallel()
		if invariants.Enabled || testing.Short() {
			*states = max(1, *states/8)
		}
		what, err := run()
		if err != nil {
			t.Fatal(err)
		}
		t.Log(what)
	})
}

// subtest runs a short history with all its crashes, beside the others.
func (x *allRun) subtest(t *testing.T, history func() error) {
	t.Run(x.c.name, func(t *testing.T) {
		t.Parallel()
		begun := time.Now()
		if err := history(); err != nil {
			t.Fatalf("go test -run '%s' -seed %d -crash.n %d -short=%v: %v", t.Name(), x.seed, *crashN, testing.Short(), err)
		}
		t.Logf("%d cuts, %d failed calls, %d states, %.0f a second", x.cuts, x.failures, x.tried, float64(x.tried)/time.Since(begun).Seconds())
	})
}
