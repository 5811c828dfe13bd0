// Callbench measures what calls cost through this module, with folio's own API and with
// bbolt, in one run: rounds in which the three take turns. It prints the fastest of
// each, which is what the others would be without the neighbours. What this module adds
// to folio's own is too little for that: there it compares the fastest stretches, which
// are too short to be disturbed, and for the collector of garbage to be part of.
//
//	go run ./internal/callbench [-rounds n] [-time d] [-only pattern]
package main

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"go.etcd.io/bbolt/internal/published"
)

func main() {
	rounds := flag.Int("rounds", 15, "number of rounds")
	each := flag.Duration("time", 20*time.Millisecond, "time for each measurement")
	only := flag.String("only", ".", "pattern of the measurements")
	flag.Parse()
	if err := run(*rounds, *each, *only); err != nil {
		fmt.Fprintln(os.Stderr, "callbench:", err)
		os.Exit(1)
	}
}

// cost is what a call takes.
type cost struct {
	ns, least     float64 // on average, and in the fastest stretch
	bytes, allocs int
}

func (c cost) String() string { return fmt.Sprintf("%.0f ns %d B %d", c.ns, c.bytes, c.allocs) }

func run(rounds int, each time.Duration, only string) error {
	root, err := published.Root()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "callbench-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, theirs := filepath.Join(dir, "compat.test"), filepath.Join(dir, "bbolt.test")
	if err := published.Go(root, "test", "-c", "-o", ours, "."); err != nil {
		return err
	}
	if err := buildBolt(root, filepath.Join(dir, "bbolt"), theirs); err != nil {
		return err
	}
	compat, bolt := make(map[string]cost), make(map[string]cost)
	for range rounds {
		for program, costs := range map[string]map[string]cost{ours: compat, theirs: bolt} {
			if err := measure(program, each, only, costs); err != nil {
				return err
			}
		}
	}
	return print(compat, bolt)
}

// buildBolt builds the measurements with bbolt itself, in a module of its own.
func buildBolt(root, dir, program string) error {
	text, err := os.ReadFile(filepath.Join(root, "bench_test.go"))
	if err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "bench_test.go"), text, 0o644); err != nil {
		return err
	}
	if err := published.Go(dir, "mod", "init", "callbench"); err != nil {
		return err
	}
	newest := published.Versions[len(published.Versions)-1]
	if err := published.Go(dir, "get", published.Bbolt+"@"+newest); err != nil {
		return err
	}
	return published.Go(dir, "test", "-c", "-o", program, ".")
}

var line = regexp.MustCompile(`(?m)^Benchmark(\w+?)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op\s+(?:([\d.]+) least-ns/op\s+)?(\d+) B/op\s+(\d+) allocs/op`)

// measure runs a program and notes in costs what is less than before.
func measure(program string, each time.Duration, only string, costs map[string]cost) error {
	cmd := exec.Command(program, "-test.run", "^$", "-test.bench", only, "-test.benchtime", each.String(),
		"-test.count", "3") // the first of a process pays for its memory
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("%w: %s%s", err, out, stderr.String())
	}
	for _, m := range line.FindAllStringSubmatch(string(out), -1) {
		var c cost
		c.ns, _ = strconv.ParseFloat(m[2], 64) // the pattern has made sure of digits
		// Where each call takes another time, no stretch can stand for all.
		if c.least = c.ns; m[3] != "" {
			c.least, _ = strconv.ParseFloat(m[3], 64)
		}
		c.bytes, _ = strconv.Atoi(m[4])
		c.allocs, _ = strconv.Atoi(m[5])
		if old, ok := costs[m[1]]; ok {
			c.least = min(c.least, old.least)
			if old.ns < c.ns {
				c.ns, c.bytes, c.allocs = old.ns, old.bytes, old.allocs
			}
		}
		costs[m[1]] = c
	}
	return nil
}

func print(compat, bolt map[string]cost) error {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "call\tboltcompat\tfolio\tbbolt\tboltcompat : folio\tboltcompat : bbolt")
	for _, name := range slices.Sorted(maps.Keys(compat)) {
		if strings.HasPrefix(name, "Folio") {
			continue
		}
		a, b, c := compat[name], compat["Folio"+name], bolt[name]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%.2f\t%.2f\n", name, a, b, c, a.least/b.least, a.ns/c.ns)
	}
	return w.Flush()
}
