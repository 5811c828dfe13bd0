//go:build linux

package disk

// This file is responsible for the file systems of the kernel.

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// FileSystem is a file system as it is to be tested.
type FileSystem struct {
	Name    string // ext4 or xfs
	Size    int64
	Options string // of the mount
}

// Make returns a disk with an empty file system on it. scratch is a directory.
func (f FileSystem) Make(scratch string) ([]byte, error) {
	img := filepath.Join(scratch, "mkfs.img")
	defer os.Remove(img)
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		return nil, err
	}
	if err := os.Truncate(img, f.Size); err != nil {
		return nil, err
	}
	args := map[string][]string{
		"ext4": {"mkfs.ext4", "-q", "-F", "-b", "4096", "-m", "0", "-J", "size=4", "-E", "lazy_itable_init=0,lazy_journal_init=0", img},
		"xfs":  {"mkfs.xfs", "-q", "-f", "--unsupported", img},
	}[f.Name]
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%v: %w: %s", args, err, out)
	}
	return os.ReadFile(img)
}

// Missing returns why the file system cannot be tested here, or nil.
func (f FileSystem) Missing() error {
	if _, err := exec.LookPath("mkfs." + f.Name); err != nil {
		return fmt.Errorf("mkfs.%s is not installed", f.Name)
	}
	return nil
}

// Mount mounts the file system that is on a device. It is not for the process that
// serves the device, nor is Unmount.
func (f FileSystem) Mount(device, dir string) error {
	if err := unix.Mount(device, dir, f.Name, unix.MS_NOATIME, f.Options); err != nil {
		return fmt.Errorf("mount %s: %w", f.Name, err)
	}
	return nil
}

// Unmount unmounts what is at dir, and waits for who still uses it.
func Unmount(dir string) error {
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) {
		err := unix.Unmount(dir, 0)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(end) {
			return err
		}
	}
}

// Possible returns why there can be no devices here, or nil.
func Possible() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can mount")
	}
	for _, name := range []string{"/dev/fuse", "/dev/loop-control"} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	return nil
}
