// Bench compares folio with bbolt, in one run: rounds in which both stores do the
// same with fresh files, one after the other, and first in turns.
//
//	go -C bench run . [-n keys] [-rounds n] [-only groups] [-dir dir]
//
// The medians of the rounds are printed with their ratio. Machines drift, and a
// virtual disk does so by a factor: only ratios of one run mean anything. The
// spread, largest minus smallest in percent of the median, tells how much. Run
// with -b folio to see what the same store under two names gives. The ratio of
// processor time means more than that of time when something else is running.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

func main() {
	n := flag.Int("n", 1_000_000, "number of keys")
	rounds := flag.Int("rounds", 5, "number of rounds")
	only := flag.String("only", "", "groups of workloads, separated by commas: sorted, main, churn, values, large, device")
	dir := flag.String("dir", "", "directory on the device to be measured; default a temporary one")
	b := flag.String("b", "bbolt", "what to compare with: bbolt or folio")
	until := flag.String("commit-until-killed", "", "store that commits to the file given until it is killed; for internal use")
	flag.Parse()
	var err error
	if *until != "" {
		err = commitUntilKilled(*until, flag.Arg(0))
	} else {
		err = compare(*n, *rounds, *only, *dir, *b)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// compare runs all rounds and prints the table.
func compare(n, rounds int, only, dir, b string) error {
	dir, err := os.MkdirTemp(dir, "folio-bench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	names := []string{"folio", b}
	if b == "folio" {
		names[1] = "folio'"
	}
	fmt.Printf("%d keys of 16 to 24 bytes, values of %d bytes; %d rounds; %s, %d CPUs, files in %s\n%s\n\n",
		n, valueSize, rounds, runtime.Version(), runtime.NumCPU(), dir, settings)
	d, t := newData(n), &table{}
	for round := range rounds {
		for _, g := range groups {
			if only != "" && !strings.Contains(","+only+",", ","+g.name+",") {
				continue
			}
			for turn := range names {
				name := names[(round+turn)%2]
				fmt.Fprintf(os.Stderr, "\rround %d of %d: %s, %s        ", round+1, rounds, g.name, name)
				if err := runGroup(g, name, dir, uint64(round), d, t); err != nil {
					return err
				}
			}
		}
	}
	fmt.Fprintf(os.Stderr, "\r%60s\r", "")
	return t.print(os.Stdout, names[0], names[1])
}

// runGroup runs g with fresh files and an empty heap.
func runGroup(g group, name, dir string, seed uint64, d *data, t *table) error {
	own := filepath.Join(dir, "run")
	if err := os.Mkdir(own, 0o700); err != nil {
		return err
	}
	defer os.RemoveAll(own)
	runtime.GC()
	r := &run{store: name, dir: own, seed: seed, data: d, meter: newMeter(dir), table: t}
	return g.fn(r)
}
