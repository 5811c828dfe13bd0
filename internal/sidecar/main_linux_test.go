package sidecar_test

// Other processes for the tests: the test binary again, which does what it is told
// line by line.

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

const childEnv = "FOLIO_SIDECAR_CHILD"

func TestMain(m *testing.M) {
	switch os.Getenv(childEnv) {
	case "commands":
		obey(os.Stdin, os.Stdout)
	case "storm":
		stormChild()
	default:
		os.Exit(m.Run())
	}
}

// errTooLong is what the Wait functions of the tests give up with: something is held
// that should have been let go long ago, or is meant to be held.
var (
	errTooLong = errors.New("waited for too long")
	errHeld    = errors.New("held")
)

// patient returns a Wait for what comes to an end.
func patient() func() error {
	end := time.Now().Add(time.Minute)
	return func() error {
		if time.Now().After(end) {
			return errTooLong
		}
		time.Sleep(100 * time.Microsecond)
		return nil
	}
}

// never is a Wait that does not.
func never() error { return errHeld }

// handle is a database file that is open, and its sidecar.
type handle struct {
	*sidecar.Sidecar
	data vfs.File
}

// openData opens the database file at a path, and makes it if it is not there.
func openData(path string) (vfs.File, error) {
	return vfs.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
}

// openWith attaches a new handle.
func openWith(path string, role sidecar.Role, wait func() error) (*handle, error) {
	data, err := openData(path)
	if err != nil {
		return nil, err
	}
	s, err := sidecar.Open(data, path, sidecar.Options{Role: role, Mode: 0o600, Wait: wait})
	if err != nil {
		return nil, errors.Join(err, data.Close())
	}
	return &handle{s, data}, nil
}

func (h *handle) close() error { return errors.Join(h.Sidecar.Close(), h.data.Close()) }

// open attaches a new handle, which is closed with the test.
func open(t *testing.T, path string, role sidecar.Role) *handle {
	t.Helper()
	h, err := openWith(path, role, patient())
	require.NoError(t, err)
	t.Cleanup(func() { _ = h.close() })
	return h
}

// openReady is open, and lets others in.
func openReady(t *testing.T, path string, role sidecar.Role) *handle {
	t.Helper()
	h := open(t, path, role)
	require.NoError(t, h.Ready())
	return h
}

func dbPath(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	return filepath.Join(dir, "db")
}

// process is a child that takes commands.
type process struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startChild(t *testing.T, kind string, args ...string) *exec.Cmd {
	t.Helper()
	if os.Getenv("FOLIO_EMULATED") != "" {
		t.Skip("the emulator cannot start processes")
	}
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+kind)
	cmd.Stderr = os.Stderr
	return cmd
}

func start(t *testing.T) *process {
	t.Helper()
	cmd := startChild(t, "commands")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	p := &process{t, cmd, in, bufio.NewReader(out)}
	t.Cleanup(p.kill)
	return p
}

// kill kills the process, and returns when it is gone.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// send gives a command, whose answer is taken later.
func (p *process) send(format string, args ...any) {
	p.t.Helper()
	_, err := fmt.Fprintf(p.in, format+"\n", args...)
	require.NoError(p.t, err)
}

func (p *process) answer() string {
	p.t.Helper()
	line, err := p.out.ReadString('\n')
	require.NoError(p.t, err)
	return strings.TrimSpace(line)
}

// do gives a command and returns the answer.
func (p *process) do(format string, args ...any) string {
	p.t.Helper()
	p.send(format, args...)
	return p.answer()
}

// must gives a command that succeeds.
func (p *process) must(format string, args ...any) {
	p.t.Helper()
	require.Equal(p.t, "ok", p.do(format, args...), format)
}

// obey is the child.
func obey(in io.Reader, out io.Writer) {
	signal.Ignore(syscall.SIGXFSZ)
	c := &child{}
	for lines := bufio.NewScanner(in); lines.Scan(); {
		answer, err := c.run(strings.Fields(lines.Text()))
		switch {
		case err != nil:
			answer = "error: " + strings.ReplaceAll(err.Error(), "\n", "; ")
		case answer == "":
			answer = "ok"
		}
		fmt.Fprintln(out, answer)
	}
}

type child struct {
	h     *handle
	data  vfs.File
	slots []sidecar.Slot
}

func (c *child) run(words []string) (answer string, err error) {
	num := func(i int) uint64 {
		n, err := strconv.ParseUint(words[i], 10, 64)
		if err != nil {
			panic(err)
		}
		return n
	}
	switch words[0] {
	case "open": // path role
		c.h, err = openWith(words[1], sidecar.Role(num(2)), patient())
	case "tryopen":
		c.h, err = openWith(words[1], sidecar.Role(num(2)), never)
	case "static": // path
		if c.data, err = vfs.OS().OpenFile(words[1], os.O_RDONLY, 0); err == nil {
			err = sidecar.LockStatic(c.data, never)
		}
	case "first":
		return strconv.FormatBool(c.h.First()), nil
	case "ready":
		err = c.h.Ready()
	case "close":
		err = c.h.close()
	case "claim":
		var slots []sidecar.Slot
		if slots, err = c.h.Claim(); err == nil {
			c.slots = slots
		}
	case "enter": // slot txid
		c.slots[num(1)].TxID.Store(num(2))
	case "slot": // slot
		return strconv.FormatUint(c.slots[num(1)].TxID.Load(), 10), nil
	case "lock":
		err = c.h.LockTx(context.Background())
	case "trylock":
		var ok bool
		ok, err = c.h.TryLockTx()
		answer = strconv.FormatBool(ok)
	case "unlock":
		err = c.h.UnlockTx()
	case "limit": // bytes that a file can have
		err = unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: num(1), Max: unix.RLIM_INFINITY})
	case "note": // first count: entries {i, i+1}
		noteNumbered(c.h, num(1), num(2))
	default:
		err = fmt.Errorf("unknown command %q", words)
	}
	return answer, err
}

// noteNumbered notes count extents that can be told apart, and seen to be whole.
func noteNumbered(s interface{ Written(start, n uint64) }, first, count uint64) {
	for i := first; i < first+count; i++ {
		s.Written(i, ^i)
	}
}
