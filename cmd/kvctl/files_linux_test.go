package main

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foliodb/folio"
)

// TestNoRegularFile: a pipe would be waited for, and a device is no file.
func TestNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	pipe, other := filepath.Join(dir, "pipe"), filepath.Join(dir, "new")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{pipe, "/dev/null"} {
		for _, args := range [][]string{
			{"info", file}, {"check", file}, {"put", file, "/b", "k", "v", "--create"}, {"load", file, "/b"}, {"page", file, "0"},
			{"salvage", file, other}, {"import", file, other}, {"export", file, other},
		} {
			if code, _, stderr := kvctl(args...); code != exitError || !strings.Contains(stderr, file+": not a regular file") {
				t.Errorf("%v: exit %d: %s", args, code, stderr)
			}
		}
	}
	onlyFiles(t, dir, "pipe")
}

// TestSalvageTurns: salvage takes no turns with programs that share writing, so waiting
// for one is no advice.
func TestSalvageTurns(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	w := startWorker(t, file, folio.ShareWriters)
	code, _, stderr := kvctl("salvage", file, file+".new", "--timeout", "20ms")
	if code != exitInUse || !strings.Contains(stderr, "close it there") || strings.Contains(stderr, "turn") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	w.end()
}
