package folio_test

// What cannot be opened as a file, and files that cannot be created.

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio"
)

// TestNoRegularFile: a pipe would be waited for, and a device can be written to before
// it is known that it is no file.
func TestNoRegularFile(t *testing.T) {
	dir := t.TempDir()
	pipe, file, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	require.NoError(t, unix.Mkfifo(pipe, 0o600))
	byHand := func(name string, flag int, perm os.FileMode) (*os.File, error) {
		return os.OpenFile(name, flag|unix.O_NONBLOCK, perm)
	}
	for _, path := range []string{pipe, "/dev/null", "/dev/zero"} {
		for _, o := range []folio.Options{{}, {ReadOnly: true}, {OpenFile: byHand}} {
			_, err := folio.Open(path, 0o600, &o)
			require.EqualError(t, err, "open "+path+": not a regular file: copy what is in it into one first")
		}
	}
	require.NoError(t, os.Symlink(file, link))
	for range 2 { // created, and opened
		db, err := folio.Open(link, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Close())
	}
}
