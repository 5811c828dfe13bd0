// Commits compares how fast many goroutines get single puts committed durably, in
// one run: folio's Update, bbolt's Update and Batch, Pebble and Badger, in turns.
//
//	go -C bench/commits run . [-n keys] [-rounds n] [-seconds s] [-goroutines 1,2,...] [-only stores] [-dir dir]
//
// Every put is a transaction of its own, of a random key that exists, and flushed to
// the device before it returns. The medians of the rounds are printed, with folio's
// ratio to each; folio's own counters tell where its speed comes from. Machines drift:
// only the ratios of one run mean anything. Each store has a process of its own in each
// round, which loads it first: in one for all, the memory of each would be in the way of
// the others, and what some do in the background goes on when their turn is over. Before
// each measurement there is a rest, and the order is turned round each time.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
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
	alone := flag.Uint64("alone", 0, "measure the only store in this process, in the round of that number (for the program itself)")
	flag.Parse()
	c := &comparison{
		n: *n, rounds: *rounds, took: time.Duration(*seconds * float64(time.Second)),
		stores: strings.Split(*only, ","), results: make(map[cell][]float64), notes: make(map[cell]string),
	}
	for _, s := range strings.Split(*goroutines, ",") {
		g, err := strconv.Atoi(s)
		if err != nil || g < 1 {
			fmt.Fprintf(os.Stderr, "commits: -goroutines %q: numbers separated by commas\n", *goroutines)
			os.Exit(2)
		}
		c.goroutines = append(c.goroutines, g)
	}
	err := c.run(*dir, *alone)
	if err != nil {
		fmt.Fprintln(os.Stderr, "commits:", err)
		os.Exit(1)
	}
	if *alone == 0 {
		c.print()
	}
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
	results    map[cell][]float64 // microseconds a put
	notes      map[cell]string    // of the last round
}

// result is what a process says of a measurement, as a line of JSON.
type result struct {
	Goroutines int
	Micros     float64 // a put
	Note       string
}

func (c *comparison) run(dir string, round uint64) error {
	dir, err := os.MkdirTemp(dir, "folio-commits-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if round > 0 {
		return c.measureAll(c.stores[0], filepath.Join(dir, "db"), round)
	}
	fmt.Printf("%d keys of 16 bytes, values of 100 bytes; %d rounds of %v; %s, %d CPUs\n%s\n\n",
		c.n, c.rounds, c.took, runtime.Version(), runtime.NumCPU(), settings)
	for round := range c.rounds {
		for _, name := range c.order(round) {
			fmt.Fprintf(os.Stderr, "\rround %d, %-20s", round+1, name)
			if err := c.ask(name, dir, round+1); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	fmt.Fprintf(os.Stderr, "\r%60s\r", "")
	return nil
}

// ask has another process measure a store, with the flags of this one.
func (c *comparison) ask(name, dir string, round int) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := slices.Concat(os.Args[1:], []string{"-only", name, "-dir", dir, "-alone", strconv.Itoa(round)})
	cmd := exec.Command(self, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var r result
		if err := d.Decode(&r); err != nil {
			return err
		}
		at := cell{name, r.Goroutines}
		c.results[at] = append(c.results[at], r.Micros)
		c.notes[at] = r.Note
	}
	return nil
}

// measureAll loads a store, measures it, and prints the results.
func (c *comparison) measureAll(name, path string, seed uint64) error {
	s, err := openStore(name, path)
	if err != nil {
		return err
	}
	if err := s.load(c.n); err != nil {
		return err
	}
	for _, g := range c.goroutines {
		rest()
		r, err := c.measure(s, g, seed)
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
			return err
		}
	}
	return s.close()
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
func (c *comparison) measure(s store, goroutines int, seed uint64) (result, error) {
	var (
		wg    sync.WaitGroup
		mu    sync.Mutex
		puts  int
		first error
	)
	s.prepare(goroutines)
	before := s.counters()
	start := time.Now()
	for g := range goroutines {
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
	r := result{Goroutines: goroutines, Micros: float64(time.Since(start).Nanoseconds()) / 1e3 / float64(puts)}
	if after := s.counters(); after.commits > before.commits {
		d := after.minus(before)
		r.Note = fmt.Sprintf("%.1f puts a flush, %.2f pages a put",
			float64(d.commits)/float64(d.flushes), float64(d.pages)/float64(d.commits))
	}
	return r, first
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
	for _, g := range c.goroutines {
		for _, name := range c.stores {
			if note := c.notes[cell{name, g}]; note != "" {
				fmt.Printf("%s, %d goroutines: %s\n", name, g, note)
			}
		}
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	return v[len(v)/2]
}
