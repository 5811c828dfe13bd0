package vfs_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio/internal/vfs"
)

// lockHandles opens a file n times.
func lockHandles(t *testing.T, n int) (list []vfs.RangeLocks) {
	name := filepath.Join(t.TempDir(), "f")
	for range n {
		f, err := vfs.OS().OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		list = append(list, f.(vfs.RangeLocks))
	}
	return list
}

func TestRangeLocks(t *testing.T) {
	const far = 1<<62 + 1<<60
	h := lockHandles(t, 3)
	try := func(i int, off, n int64, exclusive, want bool) {
		t.Helper()
		ok, err := h[i].TryLockRange(off, n, exclusive)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	held := func(i int, off, n int64, exclusive bool, want int64) {
		t.Helper()
		at, held, err := h[i].RangeHeld(off, n, exclusive)
		require.NoError(t, err)
		require.Equal(t, want >= 0, held)
		if held {
			require.Equal(t, want, at)
		}
	}
	try(0, far, 1, false, true)
	try(1, far, 1, false, true)
	try(0, far, 1, true, false)
	held(2, far-5, 10, true, far)
	held(2, far-5, 10, false, -1)
	held(2, far-5, 5, true, -1)
	require.NoError(t, h[1].UnlockRange(far, 1))
	held(0, far, 1, true, -1) // its own is no lock of another
	try(0, far, 1, true, true)
	held(1, far, 1, false, far)
	try(1, far, 1, false, false)
	try(0, far, 1, false, true)
	try(1, far, 1, false, true)

	// Ranges are split, and let go with the handle.
	try(0, 10, 10, true, true)
	require.NoError(t, h[0].UnlockRange(12, 2))
	try(2, 12, 2, true, true)
	try(2, 11, 1, false, false)
	held(2, 14, 100, true, 14)
	require.NoError(t, h[0].(vfs.File).Close())
	held(2, 0, 100, true, -1)
	_, err := h[0].TryLockRange(0, 1, false)
	require.Error(t, err)

	// The lock of the whole file is another matter.
	ok, err := h[1].(vfs.File).TryLock(true)
	require.NoError(t, err)
	require.True(t, ok)
	try(2, 0, 1, true, true)
}

func TestLockRangeWaits(t *testing.T) {
	h := lockHandles(t, 2)
	ok, err := h[0].TryLockRange(5, 1, true)
	require.NoError(t, err)
	require.True(t, ok)
	done := make(chan error)
	go func() { done <- h[1].LockRange(0, 10, true) }()
	select {
	case <-done:
		require.Fail(t, "locked by two")
	default:
	}
	require.NoError(t, h[0].UnlockRange(5, 1))
	require.NoError(t, <-done)
	ok, err = h[0].TryLockRange(5, 1, false)
	require.NoError(t, err)
	require.False(t, ok)
}

// TestRangeLocksOfReaders has only shared locks, of a handle that cannot write.
func TestRangeLocksOfReaders(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(name, nil, 0o600))
	f, err := vfs.OS().OpenFile(name, os.O_RDONLY, 0)
	require.NoError(t, err)
	defer f.Close()
	r := f.(vfs.RangeLocks)
	ok, err := r.TryLockRange(1, 1, false)
	require.NoError(t, err)
	require.True(t, ok)
	_, err = r.TryLockRange(1, 1, true)
	require.ErrorIs(t, err, unix.EBADF)
	_, held, err := r.RangeHeld(1, 1, true)
	require.NoError(t, err)
	require.False(t, held)
}

func TestNetworkFile(t *testing.T) {
	f := lockHandles(t, 1)[0].(vfs.File)
	require.False(t, vfs.NetworkFile(f))
	m, err := vfs.NewMem().OpenFile("f", os.O_RDWR|os.O_CREATE, 0)
	require.NoError(t, err)
	require.False(t, vfs.NetworkFile(m))
}
