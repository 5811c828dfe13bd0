package sidecar_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

func TestFirstAndLast(t *testing.T) {
	path := dbPath(t)
	for range 3 {
		a := open(t, path, sidecar.Reader)
		require.True(t, a.First())
		require.Zero(t, a.Seq())
		_, err := openWith(path, sidecar.Reader, never)
		require.ErrorIs(t, err, errHeld, "the first is not ready")
		require.NoError(t, a.Ready())
		require.NoError(t, a.Ready())

		b := open(t, path, sidecar.Reader)
		require.False(t, b.First())
		require.NoError(t, b.Ready())
		a.Publish([]byte("state"), 5)
		a.SetFailed()
		a.Count(func(n *sidecar.Counters) { n.Commits.Store(7) })
		require.NoError(t, a.close())
		require.NoError(t, a.Sidecar.Close(), "twice")
		require.FileExists(t, path+"-lock")

		c := open(t, path, sidecar.Reader)
		require.False(t, c.First())
		require.EqualValues(t, 1, c.Seq())
		require.True(t, c.Failed())
		c.Count(func(n *sidecar.Counters) { require.EqualValues(t, 7, n.Commits.Load()) })
		require.NoError(t, b.close())
		require.NoError(t, c.close())
		require.NoFileExists(t, path+"-lock")
	}
}

func TestCloseWithoutReady(t *testing.T) {
	path := dbPath(t)
	a := open(t, path, sidecar.Writer)
	a.Publish([]byte("x"), 1)
	require.NoError(t, a.close())
	b := open(t, path, sidecar.Writer)
	require.True(t, b.First())
	require.Zero(t, b.Seq())
}

// TestKilled leaves the file of somebody who was killed, as the only one and with
// others there.
func TestKilled(t *testing.T) {
	path := dbPath(t)
	for _, ready := range []bool{false, true} {
		p := start(t)
		p.must("open %s %d", path, sidecar.Writer)
		require.Equal(t, "true", p.do("first"))
		if ready {
			p.must("ready")
			p.must("claim")
			p.must("enter 3 99")
		}
		p.kill()
		require.FileExists(t, path+"-lock")
		a := open(t, path, sidecar.Writer)
		require.True(t, a.First())
		require.Empty(t, a.Live())
		require.Empty(t, a.Processes())
		require.NoError(t, a.Ready())
		q := start(t)
		q.must("open %s %d", path, sidecar.Reader)
		require.Equal(t, "false", q.do("first"))
		q.kill()
		require.NoError(t, a.close())
		require.NoFileExists(t, path+"-lock")
	}
}

func TestDeletedSidecar(t *testing.T) {
	path := dbPath(t)
	p := start(t)
	p.must("open %s %d", path, sidecar.Reader)
	p.must("ready")
	require.NoError(t, os.Remove(path+"-lock"))
	for range 2 {
		_, err := openWith(path, sidecar.Reader, never)
		require.ErrorIs(t, err, sidecar.ErrReplaced)
		require.NoFileExists(t, path+"-lock", "one that was made in vain")
	}
	p.must("close")
	require.True(t, open(t, path, sidecar.Reader).First())
}

// TestCopiedSidecar puts a copy in the place of the one in use: the words in it are
// right, and nobody looks at it.
func TestCopiedSidecar(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	b, err := os.ReadFile(path + "-lock")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path+"-copy", b, 0o600))
	require.NoError(t, os.Rename(path+"-copy", path+"-lock"))
	_, err = openWith(path, sidecar.Reader, never)
	require.ErrorIs(t, err, sidecar.ErrReplaced)
	require.NoError(t, a.close())
	require.FileExists(t, path+"-lock", "it is another's")
	c := open(t, path, sidecar.Reader)
	require.True(t, c.First())
	require.NoError(t, c.close())
	require.NoFileExists(t, path+"-lock")
}

func TestHardLink(t *testing.T) {
	path := dbPath(t)
	p := start(t)
	p.must("open %s %d", path, sidecar.Reader)
	p.must("ready")
	require.NoError(t, os.Link(path, path+"2"))
	_, err := openWith(path+"2", sidecar.Reader, never)
	require.ErrorIs(t, err, sidecar.ErrReplaced)
	require.NoFileExists(t, path+"2-lock")
	require.False(t, openReady(t, path, sidecar.Reader).First())
}

func TestRenamedFile(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	require.NoError(t, os.Rename(path, path+"2"))
	_, err := openWith(path+"2", sidecar.Reader, never)
	require.ErrorIs(t, err, sidecar.ErrReplaced)
	require.NoError(t, a.close())
	require.True(t, open(t, path+"2", sidecar.Reader).First())
}

