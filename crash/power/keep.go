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
	"strings"

	"github.com/foliodb/folio/crash/disk"
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
	k.Recording.print(k.Cut)
	x := l.newExploration(&k.Recording, k.Seed)
	if err := x.try(k.State, k.Cut, false); err != nil {
		return err
	}
	fmt.Printf("the state is as it may be: it holds transaction %d\n", x.found.N)
	return nil
}

// printed is how many events are printed.
const printed = 60

// print prints what happened before the power was cut.
func (r *recording) print(cut int) {
	least, most, _ := r.bounds(cut)
	fmt.Printf("%s %s, worker: %s\ncut before event %d: transaction %d must be there, and none behind %d\n",
		r.FS.Name, r.FS.Options, strings.Join(r.Worker.Args(), " "), cut, least, most)
	for i := max(0, cut-printed); i < cut; i++ {
		switch e := r.Events[i]; e.Kind {
		case disk.Write:
			fmt.Printf("%6d %9.3f ms  write %d bytes at %d\n", i, e.At.Seconds()*1e3, len(e.Data), e.Off)
		case disk.Failed:
			fmt.Printf("%6d %9.3f ms  error instead of a write of %d bytes at %d\n", i, e.At.Seconds()*1e3, len(e.Data), e.Off)
		case disk.Flush:
			fmt.Printf("%6d %9.3f ms  flush\n", i, e.At.Seconds()*1e3)
		case disk.Mark:
			fmt.Printf("%6d %9.3f ms  report %v\n", i, e.At.Seconds()*1e3, e.Report)
		}
	}
}
