//go:build linux

package main

// This file is responsible for the place where everything happens: a directory with
// a device, a mount point, and the processes that help.

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/foliodb/folio/crash/disk"
)

// lab is the place. It has one device, on which there is one disk at a time.
type lab struct {
	dir     string
	mnt     string
	device  *disk.Device
	helper  *helper
	guard   io.WriteCloser
	guarded *exec.Cmd
	closed  bool
}

const labPattern = "folio-power-*"

// diskSize is enough for what workers do, and little enough to be copied often.
const diskSize = 64 << 20

func newLab(parent string) (*lab, error) {
	dir, err := os.MkdirTemp(parent, labPattern)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	l := &lab{dir: dir, mnt: filepath.Join(dir, "mnt")}
	if err := l.set(); err != nil {
		return nil, errors.Join(err, l.close())
	}
	return l, nil
}

func (l *lab) set() error {
	fuse := filepath.Join(l.dir, "fuse")
	if err := errors.Join(os.Mkdir(fuse, 0o700), os.Mkdir(l.mnt, 0o700), l.startGuard()); err != nil {
		return err
	}
	var err error
	l.device, err = disk.NewDevice(fuse, diskSize, disk.NewOverlay(make([]byte, diskSize)))
	if err == nil {
		l.helper, err = startHelper()
	}
	return err
}

// close removes everything, and makes sure that nothing is left. The guard does it,
// while this process still serves the device.
func (l *lab) close() error {
	if l.closed {
		return nil
	}
	l.closed = true
	if l.helper != nil {
		l.helper.end()
	}
	if l.guard == nil {
		return os.RemoveAll(l.dir)
	}
	return errors.Join(l.guard.Close(), l.guarded.Wait())
}

const guardCommand = "guard"

// startGuard starts a process that cleans up when this one has gone, in whatever way.
func (l *lab) startGuard() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	l.guarded = exec.Command(self, guardCommand, l.dir)
	l.guarded.Stderr = os.Stderr
	l.guarded.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // ^C is not for it
	if l.guard, err = l.guarded.StdinPipe(); err != nil {
		return err
	}
	return l.guarded.Start()
}

// guardMain is the guard. A process that was killed may be there for ever as a zombie
// with its files open, if one of its threads waits for what it serves itself.
func guardMain(dir string) int {
	closed := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // until the other end is closed
		close(closed)
	}()
	parent := os.Getppid()
	for open := true; open && os.Getppid() == parent && !zombie(parent); {
		select {
		case <-closed:
			open = false
		case <-time.After(200 * time.Millisecond):
		}
	}
	if err := errors.Join(disk.Clean(dir, zombie(parent)), os.RemoveAll(dir)); err != nil {
		fmt.Fprintln(os.Stderr, "power: cleaning up:", err)
		return 1
	}
	return 0
}

// zombie tells whether a process has ended, but is not quite gone.
func zombie(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(b), ") ")
	return err != nil || strings.HasPrefix(state, "Z")
}

// cleanAll removes what runs have left in parent.
func cleanAll(parent string) error {
	dirs, err := filepath.Glob(filepath.Join(parent, labPattern))
	for _, dir := range dirs {
		fmt.Println("cleaning", dir)
		err = errors.Join(err, disk.Clean(dir, true), os.RemoveAll(dir))
	}
	return err
}
