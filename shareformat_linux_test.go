package folio_test

// Goal: who has a file open is told when it becomes another one, or one of a newer
// version, or when the lock file is; and nothing is written to what is not understood.

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
)

// otherFile returns the bytes of a file with other content, and with a newer transaction
// than those of the tests: who begins to write waits for readers of newer ones.
func otherFile(t *testing.T, pageSize int) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "other")
	db := openShared(t, path, folio.Options{PageSize: pageSize})
	for range 20 {
		putAll(t, db, 0, 1000, "other")
	}
	require.NoError(t, db.Close())
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return content
}

func isOverwritten(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, folio.ErrInvalid)
	require.ErrorContains(t, err, "another file has been written over it")
}

// eachPageSize runs a test with a file to be replaced by one of each page size.
func eachPageSize(t *testing.T, run func(t *testing.T, path string, other []byte)) {
	for name, size := range map[string]int{"same page size": 4096, "other page size": 16384} {
		t.Run(name, func(t *testing.T) { run(t, filepath.Join(t.TempDir(), "db"), otherFile(t, size)) })
	}
}

// TestShareRenamedOver: who has a file open whose name another one takes keeps it; those
// who come later have the other one.
func TestShareRenamedOver(t *testing.T) {
	eachPageSize(t, func(t *testing.T, path string, other []byte) {
		w, r := openShared(t, path, folio.Options{}), openShared(t, path, folio.Options{ReadOnly: true})
		putAll(t, w, 0, 1000, "old")
		tx, err := r.Begin(false)
		require.NoError(t, err)
		defer tx.Rollback()
		require.NoError(t, os.WriteFile(path+"2", other, 0o600))
		require.NoError(t, os.Rename(path+"2", path))
		putAll(t, w, 0, 1000, "next")
		n := openShared(t, path, folio.Options{})
		putAll(t, n, 0, 1000, "newer")
		require.Equal(t, map[string]int{"old": 1000}, values(t, tx))
		require.NoError(t, tx.Rollback())
		require.Equal(t, map[string]int{"next": 1000}, viewValues(t, r))
		require.Equal(t, map[string]int{"newer": 1000}, viewValues(t, openShared(t, path, folio.Options{ReadOnly: true})))
	})
}

// TestShareWrittenOver: a reader is told as soon as somebody writes a file that was written
// over its own, and reads nothing of that.
func TestShareWrittenOver(t *testing.T) {
	eachPageSize(t, func(t *testing.T, path string, other []byte) {
		w, r := openShared(t, path, folio.Options{}), openShared(t, path, folio.Options{ReadOnly: true})
		putAll(t, w, 0, 1000, "old")
		require.NoError(t, w.Close())
		tx, err := r.Begin(false)
		require.NoError(t, err)
		defer tx.Rollback()
		require.Equal(t, map[string]int{"old": 1000}, values(t, tx))
		require.NoError(t, os.WriteFile(path, other, 0o600))
		isOverwritten(t, tryOpen(path, folio.Options{ReadOnly: true}))
		isOverwritten(t, tryOpen(path, shareWriters))

		n := openShared(t, path, folio.Options{})
		require.Equal(t, map[string]int{"other": 1000}, viewValues(t, n))
		isOverwritten(t, r.View(func(*folio.Tx) error { return nil }))
		_, err = r.Begin(false)
		isOverwritten(t, err)
		for range tx.Bucket([]byte("b")).All() {
			require.Fail(t, "what was verified before is read")
		}
		require.ErrorIs(t, tx.Err(), folio.ErrCorrupt)
		require.ErrorIs(t, tx.Rollback(), folio.ErrCorrupt)
		require.NoError(t, r.Close())
		require.Equal(t, map[string]int{"other": 1000}, viewValues(t, openShared(t, path, folio.Options{ReadOnly: true})))
	})
}

