//go:build linux

package main

// This file is responsible for the process that looks at databases: this one serves
// the disk that they are on, and so must not.

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/foliodb/folio/crash/work"
)

const checkCommand = "check"

// answer is what the checker says.
type answer struct {
	Found work.Found
	Err   string
}

// checkerMain is the checker: a question on each line of its input.
func checkerMain() int {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var c work.CheckConfig
		if err := in.Decode(&c); err != nil {
			return 0
		}
		found, err := work.Check(c)
		a := answer{Found: found}
		if err != nil {
			a.Err = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return 1
		}
	}
}

// checker is that process as this one sees it.
type checker struct {
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
}

func startChecker() (*checker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	c := &checker{cmd: exec.Command(self, checkCommand)}
	c.cmd.Stderr = &c.stderr
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.out = json.NewDecoder(out)
	return c, c.cmd.Start()
}

func (c *checker) close() {
	_ = c.in.Close()
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // it has been killed
}

// checkTime is how long a check may take.
const checkTime = time.Minute

func (c *checker) ask(q work.CheckConfig) (work.Found, error) {
	var a answer
	done := make(chan error, 1)
	go func() {
		err := json.NewEncoder(c.in).Encode(q)
		if err == nil {
			err = c.out.Decode(&a)
		}
		done <- err
	}()
	select {
	case err := <-done:
		if err != nil {
			return a.Found, fmt.Errorf("the checker has died: %w\n%.4000s", err, c.end())
		}
	case <-time.After(checkTime):
		return work.Found{}, fmt.Errorf("the check hangs: %.4000s", c.end())
	}
	if a.Err != "" {
		return a.Found, errors.New(a.Err)
	}
	return a.Found, nil
}

// end ends the process and returns what it has said.
func (c *checker) end() string {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait() // so that all of it is there
	return c.stderr.String()
}

// check asks the checker, and starts another one if it has died.
func (l *lab) check(q work.CheckConfig) (work.Found, error) {
	found, err := l.checker.ask(q)
	if l.checker.cmd.ProcessState != nil {
		l.checker.close()
		next, startErr := startChecker()
		if startErr != nil {
			return found, errors.Join(err, startErr)
		}
		l.checker = next
	}
	return found, err
}
