package vfs_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/vfstest"
)

func TestOS(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) { return vfs.OS(), t.TempDir() })
}

func TestMem(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) { return vfs.NewMem(), "dir" })
}

func TestFromOSFile(t *testing.T) {
	osf, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	f := vfs.FromOSFile(osf)
	require.Equal(t, osf.Name(), f.Name())
	require.NoError(t, f.WriteVecAt([][]byte{[]byte("ab"), []byte("c")}, 0))
	require.NoError(t, f.Close())
	require.ErrorIs(t, osf.Close(), os.ErrClosed)
}

func TestIsNoSpace(t *testing.T) {
	for _, err := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG} {
		require.True(t, vfs.IsNoSpace(err))
		require.True(t, vfs.IsNoSpace(fmt.Errorf("write: %w", &os.PathError{Op: "write", Path: "f", Err: err})))
	}
	for _, err := range []error{nil, syscall.EIO, errors.New("no space left on device")} {
		require.False(t, vfs.IsNoSpace(err))
	}
}

// TestMemMapLimit holds a mapping on the heap to a length that can be afforded,
// since callers ask for terabytes and halve.
func TestMemMapLimit(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.Map(1<<20 + 1)
	require.Error(t, err)
	require.NoError(t, f.Truncate(1<<20))
	_, err = f.Map(4 << 20)
	require.NoError(t, err)
	_, err = f.Map(4<<20 + 1)
	require.Error(t, err)
}

// TestMemOldMappingIsFrozen shows rule M2: a view of the array that the file
// has left keeps the bytes as they were.
func TestMemOldMappingIsFrozen(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("old"), 0)
	require.NoError(t, err)
	m, err := f.Map(4096)
	require.NoError(t, err)
	require.False(t, m.MayExceedFile())
	_, err = f.WriteAt([]byte{1}, 1<<20)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("new"), 0)
	require.NoError(t, err)
	require.Equal(t, "old", string(m.Bytes()[:3]))
}
