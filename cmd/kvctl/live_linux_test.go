package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foliodb/folio"
)

// Goal: every verb beside a process that writes. Method: this program runs itself as
// that process, which commits as fast as it can.

const workerEnv, sharingEnv = "KVCTL_TEST_WORKER", "KVCTL_TEST_SHARING"

func TestMain(m *testing.M) {
	if os.Getenv(runEnv) != "" {
		main()
	}
	if file := os.Getenv(workerEnv); file != "" {
		sharing, err := strconv.Atoi(os.Getenv(sharingEnv))
		if err == nil {
			err = work(file, folio.Sharing(sharing))
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// work commits until the standard input ends, and says when it has begun to.
func work(file string, sharing folio.Sharing) error {
	db, err := folio.Open(file, 0o644, &folio.Options{Sharing: sharing, Timeout: 10 * time.Second})
	if err != nil {
		return err
	}
	end := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, os.Stdin)
		end <- err
	}()
	for i := 0; ; i++ {
		err := db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for k := 0; k < 20 && err == nil; k++ {
				err = b.Put(fmt.Appendf(nil, "%05d", (i*7919+k*31)%5000), bytes.Repeat([]byte{'v'}, i%300))
			}
			if err == nil {
				err = b.Put([]byte("large"), bytes.Repeat([]byte{'w'}, i%50*1000))
			}
			return err
		})
		if err != nil {
			return err
		}
		if i == 20 {
			fmt.Println("began")
		}
		select {
		case err := <-end:
			if err != nil {
				return err
			}
			return db.Close()
		default:
		}
	}
}

// worker is a process that writes.
type worker struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.Closer
}

func startWorker(t *testing.T, file string, sharing folio.Sharing) *worker {
	t.Helper()
	return startWorkerAs(t, file, sharing, nil)
}

func startWorkerAs(t *testing.T, file string, sharing folio.Sharing, attr *syscall.SysProcAttr) *worker {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w := &worker{t: t, cmd: exec.Command(exe)}
	w.cmd.Env = append(os.Environ(), workerEnv+"="+file, fmt.Sprintf("%s=%d", sharingEnv, sharing))
	w.cmd.Stderr, w.cmd.SysProcAttr = os.Stderr, attr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.kill)
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "began\n" {
		t.Fatal(line, err)
	}
	return w
}

// kill ends the process in whatever it does.
func (w *worker) kill() {
	_ = w.cmd.Process.Kill() // it may have ended
	_ = w.cmd.Wait()
}

// end lets it close the file.
func (w *worker) end() {
	w.t.Helper()
	if err := w.in.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := w.cmd.Wait(); err != nil {
		w.t.Fatal(err)
	}
}

func TestLiveReading(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	w := startWorker(t, file, folio.ShareReaders)
	verbs := [][]string{
		{"info"}, {"info", "--json"}, {"stats"}, {"stats", "--json"}, {"buckets"}, {"get", "/b", "large"}, {"scan", "/b"}, {"count", "/b"},
		{"check"}, {"scrub", "--rate", "0"}, {"pages"}, {"pages", "--map"}, {"page", "0"}, {"page", "1", "--hex"}, {"readers"},
		{"watch", "-n", "10ms", "-c", "3"},
	}
	for i := range 5 {
		verbs := append(verbs, []string{"export", fmt.Sprint(file, ".db", i)})
		for _, args := range verbs {
			code, out, stderr := kvctl(append([]string{args[0], file}, args[1:]...)...)
			if code != 0 {
				t.Errorf("%v: exit %d: %s %s", args, code, out, stderr)
			}
		}
		var s statsJSON
		_, out, _ := kvctl("stats", file, "--json")
		if err := json.Unmarshal([]byte(out), &s); err != nil || s.Pages["freelist"] < 0 {
			t.Errorf("%v: %s", err, out)
		}
	}
	who := fmt.Sprintf("process %d (%s) has it open for writing", w.cmd.Process.Pid, program(&folio.Process{PID: w.cmd.Process.Pid}))
	if _, out, _ := kvctl("info", file); !strings.Contains(out, "in use: "+who) {
		t.Error(out)
	}
	for _, args := range [][]string{
		{"put", file, "/b", "k", "v"}, {"del", file, "/b", "--all"}, {"load", file, "/c", file}, {"salvage", file, file + ".new"},
	} {
		code, _, stderr := kvctl(append(args, "--timeout", "20ms")...)
		if code != exitInUse || !strings.Contains(stderr, who+": close it there, or wait") {
			t.Errorf("%s: exit %d: %s", args[0], code, stderr)
		}
	}
	w.end()
	if _, out, _ := kvctl("info", file); !strings.Contains(out, "closed properly") {
		t.Error(out)
	}
}

