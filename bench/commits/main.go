// Commits compares how fast many goroutines get single puts committed durably, in
// one run: folio's Update, bbolt's Update and Batch, Pebble and Badger, in turns.
//
//	go -C bench/commits run . [-n keys] [-rounds n] [-seconds s] [-goroutines 1,2,...] [-only stores] [-dir dir]
//
// Every put is a transaction of its own, of a random key that exists, and flushed to
// the device before it returns. The medians of the rounds are printed, with folio's
// ratio to each; folio's own counters tell where its speed comes from. Machines drift:
// only the ratios of one run mean anything. Before each measurement there is a rest, and
// the order is turned round each time, for what some stores do in the background goes on
// when their turn is over.
package main

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

func main() {
	n := flag.Int("n", 1_000_000, "number of keys")
	rounds := flag.Int("rounds", 3, "number of rounds")
	seconds := flag.Float64("seconds", 2, "how long each measurement takes")
	goroutines := flag.String("goroutines", "1,2,4,8,16,32,64", "numbers of goroutines")
	only := flag.String("only", strings.Join(names, ","), "stores")
	dir := flag.String("dir", "", "directory on the device to be measured; default a temporary one")
	flag.Parse()
	c := &comparison{
		n: *n, rounds: *rounds, took: time.Duration(*seconds * float64(time.Second)),
		stores: strings.Split(*only, ","), results: make(map[cell][]float64),
	}
	for _, s := range strings.Split(*goroutines, ",") {
		g, err := strconv.Atoi(s)
		if err != nil || g < 1 {
			fmt.Fprintf(os.Stderr, "commits: -goroutines %q: numbers separated by commas\n", *goroutines)
			os.Exit(2)
		}
		c.goroutines = append(c.goroutines, g)
	}
	if err := c.run(*dir); err != nil {
		fmt.Fprintln(os.Stderr, "commits:", err)
		os.Exit(1)
	}
	c.print()
}

type cell struct {
	store      string
	goroutines int
}

type comparison struct {
	n, rounds  int
	took       time.Duration
	stores     []string
	goroutines []int
	results    map[cell][]float64 // microseconds a put, and latencies
	notes      []string
}

func (c *comparison) run(dir string) error {
	dir, err := os.MkdirTemp(dir, "folio-commits-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("%d keys of 16 bytes, values of 100 bytes; %d rounds of %v; %s, %d CPUs\n%s\n\n",
		c.n, c.rounds, c.took, runtime.Version(), runtime.NumCPU(), settings)
	open := make(map[string]store)
	defer func() {
		for _, s := range open {
			_ = s.close()
		}
	}()
	for _, name := range c.stores {
		fmt.Fprintf(os.Stderr, "\rloading %-20s", name)
		s, err := openStore(name, filepath.Join(dir, strings.ReplaceAll(name, " ", "-")))
		if err != nil {
			return err
		}
		open[name] = s
		if err := s.load(c.n); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for round := range c.rounds {
		for _, g := range c.goroutines {
			for _, name := range c.order(round) {
				rest()
				fmt.Fprintf(os.Stderr, "\rround %d, %d goroutines, %-20s", round+1, g, name)
				if err := c.measure(open[name], cell{name, g}, uint64(round)); err != nil {
					return fmt.Errorf("%s: %w", name, err)
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "\r%60s\r", "")
	return nil
}

// order returns the stores in another order for each round.
func (c *comparison) order(round int) []string {
	k := round / 2 % len(c.stores)
	order := slices.Concat(c.stores[k:], c.stores[:k])
	if round%2 == 1 {
		slices.Reverse(order)
	}
	return order
}

// rest lets the stores that work in the background come to an end with what their turn
// has left them.
func rest() {
	runtime.GC()
	time.Sleep(time.Second)
}

// measure lets goroutines put for a while.
func (c *comparison) measure(s store, at cell, seed uint64) error {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		puts  int
		first error
	)
	s.prepare(at.goroutines)
	before := s.counters()
	start := time.Now()
	for g := range at.goroutines {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(g)))
			value := make([]byte, 100)
			own := 0
			var err error
			for ; err == nil && time.Since(start) < c.took; own++ {
				fill(value, rnd.Uint64())
				err = s.put(key(rnd.IntN(c.n)), value)
			}
			mu.Lock()
			defer mu.Unlock()
			puts += own
			if first == nil {
				first = err
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	c.results[at] = append(c.results[at], float64(took.Nanoseconds())/1e3/float64(puts))
	if after := s.counters(); after.commits > before.commits {
		d := after.minus(before)
		c.notes = append(c.notes, fmt.Sprintf("%s, %d goroutines: %.1f puts a flush, %.2f pages a put",
			at.store, at.goroutines, float64(d.commits)/float64(d.flushes), float64(d.pages)/float64(d.commits)))
	}
	return first
}

func (c *comparison) print() {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "microseconds a put\t")
	for _, name := range c.stores {
		fmt.Fprintf(w, "%s\t", name)
		if name != c.stores[0] {
			fmt.Fprint(w, "ratio\t")
		}
	}
	fmt.Fprintln(w)
	for _, g := range c.goroutines {
		fmt.Fprintf(w, "%d goroutines\t", g)
		base := median(c.results[cell{c.stores[0], g}])
		for i, name := range c.stores {
			m := median(c.results[cell{name, g}])
			fmt.Fprintf(w, "%.1f\t", m)
			if i > 0 {
				fmt.Fprintf(w, "%.2f\t", m/base)
			}
		}
		fmt.Fprintln(w)
	}
	w.Flush()
	fmt.Println()
	for _, note := range c.notes[max(0, len(c.notes)-len(c.goroutines)):] {
		fmt.Println(note)
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
