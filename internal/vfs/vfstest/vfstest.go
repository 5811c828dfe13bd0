// Package vfstest holds the suite that every implementation of vfs.FS passes,
// so that a fake cannot be kinder than the system.
package vfstest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
)

const pageSize = 4096

// TestFS runs the suite. newFS returns a file system and an empty directory in
// it, anew for each test.
func TestFS(t *testing.T, newFS func(t *testing.T) (fsys vfs.FS, dir string)) {
	for _, tc := range []struct {
		name string
		test func(t *testing.T, e *env)
	}{
		{"open", testOpen},
		{"read and write", testReadWrite},
		{"write vector", testWriteVec},
		{"truncate", testTruncate},
		{"read-only handle", testReadOnly},
		{"contents survive close", testReopen},
		{"map shows writes", testMapCoherence},
		{"map follows growth", testMapGrowth},
		{"map bounds", testMapBounds},
		{"map while writing", testMapConcurrent},
		{"remap keeps old view", testRemap},
		{"writable map", testMapWritable},
		{"lock", testLock},
		{"lock dies with handle", testLockClose},
		{"publish", testPublish},
		{"remove", testRemove},
		{"cache and sync", testCacheAndSync},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fsys, dir := newFS(t)
			tc.test(t, &env{fs: fsys, dir: dir})
		})
	}
}

type env struct {
	fs  vfs.FS
	dir string
}

func (e *env) path(name string) string { return filepath.Join(e.dir, name) }

// open opens a file for the length of the test.
func (e *env) open(t *testing.T, name string, flag int) vfs.File {
	t.Helper()
	f, err := e.fs.OpenFile(e.path(name), flag, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	return f
}

func (e *env) create(t *testing.T, name string) vfs.File {
	t.Helper()
	return e.open(t, name, os.O_RDWR|os.O_CREATE)
}

func write(t *testing.T, f vfs.File, b []byte, off int64) {
	t.Helper()
	n, err := f.WriteAt(b, off)
	require.NoError(t, err)
	require.Equal(t, len(b), n)
}

func read(t *testing.T, f vfs.File, n int, off int64) []byte {
	t.Helper()
	b := make([]byte, n)
	_, err := f.ReadAt(b, off)
	require.NoError(t, err)
	return b
}

func requireSize(t *testing.T, f vfs.File, want int64) {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	require.Equal(t, want, size)
}

// mapFile maps for the length of the test.
func mapFile(t *testing.T, f vfs.File, length int64) vfs.Mapping {
	t.Helper()
	m, err := f.Map(length)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, m.Close()) })
	require.EqualValues(t, length, len(m.Bytes()))
	return m
}

func fill(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }

func testOpen(t *testing.T, e *env) {
	_, err := e.fs.OpenFile(e.path("f"), os.O_RDWR, 0o600)
	require.ErrorIs(t, err, fs.ErrNotExist)
	f := e.create(t, "f")
	require.Equal(t, e.path("f"), f.Name())
	requireSize(t, f, 0)
	_, err = e.fs.OpenFile(e.path("f"), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	require.ErrorIs(t, err, fs.ErrExist)
	write(t, f, []byte("abc"), 0)
	g := e.open(t, "f", os.O_RDWR|os.O_TRUNC)
	requireSize(t, g, 0)
	requireSize(t, f, 0)
	require.NoError(t, g.Close())
	_, err = g.WriteAt([]byte("x"), 0)
	require.ErrorIs(t, err, fs.ErrClosed)
	require.ErrorIs(t, g.Close(), fs.ErrClosed)
}

func testReadWrite(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, []byte("world"), 10) // leaves a gap
	write(t, f, []byte("hello"), 0)
	require.Equal(t, "hello\x00\x00\x00\x00\x00world", string(read(t, f, 15, 0)))
	b := make([]byte, 8)
	n, err := f.ReadAt(b, 12)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, "rld", string(b[:n]))
	n, err = f.ReadAt(b, 15)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n)
	n, err = f.ReadAt(b, 1<<30)
	require.ErrorIs(t, err, io.EOF)
	require.Zero(t, n)
	_, err = f.ReadAt(b, -1)
	require.Error(t, err)
	_, err = f.WriteAt(b, -1)
	require.Error(t, err)
	requireSize(t, f, 15)
}

func testWriteVec(t *testing.T, e *env) {
	f := e.create(t, "f")
	require.NoError(t, f.WriteVecAt(nil, 0))
	require.NoError(t, f.WriteVecAt([][]byte{nil, {}}, 100))
	requireSize(t, f, 0)
	// More buffers than the system takes in one call, some of them empty.
	var bufs [][]byte
	var want []byte
	for i := range 3000 {
		b := fill(byte(i), i%37)
		bufs = append(bufs, b)
		want = append(want, b...)
	}
	const off = 12345
	require.NoError(t, f.WriteVecAt(bufs, off))
	requireSize(t, f, off+int64(len(want)))
	require.Equal(t, want, read(t, f, len(want), off))
	require.Equal(t, make([]byte, off), read(t, f, off, 0))
	for i, b := range bufs {
		require.Equal(t, fill(byte(i), i%37), b, "the buffers must not change")
	}
}

