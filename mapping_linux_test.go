package folio_test

// The claims of docs/mapping.md that can be tested on Linux without measuring time.

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio"
)

// resident returns how many bytes of the file at path are mapped and in this
// process's memory.
func resident(t *testing.T, path string) int64 {
	f, err := os.Open("/proc/self/smaps")
	require.NoError(t, err)
	defer f.Close()
	var total int64
	ours := false
	for s := bufio.NewScanner(f); s.Scan(); {
		fields := strings.Fields(s.Text())
		switch {
		case strings.Contains(fields[0], "-") && len(fields) >= 5:
			ours = len(fields) > 5 && fields[5] == path
		case ours && fields[0] == "Rss:":
			kb, err := strconv.ParseInt(fields[1], 10, 64)
			require.NoError(t, err)
			total += kb << 10
		}
	}
	return total
}

// fill makes a database of about size bytes.
func fill(t *testing.T, path string, size int) int {
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	value := make([]byte, 1000)
	n := size / 1100
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		require.NoError(t, err)
		for i := range n {
			if err := b.Put(key(i), value); err != nil {
				return err
			}
		}
		return nil
	}))
	require.NoError(t, db.Close())
	return n
}

func key(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// TestMappingLoadsOnDemand: opening touches a few pages, a Get a few more, and a
// scan all of them.
func TestMappingLoadsOnDemand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	const size = 32 << 20
	n := fill(t, path, size)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	require.LessOrEqual(t, resident(t, path), int64(256<<10), "after Open")
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.Len(t, tx.Bucket([]byte("b")).Get(key(n/2)), 1000)
		return nil
	}))
	// Around each page that is touched the kernel maps what it has in its cache, up
	// to a whole folio.
	require.LessOrEqual(t, resident(t, path), int64(size/8), "after a Get")
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		for range tx.Bucket([]byte("b")).All() {
		}
		return nil
	}))
	require.Greater(t, resident(t, path), int64(size/2), "after a scan")
}

// TestMappingColdGet: what a Get reads of a file that is not in memory is the pages that it
// needs, however much the system would read around them.
func TestMappingColdGet(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	n := fill(t, path, 32<<20)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, f.Sync())
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	if cached(t, f) > 16 {
		t.Skip("the file system keeps files in memory")
	}
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	opened := cached(t, f)
	require.LessOrEqual(t, opened, 64, "pages after Open")
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.Len(t, tx.Bucket([]byte("b")).Get(key(n/2)), 1000)
		return nil
	}))
	// Four, and 16 that the system may read ahead of the metas. Around each of the four it would
	// read 32 or more.
	require.LessOrEqual(t, cached(t, f)-opened, 24, "pages that a Get has read")
}

// cached returns how many pages of f are in memory.
func cached(t *testing.T, f *os.File) (n int) {
	info, err := f.Stat()
	require.NoError(t, err)
	b, err := unix.Mmap(int(f.Fd()), 0, int(info.Size()), unix.PROT_READ, unix.MAP_SHARED)
	require.NoError(t, err)
	defer unix.Munmap(b)
	pages := make([]byte, (len(b)+os.Getpagesize()-1)/os.Getpagesize())
	_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)), uintptr(unsafe.Pointer(&pages[0])))
	require.Zero(t, errno)
	for _, p := range pages {
		n += int(p & 1)
	}
	return n
}

// TestMappingReadOnly: a store through a slice that folio handed out faults, where
// it is made, and the file stays as it is.
func TestMappingReadOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	fill(t, path, 1<<20)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.Begin(false)
	require.NoError(t, err)
	v := tx.Bucket([]byte("b")).Get(key(1))
	fault := func() (r any) {
		defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
		defer func() { r = recover() }()
		v[0] = 1
		return nil
	}()
	require.NotNil(t, fault)
	require.Equal(t, byte(0), v[0])
	require.NoError(t, tx.Rollback())

	// Inside a View it is the application's panic, not an error of the file.
	require.Panics(t, func() {
		_ = db.View(func(tx *folio.Tx) error {
			tx.Bucket([]byte("b")).Get(key(1))[0] = 1
			return nil
		})
	})
	require.NoError(t, db.View(func(tx *folio.Tx) error { return nil }))
	require.Zero(t, db.Stats().OpenTxN)
}

// TestMappingSmallFiles: where mapping is a poor choice, folio stays small.
func TestMappingSmallFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	size := func() int64 {
		info, err := os.Stat(path)
		require.NoError(t, err)
		return info.Size()
	}
	require.LessOrEqual(t, size(), int64(16<<10))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		return b.Put([]byte("k"), []byte("v"))
	}))
	require.LessOrEqual(t, size(), int64(16<<10), "after a commit")
	require.NoError(t, db.Close())
	require.LessOrEqual(t, size(), int64(16<<10), "after Close")
}

// TestMappingGrowthMovesNothing: what a reader holds stays where it is while the
// file grows a hundredfold.
func TestMappingGrowthMovesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	fill(t, path, 1<<20)
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	tx, err := db.Begin(false)
	require.NoError(t, err)
	v := tx.Bucket([]byte("b")).Get(key(7))
	at := fmt.Sprintf("%p", v)
	require.NoError(t, db.Update(func(w *folio.Tx) error {
		return w.Bucket([]byte("b")).Put([]byte("big"), make([]byte, 100<<20))
	}))
	require.Equal(t, at, fmt.Sprintf("%p", tx.Bucket([]byte("b")).Get(key(7))))
	require.Equal(t, make([]byte, 1000), v)
	require.NoError(t, tx.Rollback())
}
