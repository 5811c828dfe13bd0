package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Goal: a run that is interrupted leaves nothing behind, says so, and ends with the code
// of its signal. Method: this program runs itself as kvctl.

const runEnv = "KVCTL_TEST_RUN"

// process is a kvctl of its own.
type process struct {
	*exec.Cmd
	stderr bytes.Buffer
}

func startKvctl(t *testing.T, args ...string) *process {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{Cmd: exec.Command(exe, args...)}
	p.Env = append(os.Environ(), runEnv+"=1")
	p.Stderr = &p.stderr
	t.Cleanup(func() { _ = p.Process.Kill() }) // it may have ended
	return p
}

// interrupt sends a signal when there is a file of that pattern, and returns how the
// process has ended.
func (p *process) interrupt(t *testing.T, s os.Signal, pattern string) (code int, stderr string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(100 * time.Microsecond) {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("there is no %s: %s", pattern, &p.stderr)
		}
	}
	if err := p.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	_ = p.Wait() // an error if the code is not 0
	return p.ProcessState.ExitCode(), p.stderr.String()
}

func TestInterruptNewFiles(t *testing.T) {
	dir := t.TempDir()
	file, bolt := filepath.Join(dir, "a.folio"), filepath.Join(dir, "a.db")
	if err := fill(file, "b", 400000); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("export", file, bolt); code != 0 {
		t.Fatal(stderr)
	}
	for _, c := range []struct {
		verb, from string
		signal     os.Signal
		pattern    string
		code       int
	}{
		{"salvage", file, os.Interrupt, "x.salvage-*", exitInterrupted},
		{"salvage", file, syscall.SIGTERM, "x.salvage-*", exitTerminated},
		{"export", file, os.Interrupt, "x.new-*", exitInterrupted},
		{"export", file, syscall.SIGTERM, "x.new-*/x", exitTerminated},
		{"import", bolt, os.Interrupt, "x.new-*", exitInterrupted},
		{"import", bolt, syscall.SIGTERM, "x.new-*/x", exitTerminated},
	} {
		p := startKvctl(t, c.verb, c.from, filepath.Join(dir, "x"))
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		code, stderr := p.interrupt(t, c.signal, filepath.Join(dir, c.pattern))
		if code != c.code || !strings.Contains(stderr, "ed: "+filepath.Join(dir, "x")+" was not made") {
			t.Errorf("%s, %v: exit %d: %s", c.verb, c.signal, code, stderr)
		}
		onlyFiles(t, dir, "a.db", "a.folio")
	}
}

// TestInterruptLoad: it says how much is in the file, also while it waits for input.
func TestInterruptLoad(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	p := startKvctl(t, "load", file, "/b", "--format", "lines", "--batch", "2")
	in, err := p.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(in, "1\n2\n3\n4\n5\n")
	for {
		if _, out, _ := kvctl("count", file, "/b"); out == "4\n" {
			break
		}
	}
	code, stderr := p.interrupt(t, os.Interrupt, file)
	if code != exitInterrupted || !strings.Contains(stderr, "interrupted: 4 keys of the input are in the file") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	if _, out, _ := kvctl("info", file); !strings.Contains(out, "closed properly") {
		t.Error(out)
	}
}

// TestInterruptScrub: in a round, and between two.
func TestInterruptScrub(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if err := fill(file, "b", 20000); err != nil {
		t.Fatal(err)
	}
	p := startKvctl(t, "scrub", file, "--rate", "1KiB/s")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	code, stderr := p.interrupt(t, syscall.SIGTERM, file+"-lock")
	if code != exitTerminated || !strings.Contains(stderr, "before all was read") {
		t.Errorf("exit %d: %s", code, stderr)
	}
	p = startKvctl(t, "scrub", file, "--rate", "0", "--loop", "--pause", "1h")
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	code, stderr = p.interrupt(t, os.Interrupt, file)
	if code != exitInterrupted || !strings.Contains(stderr, "between two rounds") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}