func testTruncate(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', 3*pageSize), 0)
	require.NoError(t, f.Truncate(pageSize))
	requireSize(t, f, pageSize)
	require.NoError(t, f.Truncate(2*pageSize))
	requireSize(t, f, 2*pageSize)
	require.Equal(t, append(fill('a', pageSize), make([]byte, pageSize)...), read(t, f, 2*pageSize, 0))
	require.Error(t, f.Truncate(-1))
}

func testReadOnly(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', pageSize), 0)
	r := e.open(t, "f", os.O_RDONLY)
	require.Equal(t, fill('a', pageSize), read(t, r, pageSize, 0))
	require.Equal(t, byte('a'), mapFile(t, r, pageSize).Bytes()[0])
	_, err := r.WriteAt([]byte("b"), 0)
	require.Error(t, err)
	require.Error(t, r.WriteVecAt([][]byte{{1}}, 0))
	require.Error(t, r.Truncate(0))
	_, err = r.MapWritable(pageSize)
	require.Error(t, err)
	ok, err := r.TryLock(false)
	require.NoError(t, err)
	require.True(t, ok)
}

func testReopen(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, []byte("abc"), 0)
	require.NoError(t, f.Close())
	require.Equal(t, "abc", string(read(t, e.open(t, "f", os.O_RDWR), 3, 0)))
}

func testMapCoherence(t *testing.T, e *env) {
	f := e.create(t, "f")
	g := e.open(t, "f", os.O_RDWR)
	write(t, f, fill('a', 4*pageSize), 0)
	m := mapFile(t, f, 4*pageSize)
	b := m.Bytes()
	require.Equal(t, fill('a', 4*pageSize), b)
	write(t, f, []byte("bb"), pageSize-1)
	write(t, g, []byte("cc"), 2*pageSize)
	require.NoError(t, f.WriteVecAt([][]byte{[]byte("d"), []byte("d")}, 3*pageSize))
	require.Equal(t, "abba", string(b[pageSize-2:pageSize+2]))
	require.Equal(t, "acca", string(b[2*pageSize-1:2*pageSize+3]))
	require.Equal(t, "adda", string(b[3*pageSize-1:3*pageSize+3]))
	require.NoError(t, m.Populate(pageSize, 2*pageSize))
	require.NoError(t, m.Populate(4*pageSize, 0))
	require.NoError(t, m.Fetch(pageSize, 2*pageSize))
	require.NoError(t, m.Fetch(4*pageSize, 0))
	// The view outlives the handle.
	require.NoError(t, f.Close())
	require.Equal(t, "abba", string(b[pageSize-2:pageSize+2]))
}

func testMapGrowth(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', pageSize), 0)
	m, err := f.Map(64 * pageSize)
	if err != nil {
		t.Skipf("no mapping beyond the end of the file: %v", err)
	}
	defer m.Close()
	b := m.Bytes()
	require.Len(t, b, 64*pageSize)
	require.Equal(t, fill('a', pageSize), b[:pageSize])
	write(t, f, fill('b', pageSize), pageSize)
	require.Equal(t, fill('b', pageSize), b[pageSize:2*pageSize])
	require.NoError(t, f.Truncate(8*pageSize))
	require.Equal(t, make([]byte, pageSize), b[7*pageSize:8*pageSize])
	require.NoError(t, f.WriteVecAt([][]byte{fill('c', pageSize), fill('d', pageSize)}, 62*pageSize))
	require.Equal(t, fill('c', pageSize), b[62*pageSize:63*pageSize])
	require.Equal(t, fill('d', pageSize), b[63*pageSize:])
	require.Equal(t, fill('a', pageSize), b[:pageSize])
}

func testMapBounds(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', 2*pageSize), 0)
	for _, length := range []int64{-1, 0, 1 << 62} {
		_, err := f.Map(length)
		require.Error(t, err, "length %d", length)
	}
	m := mapFile(t, f, 2*pageSize)
	if m.MayExceedFile() {
		mapFile(t, f, 1<<30)
	}
	err := m.Lock(0, 2*pageSize)
	if err != nil {
		t.Logf("lock: %v", err)
	}
	require.Error(t, m.Lock(pageSize, 2*pageSize))
	require.Error(t, m.Lock(-1, 1))
	short, err := f.Map(2 * pageSize)
	require.NoError(t, err)
	require.NoError(t, short.Close())
	require.NoError(t, short.Close())
}

