package sidecar_test

// Full disks, real ones: where the kernel does not let the test mount anything, it is
// skipped.

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

// TestFullDisk fills the disk under a process that is attached. What is in the file
// goes on to be stored to, also after it was written to the disk, where a file system
// that copies on write would look for another place; what is new is an error.
func TestFullDisk(t *testing.T) {
	sizes := map[string]int64{"tmpfs": 2 << 20, "ext4": 16 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}
	for kind, size := range sizes {
		t.Run(kind, func(t *testing.T) {
			if testing.Short() && kind != "tmpfs" {
				t.Skip("short")
			}
			path := filepath.Join(mount(t, kind, size), "db")
			p := start(t)
			p.must("open %s %d", path, sidecar.Writer)
			p.must("ready")
			p.must("claim")
			p.must("enter 0 1")
			p.must("note 0 4096")
			fill(t, filepath.Dir(path))
			syncDisk(t, path)
			for i := range 5 {
				p.must("enter 62 %d", 10+i)
				p.must("note 0 4096")
				syncDisk(t, path)
			}
			var answer string
			for range 1000 { // a block of the disk that was found for the metadata may have room
				if answer = p.do("claim"); answer != "ok" {
					break
				}
			}
			require.Contains(t, answer, "no space")
			p.must("enter 62 7")
			p.must("close")
		})
	}
}

// fill writes files until there is no room for another byte.
func fill(t *testing.T, dir string) {
	f, err := os.Create(filepath.Join(dir, "full"))
	require.NoError(t, err)
	defer f.Close()
	b := make([]byte, 1<<20)
	_, err = rand.Read(b)
	require.NoError(t, err)
	for len(b) > 0 {
		if _, err = f.Write(b); err == nil {
			err = f.Sync()
		}
		if err != nil {
			require.True(t, vfs.IsNoSpace(err), err)
			b = b[:len(b)/2]
		}
	}
}

// syncDisk writes to the disk what is on its way.
func syncDisk(t *testing.T, path string) {
	f, err := os.Open(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, unix.Syncfs(int(f.Fd())))
}

// mount mounts a new file system.
func mount(t *testing.T, kind string, size int64) string {
	dir := t.TempDir()
	if kind == "tmpfs" {
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
			t.Skipf("mounting a tmpfs: %v (needs root)", err)
		}
	} else {
		img := filepath.Join(t.TempDir(), "img")
		require.NoError(t, os.WriteFile(img, nil, 0o600))
		require.NoError(t, os.Truncate(img, size))
		for _, args := range [][]string{{"mkfs." + kind, "-q", img}, {"mount", "-o", "loop", img, dir}} {
			if out, err := command(args...); err != nil {
				t.Skipf("%s: %v %s", strings.Join(args, " "), err, out)
			}
		}
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	return dir
}

// command runs a program, but not for ever: mount waits for loop devices that hang.
func command(args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}
