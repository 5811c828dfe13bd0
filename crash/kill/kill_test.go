//go:build unix

package main

import (
	"os"
	"testing"

	"github.com/foliodb/folio/crash/work"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == work.Command {
		os.Exit(work.Main(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestKill is a few rounds of what the program does.
func TestKill(t *testing.T) {
	r := run{seed: 1, count: 4, rounds: 8, parallel: 2, dir: t.TempDir()}
	if testing.Short() {
		r.count = 2
	}
	if err := r.controls(); err != nil {
		t.Fatal(err)
	}
	if err := r.all(); err != nil {
		t.Fatal(err)
	}
}