// testMapConcurrent reads some bytes of a view while others are written. Run
// under the race detector it proves rule M3 of the file system on the heap.
func testMapConcurrent(t *testing.T, e *env) {
	f := e.create(t, "f")
	const pages = 16
	write(t, f, fill('a', pages*pageSize), 0)
	b := mapFile(t, f, pages*pageSize).Bytes()
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for range 50 {
				if bytes.Count(b[:pages/2*pageSize], []byte("a")) != pages/2*pageSize {
					t.Error("bytes changed that nobody wrote")
				}
			}
		})
	}
	for i := range 50 {
		for p := pages / 2; p < pages; p++ {
			write(t, f, fill(byte(i), pageSize), int64(p)*pageSize)
		}
		// Growth moves a file on the heap; its readers must not notice.
		require.NoError(t, f.Truncate(int64(pages+8*i)*pageSize))
	}
	wg.Wait()
}

func testRemap(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', pageSize), 0)
	old := mapFile(t, f, pageSize)
	require.NoError(t, f.Truncate(1<<21))
	b := mapFile(t, f, 1<<21).Bytes()
	write(t, f, fill('b', pageSize), 1<<21-pageSize)
	require.Equal(t, fill('a', pageSize), old.Bytes())
	require.Equal(t, fill('a', pageSize), b[:pageSize])
	require.Equal(t, fill('b', pageSize), b[1<<21-pageSize:])
}

func testMapWritable(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', 4*pageSize), 0)
	w, err := f.MapWritable(2 * pageSize)
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("not supported")
	}
	require.NoError(t, err)
	defer w.Close()
	r := mapFile(t, f, 4*pageSize)
	require.Len(t, w.Bytes(), 2*pageSize)
	copy(w.Bytes()[pageSize-1:], "xyz")
	require.Equal(t, "axyza", string(read(t, f, 5, pageSize-2)))
	require.Equal(t, "axyza", string(r.Bytes()[pageSize-2:pageSize+3]))
	write(t, f, []byte("Y"), pageSize)
	require.Equal(t, byte('Y'), w.Bytes()[pageSize])
	require.NoError(t, f.Sync())
}

func testLock(t *testing.T, e *env) {
	f, g := e.create(t, "f"), e.create(t, "f")
	other := e.create(t, "other")
	lock := func(f vfs.File, exclusive, want bool) {
		t.Helper()
		ok, err := f.TryLock(exclusive)
		require.NoError(t, err)
		require.Equal(t, want, ok)
	}
	lock(f, true, true)
	lock(g, true, false)
	lock(g, false, false)
	lock(other, true, true)
	write(t, g, []byte("advisory"), 0)
	lock(f, false, true) // from exclusive to shared
	lock(g, false, true)
	require.NoError(t, f.Unlock())
	lock(g, true, true) // and back
	lock(f, false, false)
	require.NoError(t, g.Unlock())
	require.NoError(t, g.Unlock())
	lock(f, true, true)
}

func testLockClose(t *testing.T, e *env) {
	f, g := e.create(t, "f"), e.create(t, "f")
	ok, err := f.TryLock(true)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, f.Close())
	ok, err = g.TryLock(true)
	require.NoError(t, err)
	require.True(t, ok)
}

func testPublish(t *testing.T, e *env) {
	put := func(name, content string) {
		f := e.create(t, name)
		write(t, f, []byte(content), 0)
		require.NoError(t, f.Close())
	}
	put("tmp1", "one")
	put("tmp2", "two")
	require.NoError(t, e.fs.Publish(e.path("tmp1"), e.path("f")))
	require.NoError(t, e.fs.SyncDir(e.dir))
	_, err := e.fs.OpenFile(e.path("tmp1"), os.O_RDWR, 0)
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, e.fs.Publish(e.path("tmp2"), e.path("f")), fs.ErrExist)
	require.ErrorIs(t, e.fs.Publish(e.path("missing"), e.path("g")), fs.ErrNotExist)
	require.Equal(t, "one", string(read(t, e.open(t, "f", os.O_RDONLY), 3, 0)))
	require.Equal(t, "two", string(read(t, e.open(t, "tmp2", os.O_RDONLY), 3, 0)))
}

func testRemove(t *testing.T, e *env) {
	f := e.create(t, "f")
	require.NoError(t, f.Close())
	require.NoError(t, e.fs.Remove(e.path("f")))
	require.ErrorIs(t, e.fs.Remove(e.path("f")), fs.ErrNotExist)
	requireSize(t, e.create(t, "f"), 0)
}

func testCacheAndSync(t *testing.T, e *env) {
	f := e.create(t, "f")
	write(t, f, fill('a', 8*pageSize), 0)
	require.NoError(t, f.Sync())
	require.NoError(t, f.DropCache(pageSize, 2*pageSize))
	require.NoError(t, f.DropCache(0, 0))
	require.Equal(t, fill('a', 8*pageSize), read(t, f, 8*pageSize, 0))
	require.NoError(t, e.fs.SyncDir(e.dir))
	require.NoError(t, f.Close())
	require.Error(t, f.Sync())
}
