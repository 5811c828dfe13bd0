//go:build linux

package main

import (
	"os"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == command {
		os.Exit(workerMain(os.Args[2:]))
	}
	os.Exit(m.Run())
}

// TestShare is a little of what the program does.
func TestShare(t *testing.T) {
	for _, mode := range []string{"readers", "writers"} {
		t.Run(mode, func(t *testing.T) {
			c := config{seed: 1, dir: t.TempDir(), mode: mode, time: 2500 * time.Millisecond, writers: 2, readers: 2}
			if testing.Short() {
				c.time = time.Second
			}
			if err := c.run(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
