package folio_test

// What cannot be opened as a file, and files that cannot be created.

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
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

// TestCannotCreate: an error of a creation names the file that the program has named,
// once, and is what the program can ask for.
func TestCannotCreate(t *testing.T) {
	for _, op := range []faultfs.Op{faultfs.Open, faultfs.Write, faultfs.Sync, faultfs.Publish} {
		for _, cause := range []error{unix.ENOSPC, unix.EDQUOT, unix.EFBIG, unix.EROFS, unix.EACCES} {
			path := filepath.Join(t.TempDir(), "db")
			var err error = &fs.PathError{Op: "write", Path: path + ".new-0123456789abcdef", Err: cause}
			nth, says := 1, "create "+path+": "+cause.Error()
			switch op {
			case faultfs.Open:
				nth = 2 // the first is of the file itself, which is not there
			case faultfs.Publish:
				err = &os.LinkError{Op: "publish", Old: path + ".new-0123456789abcdef", New: path, Err: cause}
			}
			noSpace := vfs.IsNoSpace(cause)
			if noSpace {
				says = "create " + path + ": " + folio.ErrNoSpace.Error() + ": " + cause.Error()
			}
			plan := faultfs.NewPlan(faultfs.Fault{Op: op, Nth: nth, Err: err})
			_, err = folio.OpenFS(faultfs.Wrap(vfs.OS(), plan), path, 0o600, nil)
			require.EqualError(t, err, says)
			require.ErrorIs(t, err, cause)
			require.Equal(t, noSpace, errors.Is(err, folio.ErrNoSpace))
			require.Equal(t, cause == unix.EACCES, os.IsPermission(err))
			names, err := os.ReadDir(filepath.Dir(path))
			require.NoError(t, err)
			require.Empty(t, names)
		}
	}
}

// TestCannotCreateInPlace: the same of an empty file that is there.
func TestCannotCreateInPlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	require.NoError(t, os.WriteFile(path, nil, 0o600))
	err := error(&fs.PathError{Op: "write", Path: path, Err: unix.ENOSPC})
	plan := faultfs.NewPlan(faultfs.Fault{Op: faultfs.Write, Err: err})
	_, err = folio.OpenFS(faultfs.Wrap(vfs.OS(), plan), path, 0o600, nil)
	require.ErrorIs(t, err, folio.ErrNoSpace)
	require.EqualError(t, err, "create "+path+": no space left for the file: no space left on device")
}
