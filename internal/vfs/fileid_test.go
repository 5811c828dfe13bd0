package vfs_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
)

func TestFileID(t *testing.T) {
	type id struct{ dev, ino uint64 }
	get := func(name string) id {
		f, err := vfs.OS().OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		require.NoError(t, err)
		t.Cleanup(func() { _ = f.Close() })
		dev, ino, err := vfs.FileID(f)
		if runtime.GOOS == "windows" {
			require.ErrorIs(t, err, errors.ErrUnsupported)
			t.Skip("no inodes")
		}
		require.NoError(t, err)
		return id{dev, ino}
	}
	a, b := filepath.Join(t.TempDir(), "a"), filepath.Join(t.TempDir(), "b")
	of := get(a)
	require.NotEqual(t, of, get(b))
	require.NoError(t, os.Link(a, a+"2"))
	require.Equal(t, of, get(a+"2"))
	require.NoError(t, os.Rename(a, a+"3"))
	require.Equal(t, of, get(a+"3"))
	require.NotEqual(t, of, get(a))

	m, err := vfs.NewMem().OpenFile("f", os.O_RDWR|os.O_CREATE, 0)
	require.NoError(t, err)
	_, _, err = vfs.FileID(m)
	require.ErrorIs(t, err, errors.ErrUnsupported)
}