// TestTurnsWrittenOver: who finds another file at the begin of its turn, or at the end,
// leaves it alone.
func TestTurnsWrittenOver(t *testing.T) {
	turns := map[string]func(t *testing.T, path string, b *folio.DB){
		"a commit": func(t *testing.T, _ string, b *folio.DB) { require.NoError(t, b.Update(addOne)) },
		"no changes": func(t *testing.T, _ string, b *folio.DB) {
			require.NoError(t, b.Update(func(*folio.Tx) error { return nil }))
		},
		"death": func(t *testing.T, path string, _ *folio.DB) {
			c, answer := visitor(t, 0, "hold", path)
			require.Equal(t, "held", answer)
			require.NoError(t, c.Process.Kill())
		},
	}
	for name, turn := range turns {
		t.Run("after "+name, func(t *testing.T) {
			eachPageSize(t, func(t *testing.T, path string, other []byte) {
				a, b := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
				require.NoError(t, a.Update(addOne))
				turn(t, path, b)
				require.NoError(t, os.WriteFile(path, other, 0o600))
				for range 2 {
					isOverwritten(t, a.Update(addOne))
				}
				require.NoError(t, b.Close())
				require.NoError(t, a.Close())
				sameContent(t, other, path)
			})
		})
	}
}

func sameContent(t *testing.T, want []byte, path string) {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(want, content))
}

// newer is a process of a newer version, which writes another format.
type newer struct {
	t    *testing.T
	data vfs.File
	side *sidecar.Sidecar
}

func openNewer(t *testing.T, path string, role sidecar.Role) *newer {
	t.Helper()
	data, err := vfs.OS().OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	side, err := sidecar.Open(data, path, sidecar.Options{Role: role})
	require.NoError(t, err)
	n := &newer{t, data, side}
	t.Cleanup(n.close)
	return n
}

func (n *newer) close() {
	if n.data != nil {
		require.NoError(n.t, n.side.Close())
		require.NoError(n.t, n.data.Close())
		n.data = nil
	}
}

// commit replaces the older meta.
func (n *newer) commit(settle bool) (slot int) {
	n.t.Helper()
	require.NoError(n.t, n.side.LockTx(context.Background()))
	var metas [2][meta.Size]byte
	var txids [2]uint64
	for i := range metas {
		_, err := n.data.ReadAt(metas[i][:], int64(i)*4096)
		require.NoError(n.t, err)
		txids[i] = binary.LittleEndian.Uint64(metas[i][24:])
	}
	if txids[0] > txids[1] {
		slot = 1
	}
	b := metas[1-slot][:]
	binary.LittleEndian.PutUint32(b[8:], meta.Version+1)
	binary.LittleEndian.PutUint64(b[24:], txids[1-slot]+1)
	sealMeta(b, slot)
	n.side.Settle(0, 0)
	_, err := n.data.WriteAt(b, int64(slot)*4096)
	require.NoError(n.t, err)
	seq := n.side.Publish(b, len(b))
	if settle {
		n.side.Settle(seq, txids[1-slot]+2)
	}
	require.NoError(n.t, n.side.UnlockTx())
	return slot
}

func isNewer(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, folio.ErrVersionMismatch)
	require.ErrorContains(t, err, "2, this program reads up to 1")
}

