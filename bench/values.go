package main

// This file is responsible for values that folio keeps in pages of their own, or nearly:
// of a few thousand bytes, as documents and messages are.

import (
	"errors"
	"fmt"
	"math/rand/v2"
)

// valuesBytes is how much there is of each size, and valuesTx how many values a transaction
// overwrites.
const (
	valuesBytes = 60_000_000
	valuesTx    = 20
)

func (r *run) values() error {
	for _, size := range []int{1500, 3000, 6000, 15_000} {
		f := valuesFile{run: r, size: size, rnd: rand.New(rand.NewPCG(r.seed, 1))}
		f.keys = r.data.random[:min(valuesBytes/size, len(r.data.random))]
		if err := r.with(f.name(), 0, f.measureAll); err != nil {
			return err
		}
	}
	return nil
}

// valuesFile is a file of values of one size.
type valuesFile struct {
	*run
	size int
	keys [][]byte
	rnd  *rand.Rand
}

func (f *valuesFile) name() string { return fmt.Sprintf("values of %d", f.size) }

// measureAll loads the values at random, reads them, and overwrites some by small
// transactions: what is measured is the last third of three times as many as there are.
func (f *valuesFile) measureAll(s store) error {
	row := func(what string, n int, fn func() error) error {
		return f.measure(f.name()+": "+what, n, fn)
	}
	all, commits := len(f.keys), len(f.keys)/valuesTx
	get := func() error { return s.view(f.get) }
	scan := func() error { return s.view(f.scan) }
	for _, step := range []func() error{
		func() error { return row("random load, put", all, func() error { return f.load(s) }) },
		get, // brings it into memory
		func() error { return row("get, reading all", all, get) },
		func() error { return row("scan, reading all", all, scan) },
		func() error { return f.overwrite(s, 2*commits) },
		func() error {
			return row(fmt.Sprintf("durable tx, puts: %d", valuesTx), commits, func() error { return f.overwrite(s, commits) })
		},
	} {
		if err := step(); err != nil {
			return err
		}
	}
	f.table.size(f.name()+": file bytes a key at the end", f.store, float64(fileSize(f.path(f.name())))/float64(all))
	return nil
}

func (f *valuesFile) put(s store, n int, key func(i int) []byte) error {
	return s.update(func(b bucket) error {
		for i := range n {
			if err := b.Put(key(i), f.data.value(f.rnd.IntN(1<<20), f.size)); err != nil {
				return err
			}
		}
		return nil
	})
}

func (f *valuesFile) load(s store) error {
	for at := 0; at < len(f.keys); at += 1000 {
		n := min(1000, len(f.keys)-at)
		if err := f.put(s, n, func(i int) []byte { return f.keys[at+i] }); err != nil {
			return err
		}
	}
	return nil
}

func (f *valuesFile) overwrite(s store, commits int) error {
	for range commits {
		if err := f.put(s, valuesTx, func(int) []byte { return f.keys[f.rnd.IntN(len(f.keys))] }); err != nil {
			return err
		}
	}
	return nil
}

var errValues = errors.New("other values than were put")

func (f *valuesFile) get(b bucket) error {
	for _, k := range f.keys {
		v := b.Get(k)
		if len(v) != f.size {
			return errValues
		}
		sum(v)
	}
	return nil
}

func (f *valuesFile) scan(b bucket) error {
	n, c := 0, cursorOf(b)
	for k, v := c.First(); k != nil; k, v = c.Next() {
		sum(v)
		n++
	}
	if n != len(f.keys) {
		return errValues
	}
	return nil
}
