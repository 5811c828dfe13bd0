//go:build linux

package main

import (
	"os"
	"testing"

	"github.com/foliodb/folio/crash/disk"
)

func TestMain(m *testing.M) {
	if code, is := child(os.Args[1:]); is {
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// TestPower is a little of what the program does.
func TestPower(t *testing.T) {
	if err := disk.Possible(); err != nil {
		t.Skip("there can be no power cuts here: ", err)
	}
	r := run{seed: 1, sessions: 3, states: 20, only: "ext4$|ext4, killed|ext4, flushes fail$", parent: t.TempDir()}
	if testing.Short() {
		r.sessions, r.skip = 1, true
	}
	l, err := newLab(r.parent)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := r.all(l); err != nil {
		t.Error(err)
	}
	if err := l.close(); err != nil {
		t.Error(err)
	}
	if left, err := disk.Leftovers(l.dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