// TestLiveWriting: verbs that write take turns with programs that share writing.
func TestLiveWriting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	w := startWorker(t, file, folio.ShareWriters)
	for _, args := range [][]string{{"put", file, "/c", "k", "v", "--create"}, {"get", file, "/c", "k"}, {"del", file, "/c", "k"}, {"check", file}} {
		if code, out, stderr := kvctl(args...); code != 0 {
			t.Errorf("%s: exit %d: %s %s", args[0], code, out, stderr)
		}
	}
	w.end()
	db, err := folio.Open(file, 0, &folio.Options{Sharing: folio.ShareWriters})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin(true)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	code, _, stderr := kvctl("put", file, "/c", "k", "v", "--timeout", "50ms")
	if code != exitInUse || !strings.Contains(stderr, "it was not our turn in time") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestLiveWatch(t *testing.T) {
	file := filepath.Join(t.TempDir(), "t.folio")
	if code, _, stderr := kvctl("put", file, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	r, out := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	e := &env{out: bufio.NewWriter(out), timeout: time.Second}
	ended := make(chan error, 1)
	go func() {
		w := watcher{e: e, path: file, f: watchFlags{interval: 20 * time.Millisecond}}
		ended <- w.run(ctx)
		out.Close()
	}()
	s := bufio.NewScanner(r)
	// until reads on to a line that has all of the words.
	until := func(words ...string) {
		t.Helper()
		for s.Scan() {
			all := true
			for _, word := range words {
				all = all && strings.Contains(s.Text(), word)
			}
			if all {
				return
			}
		}
		t.Fatal("it ended before ", words)
	}
	until("-- ", "nobody has it open for writing")
	until("commits/s", "readers")
	until(" 0 ", " - ")
	for range 2 {
		w := startWorker(t, file, folio.ShareReaders)
		pid := fmt.Sprint("process ", w.cmd.Process.Pid)
		until("-- ", pid, "has it open for writing")
		until(" 1.0 ") // transactions in a group
		w.kill()
		until("-- ", pid, "has ended without closing the file")
		until("-- ", "nobody has it open for writing")
	}
	w := startWorker(t, file, folio.ShareReaders)
	until("-- ", "has it open for writing")
	w.end()
	until("-- ", "has closed the file")
	other := file + ".other"
	if code, _, stderr := kvctl("put", other, "/b", "k", "v", "--create"); code != 0 {
		t.Fatal(stderr)
	}
	if err := os.Rename(other, file); err != nil {
		t.Fatal(err)
	}
	until("-- ", "another file is there now")
	until("-- ", "nobody has it open for writing")
	stop()
	for s.Scan() {
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestLiveElsewhere: a process that has its number in a container is not taken for the one
// that has this number here.
func TestLiveElsewhere(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to make a pid namespace")
	}
	file := filepath.Join(t.TempDir(), "t.folio")
	w := startWorkerAs(t, file, folio.ShareReaders, &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID})
	for _, args := range [][]string{{"readers", file}, {"info", file}} {
		code, out, stderr := kvctl(args...)
		if code != 0 || !strings.Contains(out, "1") || !strings.Contains(out, "("+elsewhere+")") {
			t.Errorf("%s: exit %d: %s %s", args[0], code, out, stderr)
		}
	}
	var j struct{ Processes []processJSON }
	_, out, _ := kvctl("readers", "--json", file)
	if err := json.Unmarshal([]byte(out), &j); err != nil || len(j.Processes) != 1 {
		t.Fatal(err, out)
	}
	if p := j.Processes[0]; p.PID != 1 || !p.Foreign || p.Program != "" {
		t.Error(out)
	}
	w.end()
}
