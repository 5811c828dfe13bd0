//go:build linux

package disk

// This file is responsible for leaving nothing behind: no mount, no loop device, no
// FUSE connection, however the process that made them has ended.

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// mount is a line of /proc/self/mountinfo.
type mount struct {
	dir  string
	kind string
}

// mountsBelow returns what is mounted in dir, the newest first.
func mountsBelow(dir string) ([]mount, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var found []mount
	for lines := bufio.NewScanner(f); lines.Scan(); {
		line := lines.Text()
		before, after, _ := strings.Cut(line, " - ")
		fields, kind := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(kind) == 0 || !below(fields[4], dir) {
			continue
		}
		found = append(found, mount{dir: fields[4], kind: kind[0]})
	}
	slices.Reverse(found)
	return found, nil
}

func below(path, dir string) bool { return strings.HasPrefix(path, dir+"/") }

// loopsBelow returns the loop devices that are on files in dir.
func loopsBelow(dir string) []string {
	var found []string
	files, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, file := range files {
		if b, err := os.ReadFile(file); err == nil && below(strings.TrimSpace(string(b)), dir) {
			found = append(found, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(file))))
		}
	}
	return found
}

// Leftovers returns the mounts in dir and the loop devices on files there.
func Leftovers(dir string) ([]string, error) {
	mounts, err := mountsBelow(dir)
	found := loopsBelow(dir)
	for _, m := range mounts {
		found = append(found, m.kind+" at "+m.dir)
	}
	return found, err
}

// Clean removes all mounts in dir and the loop devices on files there. Whoever hangs
// in one of them gets an error. dead tells that nobody serves the devices any more.
func Clean(dir string, dead bool) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	if dead {
		abort(mounts)
	}
	for _, m := range mounts { // the file systems on the devices, while they work
		if !isFuse(m) && unix.Unmount(m.dir, 0) != nil {
			_ = unix.Unmount(m.dir, unix.MNT_DETACH)
		}
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		for _, loop := range loopsBelow(dir) {
			_ = detachLoop(loop) // what is left is told below
		}
		if len(loopsBelow(dir)) == 0 || time.Now().After(end) {
			break
		}
		if time.Until(end) < 9*time.Second {
			abort(mounts) // somebody waits for an answer that does not come
		}
	}
	for _, m := range mounts {
		if isFuse(m) && unix.Unmount(m.dir, 0) != nil {
			abort(mounts)
			_ = unix.Unmount(m.dir, unix.MNT_DETACH)
		}
	}
	left, err := Leftovers(dir)
	if err == nil && len(left) > 0 {
		err = fmt.Errorf("cannot be removed: %s", strings.Join(left, ", "))
	}
	return err
}

func isFuse(m mount) bool { return strings.HasPrefix(m.kind, "fuse") }

// abort ends the FUSE connections: all that wait for an answer get an error.
func abort(mounts []mount) {
	for _, m := range mounts {
		if isFuse(m) {
			_ = unix.Unmount(m.dir, unix.MNT_FORCE)
		}
	}
}
