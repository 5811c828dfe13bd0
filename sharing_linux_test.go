package folio_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// TestShareOwner: what root creates beside a file belongs to the owner of that file.
func TestShareOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{Sharing: folio.ShareNothing})
	putAll(t, w, 0, 10, "v")
	require.NoError(t, w.Close())
	require.NoError(t, os.Chown(path, 65534, 65533))
	openShared(t, path, folio.Options{ReadOnly: true})
	info, err := os.Stat(path + "-lock")
	require.NoError(t, err)
	st := info.Sys().(*syscall.Stat_t)
	require.EqualValues(t, 65534, st.Uid)
	require.EqualValues(t, 65533, st.Gid)
}
