package main

// This file is responsible for the workloads. Each function makes one or more
// rows of the table for one store in one round.

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"
)

// run is one store in one round.
type run struct {
	store string
	dir   string // empty, and of this run alone
	seed  uint64 // the same for both stores
	data  *data
	meter meter
	table *table
}

// group is workloads that need one file, or none.
type group struct {
	name string
	fn   func(*run) error
}

var groups = []group{
	{"sorted", (*run).sortedLoad},
	{"main", (*run).mainFile},
	{"churn", (*run).churn},
	{"values", (*run).values},
	{"large", (*run).largeValues},
	{"device", (*run).limits},
}

// measure calls fn, which does n operations, and enters a row.
func (r *run) measure(row string, n int, fn func() error) error {
	before := r.meter.read()
	start := time.Now()
	if err := fn(); err != nil {
		return fmt.Errorf("%s, %s: %w", r.store, row, err)
	}
	took := time.Since(start)
	r.table.add(row, r.store, sample{float64(took.Nanoseconds()) / float64(n), r.meter.read().since(before, n)})
	return nil
}

func (r *run) path(name string) string { return filepath.Join(r.dir, name) }

// with opens the file name, calls fn and closes it.
func (r *run) with(name string, reserve int, fn func(store) error) error {
	s, err := open(r.store, r.path(name), reserve)
	if err != nil {
		return err
	}
	if err := fn(s); err != nil {
		_ = s.close()
		return err
	}
	return s.close()
}

