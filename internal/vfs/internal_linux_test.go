package vfs

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// TestWriteVecShortWrites feeds writeVec a system call that is interrupted and
// writes a few bytes at a time.
func TestWriteVecShortWrites(t *testing.T) {
	for step := 1; step < 9; step++ {
		var got bytes.Buffer
		calls := 0
		pwritev := func(bufs [][]byte, off int64) (int, error) {
			if calls++; calls%3 == 0 {
				return -1, unix.EINTR
			}
			require.EqualValues(t, 10+got.Len(), off)
			b := bytes.Join(bufs, nil)
			return got.Write(b[:min(step, len(b))])
		}
		bufs := [][]byte{[]byte("ab"), nil, []byte("c"), []byte("defgh"), {}}
		require.NoError(t, writeVec(pwritev, bufs, 10))
		require.Equal(t, "abcdefgh", got.String())
		require.Equal(t, "defgh", string(bufs[3]))
	}
}

func TestWriteVecErrors(t *testing.T) {
	none := func([][]byte, int64) (int, error) { return 0, nil }
	require.ErrorIs(t, writeVec(none, [][]byte{{1}}, 0), io.ErrShortWrite)
	full := func([][]byte, int64) (int, error) { return -1, unix.ENOSPC }
	require.ErrorIs(t, writeVec(full, [][]byte{{1}}, 0), unix.ENOSPC)
}

func TestLinkPublish(t *testing.T) {
	dir := t.TempDir()
	tmp, name := filepath.Join(dir, "tmp"), filepath.Join(dir, "f")
	require.NoError(t, os.WriteFile(tmp, []byte("a"), 0o600))
	require.NoError(t, linkPublish(tmp, name))
	require.NoFileExists(t, tmp)
	require.NoError(t, os.WriteFile(tmp, []byte("b"), 0o600))
	require.ErrorIs(t, linkPublish(tmp, name), fs.ErrExist)
	require.FileExists(t, tmp)
}

func TestMapTerabyte(t *testing.T) {
	f, err := OS().OpenFile(filepath.Join(t.TempDir(), "f"), os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	m, err := f.Map(1 << 40)
	if bits.UintSize == 32 {
		require.Error(t, err)
		return
	}
	if errors.Is(err, unix.ENOMEM) {
		t.Skip("the address space is limited")
	}
	require.NoError(t, err)
	defer m.Close()
	_, err = f.WriteAt([]byte("x"), 1<<30)
	require.NoError(t, err)
	require.Equal(t, byte('x'), m.Bytes()[1<<30])
	// Beyond the end of the file the call fails where a load would be fatal.
	if err := m.Populate(1<<31, 4096); !populateMissing.Load() {
		require.ErrorIs(t, err, unix.EFAULT)
	}
}

// TestReadCached reads what was just written, on a file system that can tell what is
// in memory and on one that may not.
func TestReadCached(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/dev/shm"} {
		f, err := os.CreateTemp(dir, "folio-*")
		if err != nil {
			t.Skip(err)
		}
		defer os.Remove(f.Name())
		file := FromOSFile(f)
		defer file.Close()
		_, err = file.WriteAt([]byte("abcd"), 10)
		require.NoError(t, err)
		b := make([]byte, 4)
		require.True(t, file.ReadCached(b, 10))
		require.Equal(t, "abcd", string(b))
		require.False(t, file.ReadCached(b, 12))
	}
}

// TestMapCannotWrite: what is mapped for reading nobody can make writable, and the system
// knows it. The file is one that was opened for writing and has lost its name, and the
// lock on it stays.
func TestMapCannotWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	f, err := OS().OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer f.Close()
	_, err = f.WriteAt([]byte("folio"), 0)
	require.NoError(t, err)
	locked, err := f.TryLock(true)
	require.NoError(t, err)
	require.True(t, locked)
	other, err := OS().OpenFile(name, os.O_RDWR, 0)
	require.NoError(t, err)
	defer other.Close()
	require.NoError(t, os.Remove(name))
	reader, ok := reopen(int(f.(*osFile).f.Fd()))
	if !ok {
		t.Skip("no file can be opened again here: is there no /proc?")
	}
	require.NoError(t, unix.Close(reader))

	m, err := f.Map(1 << 16)
	require.NoError(t, err)
	defer m.Close()
	require.Equal(t, "folio", string(m.Bytes()[:5]))
	require.Error(t, unix.Mprotect(m.Bytes(), unix.PROT_READ|unix.PROT_WRITE))
	locked, err = other.TryLock(true)
	require.NoError(t, err)
	require.False(t, locked)

	w, err := f.MapWritable(1 << 16)
	require.NoError(t, err)
	defer w.Close()
	w.Bytes()[0] = 'F'
	require.Equal(t, "Folio", string(m.Bytes()[:5]))
}
