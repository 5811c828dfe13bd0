package main

// This file is responsible for the results: medians, spreads and ratios.

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
)

// sample is one measurement: nanoseconds, or a size, of an operation.
type sample struct {
	value float64
	counts
}

// row is the samples of one workload by store.
type row struct {
	name    string
	size    bool // of a file, not a time
	alone   bool // without counts
	samples map[string][]sample
}

type table struct{ rows []*row }

func (t *table) row(name string) *row {
	for _, r := range t.rows {
		if r.name == name {
			return r
		}
	}
	r := &row{name: name, samples: make(map[string][]sample)}
	t.rows = append(t.rows, r)
	return r
}

func (t *table) add(name, store string, s sample) {
	r := t.row(name)
	r.samples[store] = append(r.samples[store], s)
}

func (t *table) size(name, store string, value float64) {
	t.alone(name, store, value)
	t.row(name).size = true
}

// alone adds a value that nothing was counted for.
func (t *table) alone(name, store string, value float64) {
	t.add(name, store, sample{value: value})
	t.row(name).alone = true
}

// required are the ratios that folio is held to.
var required = map[string]float64{
	"get, one long tx":      2,
	"scan, not reading":     1.3,
	"sorted load, put":      2.5,
	"random load, put":      2,
	"durable tx, puts: 1":   2,
	"durable tx, puts: 100": 5,
}

// perCommit are the rows whose work at the device is worth printing.
var perCommit = []string{"durable tx, puts: 1", "durable tx, puts: 100", "durable tx, 16 x 64 KiB", "durable tx, 1 x 1 MiB"}

func median(s []sample, f func(sample) float64) float64 {
	v := make([]float64, len(s))
	for i := range s {
		v[i] = f(s[i])
	}
	slices.Sort(v)
	return (v[len(v)/2] + v[(len(v)-1)/2]) / 2
}

func value(s sample) float64 { return s.value }

// spread is how far the samples are apart, in percent of their median.
func spread(s []sample) float64 {
	byValue := func(a, b sample) int { return int(a.value - b.value) }
	lo, hi := slices.MinFunc(s, byValue), slices.MaxFunc(s, byValue)
	return 100 * (hi.value - lo.value) / median(s, value)
}

// print writes the table. A ratio is b over a: above 1, a is faster or smaller.
func (t *table) print(out io.Writer, a, b string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "workload\t%s\tspread\t%s\tspread\tratio\tasked\tcpu ratio\tallocs %s\t%s\t\n", a, b, a, b)
	for _, r := range t.rows {
		sa, sb := r.samples[a], r.samples[b]
		if len(sa) == 0 || len(sb) == 0 {
			continue
		}
		va, vb := median(sa, value), median(sb, value)
		show, asked := duration, ""
		if r.size {
			show = func(v float64) string { return fmt.Sprintf("%.4g", v) }
		}
		if q := required[r.name]; q > 0 {
			asked = fmt.Sprintf("%.1f", q)
			if vb/va < q {
				asked += " !"
			}
		}
		fmt.Fprintf(w, "%s\t%s\t%.0f%%\t%s\t%.0f%%\t%.2f\t%s\t", r.name, show(va), spread(sa), show(vb), spread(sb), vb/va, asked)
		if r.alone {
			fmt.Fprintf(w, "\t\t\t\n")
			continue
		}
		allocs := func(s sample) float64 { return s.allocs }
		cpu := func(s sample) float64 { return s.cpu }
		fmt.Fprintf(w, "%.2f\t%.4g\t%.4g\t\n", median(sb, cpu)/median(sa, cpu), median(sa, allocs), median(sb, allocs))
	}
	fmt.Fprintln(w)
	fmt.Fprintf(w, "one commit\tstore\tflushes\tdevice writes\tKiB\twrite calls\t\n")
	for _, name := range perCommit {
		for _, store := range slices.Compact([]string{a, b}) {
			s := t.row(name).samples[store]
			if len(s) == 0 {
				continue
			}
			col := func(f func(sample) float64) string { return fmt.Sprintf("%.2f", median(s, f)) }
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t\n", name, store,
				col(func(s sample) float64 { return s.flushes }), col(func(s sample) float64 { return s.requests }),
				col(func(s sample) float64 { return s.kib }), col(func(s sample) float64 { return s.calls }))
		}
	}
	return w.Flush()
}

func duration(ns float64) string {
	switch {
	case ns < 1e4:
		return fmt.Sprintf("%.0f ns", ns)
	case ns < 1e6:
		return fmt.Sprintf("%.1f µs", ns/1e3)
	}
	return fmt.Sprintf("%.2f ms", ns/1e6)
}