// TestShareNewerFormat: a process of a newer version commits. Who reads keeps what it
// reads, and is told when it wants to see that commit.
func TestShareNewerFormat(t *testing.T) {
	slots := map[int]bool{}
	for commits := range 2 {
		path := filepath.Join(t.TempDir(), "db")
		w, err := folio.Open(path, 0o600, nil)
		require.NoError(t, err)
		r := openShared(t, path, folio.Options{ReadOnly: true})
		for range commits + 1 {
			putAll(t, w, 0, 1000, "old")
		}
		tx, err := r.Begin(false)
		require.NoError(t, err)
		defer tx.Rollback()
		require.NoError(t, folio.Abandon(w)) // a Close would write a meta as well
		n := openNewer(t, path, sidecar.SharedWriter)
		slots[n.commit(true)] = true
		for range 2 {
			isNewer(t, r.View(func(*folio.Tx) error { return nil }))
			_, err = r.Begin(false)
			isNewer(t, err)
			require.Equal(t, map[string]int{"old": 1000}, values(t, tx))
		}
		_, ok := r.Activity()
		require.False(t, ok)
		require.NotNil(t, r.Info())
		r.Stats()
		isNewer(t, tryOpen(path, folio.Options{ReadOnly: true}))
		isNewer(t, tryOpen(path, shareWriters))
		require.True(t, tryOpen(path, folio.Options{}) == folio.ErrTimeout, "it writes")
		content, err := os.ReadFile(path)
		require.NoError(t, err)

		// The same when it has gone.
		n.close()
		for _, o := range []folio.Options{{}, {ReadOnly: true}, shareWriters} {
			isNewer(t, tryOpen(path, o))
		}
		isNewer(t, r.View(func(*folio.Tx) error { return nil }))
		require.Equal(t, map[string]int{"old": 1000}, values(t, tx))
		require.NoError(t, tx.Rollback())
		require.NoError(t, r.Close())
		isNewer(t, tryOpen(path, folio.Options{}))
		sameContent(t, content, path)
	}
	require.Len(t, slots, 2)
}

// TestTurnsNewerFormat: the same for who writes in turns with it.
func TestTurnsNewerFormat(t *testing.T) {
	for name, settle := range map[string]bool{"settled": true, "not settled": false} {
		t.Run(name, func(t *testing.T) {
			slots := map[int]bool{}
			for commits := range 2 {
				path := filepath.Join(t.TempDir(), "db")
				a, b := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
				for range commits + 1 {
					putAll(t, a, 0, 1000, "old")
				}
				tx, err := a.Begin(false)
				require.NoError(t, err)
				defer tx.Rollback()
				n := openNewer(t, path, sidecar.SharedWriter)
				slots[n.commit(settle)] = true
				content, err := os.ReadFile(path)
				require.NoError(t, err)
				for range 2 {
					for _, db := range []*folio.DB{a, b} {
						isNewer(t, db.Update(addOne))
						isNewer(t, db.View(func(*folio.Tx) error { return nil }))
					}
					require.Equal(t, map[string]int{"old": 1000}, values(t, tx))
				}
				require.NoError(t, tx.Rollback())
				n.close()
				require.NoError(t, a.Close())
				require.NoError(t, b.Close())
				isNewer(t, tryOpen(path, shareWriters))
				sameContent(t, content, path)
			}
			require.Len(t, slots, 2)
		})
	}
}

// TestShareNewerLockFile: who comes and finds a lock file of another version in use is
// told so, and those who have the file open do not mind.
func TestShareNewerLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w, r := openShared(t, path, folio.Options{}), openShared(t, path, folio.Options{ReadOnly: true})
	putAll(t, w, 0, 10, "one")
	f, err := os.OpenFile(path+"-lock", os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	var mark [8]byte
	_, err = f.ReadAt(mark[:], 0)
	require.NoError(t, err)
	binary.NativeEndian.PutUint64(mark[:], binary.NativeEndian.Uint64(mark[:])+1)
	_, err = f.WriteAt(mark[:], 0)
	require.NoError(t, err)
	refused := func(o folio.Options) {
		t.Helper()
		err := tryOpen(path, o)
		require.ErrorIs(t, err, folio.ErrLockVersion)
		require.ErrorContains(t, err, "close the database in processes that use another version")
	}
	refused(folio.Options{ReadOnly: true})
	require.True(t, tryOpen(path, folio.Options{}) == folio.ErrTimeout, "somebody writes")
	putAll(t, w, 0, 10, "two")
	require.Equal(t, map[string]int{"two": 10}, viewValues(t, r))
	require.NoError(t, w.Close())
	refused(folio.Options{})
	refused(shareWriters)
	require.Equal(t, map[string]int{"two": 10}, viewValues(t, r))
	require.NoError(t, r.Close())
	require.Equal(t, map[string]int{"two": 10}, viewValues(t, openShared(t, path, folio.Options{})))
}
