//go:build linux

package main

// This file is responsible for the states of a recording.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

// cuts returns n places to cut a recording, ascending. Half of them are right behind
// a report: nothing that it needs may be on its way any more.
func (r *recording) cuts(n int, rnd *rand.Rand) []int {
	var marks []int
	for i, e := range r.Events {
		if e.Kind == disk.Mark && (e.Report.Kind == work.Acked || e.Report.Kind == work.Synced || e.Report.Kind == work.Seen) {
			marks = append(marks, i+1)
		}
	}
	cuts := make([]int, n)
	for i := range cuts {
		if len(marks) > 0 && rnd.IntN(2) == 0 {
			cuts[i] = marks[rnd.IntN(len(marks))]
		} else {
			cuts[i] = rnd.IntN(len(r.Events) + 1)
		}
	}
	slices.Sort(cuts)
	return cuts
}

// exploration is the states of a recording.
type exploration struct {
	lab    *lab
	rec    *recording
	oracle *work.Oracle
	seed   uint64
	cutter *disk.Cutter
	tried  int
	found  work.Found // in the state tried last
	before []byte     // that state, if it was asked for
}

func (l *lab) newExploration(r *recording, seed uint64) *exploration {
	return &exploration{
		lab: l, rec: r, seed: seed,
		oracle: work.NewOracle(r.Worker.Seed, r.Worker.Shape),
		cutter: disk.NewCutter(r.Base, r.Events),
	}
}

// wrongState is a state that is not as it must be.
type wrongState struct {
	state, cut int
	how        string
	err        error
}

func (w *wrongState) Error() string {
	return fmt.Sprintf("state %d: %s: %v", w.state, w.how, w.err)
}

func (w *wrongState) Unwrap() error { return w.err }

// try rebuilds the state of a number and a cut and looks at it. keep asks for a copy
// of it.
func (x *exploration) try(state, cut int, keep bool) error {
	rnd := rand.New(rand.NewPCG(x.seed, uint64(state)))
	overlay, how := x.cutter.At(cut, rnd)
	if keep {
		x.before = overlay.Bytes()
	}
	x.tried++
	if err := x.look(overlay, cut, rnd); err != nil {
		return &wrongState{state, cut, how, err}
	}
	return nil
}

func (x *exploration) look(overlay *disk.Overlay, cut int, rnd *rand.Rand) (err error) {
	x.lab.device.Set(overlay)
	writing := rnd.IntN(2) == 0
	check := work.CheckConfig{
		Path: filepath.Join(x.lab.mnt, "db"), Seed: x.rec.Worker.Seed, Shape: x.rec.Worker.Shape,
		Writing: writing, Next: writing && rnd.IntN(2) == 0 && x.rec.Worker.Ballast == "",
	}
	x.found, err = x.lab.ask(request{
		Mount: &mountRequest{x.rec.FS, x.lab.device.Path, x.lab.mnt}, Check: &check, Unmount: x.lab.mnt,
	})
	if err != nil && x.rec.mayGoBack() && strings.Contains(err.Error(), folio.ErrCorrupt.Error()) {
		x.rec.back++
		return nil
	}
	if err != nil {
		return err
	}
	least, most, exists := x.rec.bounds(cut)
	if exists && !x.found.Exists {
		return errors.New("the file is gone")
	}
	return x.oracle.Verify(x.found, least, most)
}
