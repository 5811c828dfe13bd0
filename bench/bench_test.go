package main

// The same as workloads of main, for go test -bench, benchstat and profiles.

import (
	"math/rand/v2"
	"path/filepath"
	"sync"
	"testing"
)

const benchKeys = 1_000_000

var benchData = sync.OnceValue(func() *data { return newData(benchKeys) })

// each runs fn on both stores, with a file of all keys, loaded at random.
func each(b *testing.B, fn func(b *testing.B, s store, d *data)) {
	for _, name := range []string{"folio", "bbolt"} {
		b.Run("store="+name, func(b *testing.B) {
			d := benchData()
			s, err := open(name, filepath.Join(b.TempDir(), "db"), 0)
			if err != nil {
				b.Fatal(err)
			}
			defer s.close()
			r := &run{store: name, data: d}
			if err := r.load(s, d.random); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.ResetTimer()
			fn(b, s, d)
		})
	}
}

func inView(b *testing.B, s store, fn func(bucket)) {
	if err := s.view(func(bk bucket) error { fn(bk); return nil }); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkGet(b *testing.B) {
	each(b, func(b *testing.B, s store, d *data) {
		inView(b, s, func(bk bucket) {
			i := 0
			for b.Loop() {
				bk.Get(d.random[i])
				i = (i + 1) % benchKeys
			}
		})
	})
}

func BenchmarkGetOwnView(b *testing.B) {
	each(b, func(b *testing.B, s store, d *data) {
		i := 0
		for b.Loop() {
			if _, err := s.get(d.random[i]); err != nil {
				b.Fatal(err)
			}
			i = (i + 1) % benchKeys
		}
	})
}

// BenchmarkView measures what a transaction costs that does nothing else.
func BenchmarkView(b *testing.B) {
	each(b, func(b *testing.B, s store, _ *data) {
		for b.Loop() {
			inView(b, s, func(bucket) {})
		}
	})
}

func BenchmarkScan(b *testing.B) {
	each(b, func(b *testing.B, s store, _ *data) {
		inView(b, s, func(bk bucket) {
			c := cursorOf(bk)
			for b.Loop() {
				if k, _ := c.Next(); k == nil {
					c.First()
				}
			}
		})
	})
}

func BenchmarkScanRead(b *testing.B) {
	each(b, func(b *testing.B, s store, _ *data) {
		inView(b, s, func(bk bucket) {
			c := cursorOf(bk)
			for b.Loop() {
				k, v := c.Next()
				if k == nil {
					k, v = c.First()
				}
				sum(k)
				sum(v)
			}
		})
	})
}

func BenchmarkRange100(b *testing.B) {
	each(b, func(b *testing.B, s store, d *data) {
		inView(b, s, func(bk bucket) {
			c, i := cursorOf(bk), 0
			for b.Loop() {
				n := 0
				for k, _ := c.Seek(d.random[i]); k != nil && n < 100; k, _ = c.Next() {
					n++
				}
				i = (i + 1) % benchKeys
			}
		})
	})
}

func BenchmarkDurable(b *testing.B) {
	for _, puts := range []int{1, 100} {
		b.Run(map[int]string{1: "puts=1", 100: "puts=100"}[puts], func(b *testing.B) {
			each(b, func(b *testing.B, s store, d *data) {
				r, rnd := &run{data: d}, rand.New(rand.NewPCG(1, 1))
				for b.Loop() {
					if err := s.update(func(bk bucket) error { return r.overwrite(bk, rnd, puts) }); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

func BenchmarkLoadSorted(b *testing.B) { load(b, func(d *data) [][]byte { return d.sorted }) }
func BenchmarkLoadRandom(b *testing.B) { load(b, func(d *data) [][]byte { return d.random }) }

// load measures putting all keys, not one.
func load(b *testing.B, keys func(*data) [][]byte) {
	for _, name := range []string{"folio", "bbolt"} {
		b.Run("store="+name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := &run{store: name, dir: b.TempDir(), data: benchData()}
				err := r.with("db", 0, func(s store) error { return r.load(s, keys(benchData())) })
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
