//go:build linux

package disk

// This file is responsible for loop devices.

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// attachLoop puts a loop device on a file and returns its name. Somebody else may
// take the free device first; then there is another one.
func attachLoop(file string) (string, error) {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	for range 100 {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return "", fmt.Errorf("LOOP_CTL_GET_FREE: %w", err)
		}
		name := fmt.Sprintf("/dev/loop%d", n)
		err = configureLoop(name, n, f)
		if !errors.Is(err, unix.EBUSY) {
			return name, err
		}
	}
	return "", errors.New("no loop device is free for long enough")
}

func configureLoop(name string, n int, f *os.File) error {
	if _, err := os.Stat(name); errors.Is(err, os.ErrNotExist) {
		if err := unix.Mknod(name, unix.S_IFBLK|0o600, int(unix.Mkdev(7, uint32(n)))); err != nil {
			return fmt.Errorf("mknod %s: %w", name, err)
		}
	}
	dev, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dev.Close()
	config := unix.LoopConfig{Fd: uint32(f.Fd())}
	copy(config.Info.File_name[:], f.Name())
	if err := unix.IoctlLoopConfigure(int(dev.Fd()), &config); err != nil {
		return fmt.Errorf("LOOP_CONFIGURE %s: %w", name, err)
	}
	return errors.Join(
		set(n, "max_sectors_kb", maxWrite>>10),
		// Files are small. Read ahead as usual they would be in memory at once, and no read
		// could fail or stall any more.
		set(n, "read_ahead_kb", 16),
	)
}

// set changes an attribute of the queue of loop device n.
func set(n int, attribute string, value int) error {
	return os.WriteFile(fmt.Sprintf("/sys/block/loop%d/queue/%s", n, attribute), fmt.Append(nil, value), 0)
}

// detachLoop takes the file from a loop device, at once or when nobody uses it any
// more.
func detachLoop(name string) error {
	dev, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer dev.Close()
	if err := unix.IoctlSetInt(int(dev.Fd()), unix.LOOP_CLR_FD, 0); err != nil && err != unix.ENXIO {
		return fmt.Errorf("LOOP_CLR_FD %s: %w", name, err)
	}
	return nil
}
