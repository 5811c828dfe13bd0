//go:build linux

package main

// This file is responsible for what a failure leaves behind, and for looking at it
// again.

import (
	"compress/gzip"
	"encoding/gob"
	"errors"
	"fmt"
	"os"
)

// kept is a recording and the state in it that was wrong.
type kept struct {
	Script     script
	Recording  recording
	Seed       uint64
	State, Cut int
}

// keep writes a recording to a file, and returns the error with how to replay it.
func (r *run) keep(rec *recording, seed uint64, wrong, recordErr error) error {
	err := errors.Join(wrong, recordErr)
	var w *wrongState
	if rec == nil || !errors.As(wrong, &w) {
		return err
	}
	name, keepErr := kept{Script: rec.script, Recording: *rec, Seed: seed, State: w.state, Cut: w.cut}.save(r.parent)
	if keepErr != nil {
		return errors.Join(err, keepErr)
	}
	return fmt.Errorf("%w\n  look at it again: go -C crash run ./power -replay %s", err, name)
}

func (k kept) save(dir string) (name string, err error) {
	f, err := os.CreateTemp(dir, "folio-power-failure-*.gob.gz")
	if err != nil {
		return "", err
	}
	zip := gzip.NewWriter(f)
	err = gob.NewEncoder(zip).Encode(k)
	return f.Name(), errors.Join(err, zip.Close(), f.Close())
}

func load(name string) (*kept, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	zip, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	var k kept
	err = gob.NewDecoder(zip).Decode(&k)
	k.Recording.script = k.Script // which is not exported
	return &k, err
}

// replay rebuilds a state and looks at it.
func (r *run) replay(l *lab, name string) error {
	k, err := load(name)
	if err != nil {
		return err
	}
	x := l.newExploration(&k.Recording, k.Seed)
	if err := x.try(k.State, k.Cut, false); err != nil {
		return err
	}
	fmt.Printf("the state is as it may be: it holds transaction %d\n", x.found.N)
	return nil
}
