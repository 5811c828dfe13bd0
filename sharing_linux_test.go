package folio_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// Goal: who can open a file beside whom, and what that does to the metas. Method: as in
// processes_linux_test.go.

// TestShareFirstFlush: what was found in the file is made durable before the first
// commit goes over the other meta, whoever found it.
func TestShareFirstFlush(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "one")
	require.NoError(t, w.Close())
	o := folio.Options{Sharing: folio.ShareWriters}
	first, second := openShared(t, path, o), openShared(t, path, o)
	putAll(t, second, 0, 10, "two")
	require.EqualValues(t, 2, second.Stats().Flushes)
	putAll(t, first, 0, 10, "three")
	require.EqualValues(t, 1, first.Stats().Flushes)
}

// TestShareScrub: the meta pages are verified while others read, and left alone while
// somebody may write them.
func TestShareScrub(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "one")
	r := openShared(t, path, folio.Options{ReadOnly: true})
	beside := openShared(t, path, folio.Options{ReadOnly: true})
	scrub := func() (found int) {
		require.NoError(t, r.View(func(tx *folio.Tx) error {
			// Of the two metas, the one that nobody needs is damaged.
			f, err := os.OpenFile(path, os.O_RDWR, 0)
			require.NoError(t, err)
			defer f.Close()
			slot := int64(1 - r.Info().MetaSlot)
			_, err = f.WriteAt([]byte("damage"), slot*4096+200)
			require.NoError(t, err)
			_ = tx.Scrub(t.Context(), folio.ScrubOptions{Rate: -1, Found: func(*folio.CheckError) { found++ }})
			return nil
		}))
		return found
	}
	require.Zero(t, scrub())
	require.NoError(t, w.Close())
	require.Empty(t, viewValues(t, beside)["two"])
	require.Equal(t, 1, scrub())
}

// TestShareTable is the table of docs/processes.md.
func TestShareTable(t *testing.T) {
	kinds := []folio.Options{
		{ReadOnly: true}, {}, {Sharing: folio.ShareWriters},
		{ReadOnly: true, Sharing: folio.ShareNothing}, {Sharing: folio.ShareNothing},
	}
	beside := [5]string{"yyyyn", "ynnnn", "ynynn", "ynnyn", "nnnnn"}
	path := filepath.Join(t.TempDir(), "db")
	for i, first := range kinds {
		for j, second := range kinds {
			w, err := folio.Open(path, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, w.Close())
			a, err := folio.Open(path, 0, &first)
			require.NoError(t, err)
			second.Timeout = brief
			b, err := folio.Open(path, 0, &second)
			if want := beside[i][j] == 'y'; want != (err == nil) || !want && err != folio.ErrTimeout {
				t.Errorf("%+v beside %+v: %v", second, first, err)
			}
			if err == nil {
				require.NoError(t, b.Close())
			}
			require.NoError(t, a.Close())
		}
	}
}

// TestShareNoLockFile: where there can be no file beside it, a file is opened alone, and
// who waits is told why.
func TestShareNoLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{Sharing: folio.ShareNothing})
	putAll(t, w, 0, 10, "v")
	require.NoError(t, w.Close())
	require.NoError(t, os.Mkdir(path+"-lock", 0o700)) // cannot be opened as a file
	_, err := folio.Open(path, 0, &folio.Options{Sharing: folio.ShareWriters})
	require.ErrorContains(t, err, "several processes cannot write this file")
	r := openShared(t, path, folio.Options{ReadOnly: true})
	r2 := openShared(t, path, folio.Options{ReadOnly: true, Sharing: folio.ShareWriters})
	require.Equal(t, map[string]int{"v": 10}, viewValues(t, r2))
	_, err = folio.Open(path, 0, &folio.Options{Timeout: brief})
	require.Equal(t, folio.ErrTimeout, err)
	require.Empty(t, r.Processes())
	require.NoError(t, os.Remove(path+"-lock"))
	_, err = folio.Open(path, 0, &folio.Options{Timeout: brief})
	require.Equal(t, folio.ErrTimeout, err)
	require.NoError(t, r.Close())
	require.NoError(t, r2.Close())
	openShared(t, path, folio.Options{})
	require.NoError(t, os.Rename(path+"-lock", path+"-lock2"))
	require.NoError(t, os.Mkdir(path+"-lock", 0o700))
	_, err = folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: brief})
	require.ErrorIs(t, err, folio.ErrTimeout)
	require.ErrorContains(t, err, "cannot be read beside it")
	require.NoError(t, os.Remove(path+"-lock"))
	_, err = folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: brief})
	require.ErrorContains(t, err, "by way of another lock file")
}

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