// TestReplacedFile puts another database in the place of one in use: both are used
// then, each by way of its own sidecar.
func TestReplacedFile(t *testing.T) {
	path := dbPath(t)
	old := openReady(t, path, sidecar.Writer)
	oldReader, err := openData(path)
	require.NoError(t, err)
	defer oldReader.Close()
	require.NoError(t, os.WriteFile(path+"-new", nil, 0o600))
	require.NoError(t, os.Rename(path+"-new", path))

	_, err = sidecar.Open(oldReader, path, sidecar.Options{Role: sidecar.Reader, Mode: 0o600})
	require.ErrorIs(t, err, sidecar.ErrReplaced, "opened before, attached after")

	p := start(t)
	p.must("open %s %d", path, sidecar.Writer)
	require.Equal(t, "true", p.do("first"))
	p.must("ready")
	p.must("claim")
	p.must("enter 0 5")
	slots, err := old.Claim()
	require.NoError(t, err)
	slots[0].TxID.Store(6)
	require.Equal(t, []uint64{6}, old.Live())
	require.Equal(t, "5", p.do("slot 0"))
	require.NoError(t, old.close())
	require.FileExists(t, path+"-lock", "it is the new file's")
	n := openReady(t, path, sidecar.Reader)
	require.False(t, n.First())
	require.Equal(t, []uint64{5}, n.Live())
}

func TestOtherFiles(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	b, err := os.ReadFile(path + "-lock")
	require.NoError(t, err)
	require.NoError(t, a.close())

	change := func(c byte, at int) []byte {
		b := append([]byte(nil), b...)
		b[at] = c
		return b
	}
	version := 0
	if b[0] == 'f' {
		version = 7
	}
	// Of the dead: all of these are made new.
	for _, old := range [][]byte{nil, make([]byte, 10), make([]byte, 1<<20), b[:10], b[:5000], b, change(9, version)} {
		require.NoError(t, os.WriteFile(path+"-lock", old, 0o600))
		h := open(t, path, sidecar.Reader)
		require.True(t, h.First())
		require.Empty(t, h.Live())
		require.NoError(t, h.close())
		require.NoFileExists(t, path+"-lock")
	}
	// Something else, which is left alone.
	for _, other := range [][]byte{[]byte("a letter"), change('F', 7-version)} {
		require.NoError(t, os.WriteFile(path+"-lock", other, 0o600))
		_, err := openWith(path, sidecar.Reader, never)
		require.ErrorIs(t, err, sidecar.ErrVersion)
		now, err := os.ReadFile(path + "-lock")
		require.NoError(t, err)
		require.Equal(t, other, now)
	}
	require.NoError(t, os.Remove(path+"-lock"))

	// Of another version, and in use.
	h := openReady(t, path, sidecar.Reader)
	f, err := os.OpenFile(path+"-lock", os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte{9}, int64(version))
	require.NoError(t, err)
	_, err = openWith(path, sidecar.Reader, never)
	require.ErrorIs(t, err, sidecar.ErrVersion)
	require.NoError(t, h.close())

	// No file at all.
	require.NoError(t, os.Symlink("elsewhere", path+"-lock"))
	_, err = openWith(path, sidecar.Reader, never)
	require.Error(t, err)
	require.NoFileExists(t, path+"elsewhere")
}

func TestRoles(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.SharedWriter)
	only, err := a.OnlyWriter()
	require.NoError(t, err)
	require.True(t, only)

	p := start(t)
	require.Contains(t, p.do("tryopen %s %d", path, sidecar.Writer), errHeld.Error())
	p.must("open %s %d", path, sidecar.SharedWriter)
	only, err = a.OnlyWriter()
	require.NoError(t, err)
	require.False(t, only)
	p.kill()
	only, err = a.OnlyWriter()
	require.NoError(t, err)
	require.True(t, only)
	require.NoError(t, a.close())

	w := openReady(t, path, sidecar.Writer)
	for _, role := range []sidecar.Role{sidecar.Writer, sidecar.SharedWriter} {
		_, err := openWith(path, role, never)
		require.ErrorIs(t, err, errHeld)
	}
	r := openReady(t, path, sidecar.Reader)
	require.NoError(t, w.close())
	require.NoError(t, openReady(t, path, sidecar.Writer).close())
	require.NoError(t, r.close())
}

func TestStaticReaders(t *testing.T) {
	path := dbPath(t)
	r := openReady(t, path, sidecar.Reader)
	for _, role := range []sidecar.Role{sidecar.Writer, sidecar.SharedWriter} {
		p, q := start(t), start(t)
		p.must("static %s", path)
		q.must("static %s", path)
		_, err := openWith(path, role, never)
		require.ErrorIs(t, err, errHeld)
		openReady(t, path, sidecar.Reader)
		p.kill()
		_, err = openWith(path, role, never)
		require.ErrorIs(t, err, errHeld)
		q.kill()

		w := openReady(t, path, role)
		p = start(t)
		require.Contains(t, p.do("static %s", path), errHeld.Error())
		q = start(t)
		q.must("tryopen %s %d", path, sidecar.Reader)
		require.NoError(t, w.close())
		p.must("static %s", path)
		p.kill()
	}
	require.NoError(t, r.close())
}

func TestOnlyFilesOfTheSystem(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	_, err = sidecar.Open(f, "db", sidecar.Options{Role: sidecar.Reader})
	require.ErrorIs(t, err, errors.ErrUnsupported)
	require.ErrorIs(t, sidecar.LockStatic(f, nil), errors.ErrUnsupported)
}
