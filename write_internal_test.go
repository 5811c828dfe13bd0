package folio

import (
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
)

// unitsAt returns a commit of nodes that lie in the given stretches, and of a run if its
// stretch is negative.
func unitsAt(pageSize int, stretches ...[2]int) *commit {
	c := &commit{db: &DB{pageSize: pageSize}, s: &store{}}
	for _, s := range stretches {
		if s[1] < 0 {
			c.units = append(c.units, unit{id: page.ID(s[0]), pages: uint64(-s[1])})
			continue
		}
		for i := range s[1] {
			c.s.dirty = append(c.s.dirty, dirtyPage{})
			c.units = append(c.units, unit{id: page.ID(s[0] + i), pages: 1, dirty: &dirtyPage{}})
		}
	}
	return c
}

func TestStretches(t *testing.T) {
	for name, tc := range map[string]struct {
		c    *commit
		most int
		want []int // first page of each
	}{
		"none":                        {unitsAt(4096), 64, nil},
		"one piece":                   {unitsAt(4096, [2]int{10, 60}), 64, []int{10}},
		"two pieces":                  {unitsAt(4096, [2]int{10, 3}, [2]int{14, 3}), 64, []int{10, 14}},
		"cut at a multiple":           {unitsAt(4096, [2]int{10, 100}), 64, []int{10, 64}},
		"few at a time":               {unitsAt(4096, [2]int{10, 30}), 8, []int{10, 16, 24, 32}},
		"large pages, any multiple":   {unitsAt(65536, [2]int{3, 20}), 8, []int{3, 11, 19}},
		"with a run, which is one":    {unitsAt(4096, [2]int{10, 4}, [2]int{14, -900}, [2]int{914, 4}), 64, []int{10}},
		"behind a run":                {unitsAt(4096, [2]int{10, -900}, [2]int{911, 4}), 64, []int{10, 911}},
		"a multiple that is too near": {unitsAt(4096, [2]int{13, 30}), 12, []int{13, 25, 32}},
	} {
		t.Run(name, func(t *testing.T) {
			var firsts []int
			stretches := tc.c.stretches(tc.c.units, tc.most)
			for _, s := range stretches {
				firsts = append(firsts, int(s[0].id))
			}
			require.Equal(t, tc.want, firsts)
			require.Equal(t, tc.c.units, slices.Concat(stretches...))
		})
	}
}

// TestStretchesFit: whatever there is, no stretch has a gap or more nodes than fit.
func TestStretchesFit(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	for range 2000 {
		var at [][2]int
		id := 2
		for range rnd.IntN(6) {
			n := 1 + rnd.IntN(200)
			if rnd.IntN(5) == 0 {
				n = -n
			}
			at = append(at, [2]int{id, n})
			id += max(n, -n) + rnd.IntN(2)
		}
		c, most := unitsAt(4096, at...), 1+rnd.IntN(130)
		stretches := c.stretches(c.units, most)
		require.Equal(t, len(c.units), len(slices.Concat(stretches...)))
		for _, s := range stretches {
			nodes := 0
			for i, u := range s {
				if c.isNode(u) {
					nodes++
				}
				require.True(t, i == 0 || u.id == s[i-1].id+page.ID(s[i-1].pages))
			}
			require.LessOrEqual(t, nodes, most)
		}
	}
}

// TestInTurn: each is done once, whoever does it.
func TestInTurn(t *testing.T) {
	for workers := range 5 {
		for n := range 40 {
			done := make([]atomic.Int32, n)
			require.NoError(t, inTurn(workers, n, func(worker, i int) error {
				require.Less(t, worker, max(workers, 1))
				done[i].Add(1)
				return nil
			}))
			for i := range done {
				require.EqualValues(t, 1, done[i].Load())
			}
		}
	}
}

// TestInTurnPanics: whoever panics, the caller does, and not before all have ended.
func TestInTurnPanics(t *testing.T) {
	for workers := range 5 {
		for by := range max(workers, 1) {
			var running, panics atomic.Int32
			require.PanicsWithValue(t, "one of them", func() {
				_ = inTurn(workers, 1000, func(worker, i int) error {
					running.Add(1)
					defer running.Add(-1)
					runtime.Gosched()
					if worker == by || i == 999 {
						panics.Add(1)
						panic("one of them")
					}
					return nil
				})
			})
			require.Zero(t, running.Load())
			require.Positive(t, panics.Load())
		}
	}
}

// TestInTurnFails: after an error nothing else is begun, and it is the one returned.
func TestInTurnFails(t *testing.T) {
	for workers := range 4 {
		var calls atomic.Int32
		err := inTurn(workers, 1000, func(_, i int) error {
			if calls.Add(1) == 10 {
				return io.EOF
			}
			return nil
		})
		require.Equal(t, io.EOF, err)
		if workers <= 1 {
			require.EqualValues(t, 10, calls.Load())
		}
	}
}

// TestJob: a job is done once, by a goroutine of its own or by who waits, whoever comes
// first; its error and its panic are the waiter's.
func TestJob(t *testing.T) {
	for i := range 2000 {
		var calls atomic.Int32
		j := newJob(func() error {
			calls.Add(1)
			if i%5 == 4 {
				panic("the job")
			}
			return io.EOF
		})
		if i%3 > 0 {
			j.begin()
		}
		for range i % 40 {
			runtime.Gosched()
		}
		if i%5 == 4 {
			require.PanicsWithValue(t, "the job", func() { _ = j.wait() })
		} else {
			require.Equal(t, io.EOF, j.wait())
		}
		require.EqualValues(t, 1, calls.Load())
	}
}
