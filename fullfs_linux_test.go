package folio_test

// Full disks, real ones: a small tmpfs and a small ext4 on a loop device. Where the
// kernel does not let the test mount anything, it is skipped.

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// mountTmpfs mounts a tmpfs of size bytes.
func mountTmpfs(t *testing.T, size int) string {
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("mounting a tmpfs: %v (needs root)", err)
	}
	t.Cleanup(func() { require.NoError(t, unix.Unmount(dir, 0)) })
	return dir
}

// mountExt4 mounts an ext4 in a file of size bytes.
func mountExt4(t *testing.T, size int64) string {
	img, dir := filepath.Join(t.TempDir(), "img"), t.TempDir()
	require.NoError(t, os.WriteFile(img, nil, 0o600))
	require.NoError(t, os.Truncate(img, size))
	if out, err := command("mkfs.ext4", "-q", "-m", "0", img); err != nil {
		t.Skipf("mkfs.ext4: %v %s", err, out)
	}
	if out, err := command("mount", "-o", "loop", img, dir); err != nil {
		t.Skipf("mount -o loop: %v %s (needs root and loop devices)", err, out)
	}
	t.Cleanup(func() {
		out, err := command("umount", dir)
		require.NoError(t, err, "%s", out)
	})
	return dir
}

// command runs a program, but not for ever: mount waits for each loop device that hangs.
func command(name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.WaitDelay = time.Second
	return cmd.CombinedOutput()
}

// TestFullDisk fills a disk in several ways. Each time a commit fails with ErrNoSpace,
// nothing of it is there, the rest is, the database is not latched, and when there is
// room again the next commit works, without a reopen.
func TestFullDisk(t *testing.T) {
	for _, disk := range []struct {
		name string
		dir  func(t *testing.T) string
	}{
		{"tmpfs", func(t *testing.T) string { return mountTmpfs(t, 6<<20) }},
		{"ext4", func(t *testing.T) string { return mountExt4(t, 12<<20) }},
	} {
		for _, kind := range []struct {
			name    string
			options folio.Options
			puts    int // in a transaction
			size    int // of a value
		}{
			{"small commits", folio.Options{}, 3, 900},
			{"long values", folio.Options{}, 1, 200 << 10},
			{"two flushes", folio.Options{TwoFlushes: true}, 20, 900},
			{"relaxed", folio.Options{Durability: folio.DurabilityNone}, 20, 900},
			{"spilled", folio.Options{MaxDirty: 64 << 10}, 300, 900},
		} {
			t.Run(disk.name+", "+kind.name, func(t *testing.T) {
				testFullDisk(t, disk.dir(t), kind.options, kind.puts, kind.size)
			})
		}
	}
}

func testFullDisk(t *testing.T, dir string, o folio.Options, puts, size int) {
	filler := filepath.Join(dir, "filler")
	require.NoError(t, os.WriteFile(filler, bytes.Repeat([]byte{1}, 2<<20), 0o600))
	db, err := folio.Open(filepath.Join(dir, "db"), 0o600, &o)
	require.NoError(t, err)
	defer func() { require.NoError(t, db.Close()) }()

	committed := 0
	commit := func() error {
		err := db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err != nil {
				return err
			}
			for i := range puts {
				key := fmt.Appendf(nil, "%05d/%05d", uint32(committed)*2654435761%100000, i)
				if err := b.Put(key, bytes.Repeat([]byte{byte(committed)}, size)); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			committed++
		}
		return err
	}
	verify := func() {
		t.Helper()
		require.NoError(t, db.View(func(tx *folio.Tx) error {
			if b := tx.Bucket([]byte("b")); b == nil {
				require.Zero(t, committed)
			} else {
				require.Equal(t, uint64(committed*puts), b.Len())
			}
			return foliotest.Check(tx)
		}))
	}
	for err = commit(); err == nil; err = commit() {
	}
	require.ErrorIs(t, err, folio.ErrNoSpace)
	require.False(t, errors.Is(err, folio.ErrLatched), "%v", err)
	require.Positive(t, committed)
	verify()
	require.ErrorIs(t, commit(), folio.ErrNoSpace)
	verify()

	require.NoError(t, os.Remove(filler))
	require.NoError(t, commit(), "there is room again")
	verify()
	require.NoError(t, db.Close())
	db, err = folio.Open(filepath.Join(dir, "db"), 0o600, &o)
	require.NoError(t, err)
	verify()
}
