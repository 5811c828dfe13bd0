//go:build linux

package main

// This file is responsible for the process that mounts disks and looks at databases.
// This one serves what is below, and so must not: a thread that waits in the kernel for
// its own process cannot even be killed, and all that look at the device wait with it.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"time"

	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

const helpCommand = "help"

// request is what the helper is to do, in this order.
type request struct {
	Mount   *mountRequest
	Check   *work.CheckConfig
	Unmount string // a directory
}

type mountRequest struct {
	FS     disk.FileSystem
	Device string
	Dir    string
}

// answer is what the helper says.
type answer struct {
	Found work.Found
	Err   string
}

// helperMain is the helper: a request on each line of its input.
func helperMain() int {
	signal.Ignore(os.Interrupt) // the other process ends this one
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var q request
		if err := in.Decode(&q); err != nil {
			return 0
		}
		found, err := q.do()
		a := answer{Found: found}
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return 1
		}
	}
}

func (q *request) do() (f work.Found, err error) {
	if m := q.Mount; m != nil {
		if err := m.FS.Mount(m.Device, m.Dir); err != nil {
			return f, err
		}
	}
	if q.Check != nil {
		f, err = work.Check(*q.Check)
	}
	if q.Unmount != "" {
		err = errors.Join(err, disk.Unmount(q.Unmount))
	}
	return f, err
}

// helper is that process as this one sees it.
type helper struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
}

func startHelper() (*helper, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	h := &helper{cmd: exec.Command(self, helpCommand)}
	h.cmd.Stderr = &h.stderr
	if h.in, err = h.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	h.out = json.NewDecoder(out)
	return h, h.cmd.Start()
}

// helpTime is how long a request may take.
const helpTime = time.Minute

func (h *helper) ask(q request) (work.Found, error) {
	var a answer
	done := make(chan error, 1)
	go func() {
		err := json.NewEncoder(h.in).Encode(q)
		if err == nil {
			err = h.out.Decode(&a)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return a.Found, fmt.Errorf("the process that looks at the database has died: %w\n%.4000s", err, h.end())
		}
	case <-time.After(helpTime):
		return work.Found{}, fmt.Errorf("it hangs: %.4000s", h.end())
	}
	if a.Err != "" {
		return a.Found, errors.New(a.Err)
	}
	return a.Found, nil
}

// end ends the process and returns what it has said.
func (h *helper) end() string {
	_ = h.cmd.Process.Kill()
	_ = h.cmd.Wait() // so that all of it is there
	return h.stderr.String()
}

// ask asks the helper, and starts another one if it has died.
func (l *lab) ask(q request) (work.Found, error) {
	found, err := l.helper.ask(q)
	if l.helper.cmd.ProcessState == nil {
		return found, err
	}
	next, startErr := startHelper()
	if startErr != nil {
		return found, errors.Join(err, startErr)
	}
	l.helper = next
	return found, errors.Join(err, l.unmount())
}

func (l *lab) mount(fs disk.FileSystem) error {
	_, err := l.ask(request{Mount: &mountRequest{fs, l.device.Path, l.mnt}})
	return err
}

func (l *lab) unmount() error {
	_, err := l.ask(request{Unmount: l.mnt})
	return err
}
