//go:build !linux

package sidecar_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

func TestUnsupported(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	f, err := vfs.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = sidecar.Open(f, path, sidecar.Options{Role: sidecar.Reader, Mode: 0o600})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, sidecar.LockStatic(f, nil), errors.ErrUnsupported)
	require.NoFileExists(t, path+"-lock")
}
