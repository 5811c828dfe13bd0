//go:build linux

package sidecar_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/stretchr/testify/require"
)

func TestQuick(t *testing.T) {
	p := filepath.Join(t.TempDir(), "d")
	d, err := vfs.OS().OpenFile(p, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	s, err := sidecar.Open(d, p, sidecar.Options{Role: sidecar.Writer, Mode: 0o600})
	require.NoError(t, err)
	require.True(t, s.First())
	require.NoError(t, s.Ready())
	d2, err := vfs.OS().OpenFile(p, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	s2, err := sidecar.Open(d2, p, sidecar.Options{Role: sidecar.Reader, Mode: 0o600})
	require.NoError(t, err)
	require.False(t, s2.First())
	sl, err := s2.Claim()
	require.NoError(t, err)
	sl[3].TxID.Store(7)
	require.Equal(t, []uint64{7}, s.Live())
	s.Publish([]byte("hello"), 5)
	b := make([]byte, 5)
	require.EqualValues(t, 1, s2.Read(b))
	require.Equal(t, "hello", string(b))
	t.Log(s.Processes())
	require.NoError(t, s2.Close())
	require.Empty(t, s.Live())
	require.NoError(t, s.Close())
	require.NoFileExists(t, p+"-lock")
}
