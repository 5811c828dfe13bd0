//go:build unix

package main

// This file is responsible for the negative controls: workers that do something
// wrong. If that is not found, the tests find nothing.

import (
	"fmt"
	"os"

	"github.com/foliodb/folio/crash/work"
)

// controlSeries is the number of the first control, out of the way of the others.
const controlSeries = 1 << 30

// controlRounds is how many kills a control may take.
const controlRounds = 300

func (r *run) controls() error {
	for i, lie := range []string{work.LieEarly, work.LieHalf} {
		l, err := r.newLife(controlSeries + i)
		if err != nil {
			return err
		}
		l.config.Lie = lie
		if err := l.found(); err != nil {
			return err
		}
		if err := os.RemoveAll(l.dir); err != nil {
			return err
		}
	}
	return nil
}

// found lives until something is found.
func (l *life) found() error {
	for kills := 1; kills <= controlRounds; kills++ {
		if l.run.interrupted.Load() {
			return nil
		}
		err := l.round()
		if err == nil {
			err = l.look()
		}
		if err != nil {
			fmt.Printf("control %q: found after %d kills: %.120s\n", l.config.Lie, kills, err.Error())
			return nil
		}
	}
	return fmt.Errorf("control %q was not found in %d kills", l.config.Lie, controlRounds)
}