// load puts keys in transactions of 10,000.
func (r *run) load(s store, keys [][]byte) error {
	for at := 0; at < len(keys); at += 10_000 {
		err := s.update(func(b bucket) error {
			for i := at; i < min(at+10_000, len(keys)); i++ {
				if err := b.Put(keys[i], r.data.value(i, valueSize)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// loadRow is load of a new file as a row, with one for the size of the file.
func (r *run) loadRow(s store, row, file string, keys [][]byte) error {
	err := r.measure(row+", put", len(keys), func() error { return r.load(s, keys) })
	r.table.size(row+", file bytes a put", r.store, float64(fileSize(r.path(file)))/float64(len(keys)))
	return err
}

func (r *run) sortedLoad() error {
	return r.with("sorted", 0, func(s store) error {
		return r.loadRow(s, "sorted load", "sorted", r.data.sorted)
	})
}

// mainFile does everything that needs a file of all keys, loaded at random.
func (r *run) mainFile() error {
	err := r.with("main", 0, func(s store) error {
		return r.loadRow(s, "random load", "main", r.data.random)
	})
	if err != nil {
		return err
	}
	err = r.with("main", 0, func(s store) error {
		for _, fn := range []func(store) error{r.reads, r.commits, r.mixed, r.deletes} {
			if err := fn(s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.opens()
}

func (r *run) reads(s store) error {
	keys := r.data.random
	get := func(b bucket, k []byte) error {
		if len(b.Get(k)) != valueSize {
			return fmt.Errorf("wrong value of %q", k)
		}
		return nil
	}
	getAll := func(b bucket) error {
		for _, k := range keys {
			if err := get(b, k); err != nil {
				return err
			}
		}
		return nil
	}
	scan := func(read bool) func(bucket) error {
		return func(b bucket) error {
			c, n := cursorOf(b), 0
			for k, v := c.First(); k != nil; k, v = c.Next() {
				if n++; read {
					sum(k)
					sum(v)
				}
			}
			if n != len(keys) {
				return fmt.Errorf("scan found %d keys of %d", n, len(keys))
			}
			return nil
		}
	}
	// The first pass, which is not counted, brings the file into memory.
	if err := s.view(getAll); err != nil {
		return err
	}
	err := r.measure("get, one long tx", len(keys), func() error { return s.view(getAll) })
	if err != nil {
		return err
	}
	for _, workers := range []int{1, 2} {
		row := fmt.Sprintf("get, own View, %d goroutines", workers)
		if err := r.measure(row, len(keys), func() error { return freshViews(s, keys, workers) }); err != nil {
			return err
		}
	}
	for _, read := range []bool{false, true} {
		row := map[bool]string{false: "scan, not reading", true: "scan, reading all"}[read]
		if err := r.measure(row, 3*len(keys), func() error {
			return errors.Join(s.view(scan(read)), s.view(scan(read)), s.view(scan(read)))
		}); err != nil {
			return err
		}
	}
	if err := r.measure("scan backwards, reading all", len(keys), func() error {
		return s.view(func(b bucket) error {
			c, n := cursorOf(b), 0
			for k, v := c.Last(); k != nil; k, v = c.Prev() {
				sum(k)
				sum(v)
				n++
			}
			if n != len(keys) {
				return fmt.Errorf("scan found %d keys of %d", n, len(keys))
			}
			return nil
		})
	}); err != nil {
		return err
	}
	ranges := keys[:min(20_000, len(keys))]
	return r.measure("range of 100", len(ranges), func() error {
		return s.view(func(b bucket) error {
			c := cursorOf(b)
			for _, from := range ranges {
				n := 0
				for k, v := c.Seek(from); k != nil && n < 100; k, v = c.Next() {
					sum(v)
					n++
				}
			}
			return nil
		})
	})
}

// sum reads b.
func sum(b []byte) {
	var t uint64
	for len(b) >= 8 {
		t += le.Uint64(b)
		b = b[8:]
	}
	for _, c := range b {
		t += uint64(c)
	}
	runtime.KeepAlive(t) // else the compiler leaves the reading out
}

// freshViews gets every key in a transaction of its own, by several workers.
func freshViews(s store, keys [][]byte, workers int) error {
	var wg sync.WaitGroup
	errs := make([]error, workers)
	for w := range workers {
		wg.Go(func() {
			for i := w * len(keys) / workers; i < (w+1)*len(keys)/workers; i++ {
				if n, err := s.get(keys[i]); err != nil || n != valueSize {
					errs[w] = fmt.Errorf("value of %d bytes: %w", n, err)
					return
				}
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// commits overwrites random keys durably, 1 and 100 a transaction.
func (r *run) commits(s store) error {
	rnd := rand.New(rand.NewPCG(r.seed, 0))
	for _, w := range []struct{ n, puts int }{{10_000, 1}, {1000, 100}} {
		err := r.measure(fmt.Sprintf("durable tx, puts: %d", w.puts), w.n, func() error {
			for range w.n {
				if err := s.update(func(b bucket) error { return r.overwrite(b, rnd, w.puts) }); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// overwrite gives n random keys new values.
func (r *run) overwrite(b bucket, rnd *rand.Rand, n int) error {
	for range n {
		i := rnd.IntN(len(r.data.random))
		if err := b.Put(r.data.random[i], r.data.value(rnd.Int()&(1<<40-1), valueSize)); err != nil {
			return err
		}
	}
	return nil
}

// deletes removes a tenth of the keys one by one, and another tenth as a range,
// each in one durable transaction.
func (r *run) deletes(s store) error {
	n := len(r.data.sorted) / 10
	lone := make(map[string]bool, n)
	err := r.measure("delete 10 % one by one, key", n, func() error {
		return s.update(func(b bucket) error {
			for _, k := range r.data.random[:n] {
				if err := b.Delete(k); err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return err
	}
	for _, k := range r.data.random[:n] {
		lone[string(k)] = true
	}
	from := r.data.sorted[4*n : 5*n]
	hi := r.data.sorted[5*n]
	var keys [][]byte
	for _, k := range from {
		if !lone[string(k)] {
			keys = append(keys, k)
		}
	}
	return r.measure("delete 10 % as a range, all", 1, func() error {
		return s.update(func(b bucket) error { return deleteRange(b, from[0], hi, keys) })
	})
}

// churn replaces keys in a file of a tenth of them: transactions of 50 deletes
// and 50 puts of other keys, without and with a reader that stays open.
func (r *run) churn() error {
	n := len(r.data.random) / 10
	return r.with("churn", 8<<30, func(s store) error {
		if err := r.load(s, r.data.random[:n]); err != nil {
			return err
		}
		size := fileSize(r.path("churn"))
		at := 0
		for _, row := range []string{"churn", "churn, reader held"} {
			release := func() {}
			if row != "churn" {
				var err error
				if release, err = s.hold(); err != nil {
					return err
				}
			}
			const txs = 500
			err := r.measure(row+", op", 100*txs, func() error {
				for range txs {
					if err := s.update(func(b bucket) error { return r.replace(b, at, n) }); err != nil {
						return err
					}
					at += 50
				}
				return nil
			})
			release()
			if err != nil {
				return err
			}
			r.table.size(row+", file growth", r.store, float64(fileSize(r.path("churn")))/float64(size))
		}
		return nil
	})
}

// replace deletes the keys [at, at+50) of the n in the bucket and puts others.
func (r *run) replace(b bucket, at, n int) error {
	for i := at; i < at+50; i++ {
		if err := b.Delete(r.data.random[i%len(r.data.random)]); err != nil {
			return err
		}
		k := (i + n) % len(r.data.random)
		if err := b.Put(r.data.random[k], r.data.value(k, valueSize)); err != nil {
			return err
		}
	}
	return nil
}

// largeValues puts and gets values of 64 KiB, 16 a transaction, and of 1 MiB.
func (r *run) largeValues() error {
	return r.with("large", 0, func(s store) error {
		for _, w := range []struct {
			name         string
			size, tx, ks int
		}{{"64 KiB", 64 << 10, 40, 16}, {"1 MiB", 1 << 20, 40, 1}} {
			err := r.measure(fmt.Sprintf("durable tx, %d x %s", w.ks, w.name), w.tx, func() error {
				for t := range w.tx {
					err := s.update(func(b bucket) error {
						for i := range w.ks {
							if err := b.Put(fmt.Appendf(nil, "%s/%d/%d", w.name, t, i), r.data.value(t*w.ks+i, w.size)); err != nil {
								return err
							}
						}
						return nil
					})
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				return err
			}
			const gets = 5000
			rnd := rand.New(rand.NewPCG(r.seed, 1))
			err = r.measure("get "+w.name+", touch both ends", gets, func() error {
				return s.view(func(b bucket) error {
					for range gets {
						v := b.Get(fmt.Appendf(nil, "%s/%d/%d", w.name, rnd.IntN(w.tx), rnd.IntN(w.ks)))
						if len(v) != w.size || v[0] == v[1] && v[1] == v[2] && v[len(v)-1] == v[0] && v[3] == v[0] {
							return fmt.Errorf("wrong value")
						}
					}
					return nil
				})
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// opens opens the main file, gets one key and closes it: after its pages have
// left the memory, again, and after a process that kept committing was killed.
func (r *run) opens() error {
	open1 := func(row string) error {
		var s store
		err := r.measure(row, 1, func() (err error) {
			if s, err = open(r.store, r.path("main"), 0); err != nil {
				return err
			}
			_, err = s.get(r.data.random[0])
			return err
		})
		if err != nil {
			return err
		}
		return s.close()
	}
	if err := dropCache(r.path("main")); err != nil {
		return err
	}
	if err := open1("open and get, cold"); err != nil {
		return err
	}
	for range 5 {
		if err := open1("open and get, warm"); err != nil {
			return err
		}
	}
	for range 3 {
		if err := r.killWriter(); err != nil {
			return err
		}
		if err := open1("open and get, after kill -9"); err != nil {
			return err
		}
	}
	return nil
}

// killWriter runs this program again, to commit in a loop, and kills it.
func (r *run) killWriter() error {
	cmd := exec.Command(os.Args[0], "-commit-until-killed", r.store, r.path("main"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	_, err = io.ReadFull(out, make([]byte, 1))
	time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	return err
}

// commitUntilKilled is what killWriter runs. It writes a byte when it is at it.
func commitUntilKilled(name, path string) error {
	s, err := open(name, path, 0)
	if err != nil {
		return err
	}
	rnd := rand.New(rand.NewPCG(uint64(os.Getpid()), 0))
	for i := 0; ; i++ {
		err := s.update(func(b bucket) error {
			for range 10 {
				if err := b.Put(appendKey(nil, rnd), bytes.Repeat([]byte("k"), valueSize)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if i == 10 {
			fmt.Print("!")
		}
	}
}
