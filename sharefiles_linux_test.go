package folio_test

// Goal: whatever happens to the files, or to a process, while a database is shared, the
// others either go on or are told why not.

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

// tryOpen opens a file that cannot be had, perhaps.
func tryOpen(path string, o folio.Options) error {
	if o.Timeout == 0 {
		o.Timeout = brief
	}
	db, err := folio.Open(path, 0o600, &o)
	if err != nil {
		return err
	}
	return db.Close()
}

func TestShareDeletedLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w, r := openShared(t, path, folio.Options{}), openShared(t, path, folio.Options{ReadOnly: true})
	putAll(t, w, 0, 10, "one")
	require.NoError(t, os.Remove(path+"-lock"))
	require.ErrorIs(t, tryOpen(path, folio.Options{ReadOnly: true}), sidecar.ErrReplaced)
	require.True(t, tryOpen(path, folio.Options{}) == folio.ErrTimeout)
	putAll(t, w, 0, 10, "two")
	require.Equal(t, map[string]int{"two": 10}, viewValues(t, r))
	require.NoError(t, w.Close())
	require.ErrorIs(t, tryOpen(path, folio.Options{}), sidecar.ErrReplaced)
	require.NoError(t, r.Close())
	require.NoError(t, tryOpen(path, folio.Options{}))
	require.NoFileExists(t, path+"-lock")
}

// TestShareReplacedFile: readers of a file that loses its name keep it; who comes later
// gets the new one.
func TestShareReplacedFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	w, r := openShared(t, path, folio.Options{}), openShared(t, path, folio.Options{ReadOnly: true})
	putAll(t, w, 0, 10, "old")
	other := openShared(t, path+"2", folio.Options{})
	putAll(t, other, 0, 10, "new")
	require.NoError(t, other.Close())
	require.NoError(t, os.Rename(path+"2", path))
	n := openShared(t, path, folio.Options{})
	require.Equal(t, map[string]int{"new": 10}, viewValues(t, n))
	putAll(t, n, 0, 10, "newer")
	putAll(t, w, 0, 10, "older")
	require.Equal(t, map[string]int{"older": 10}, viewValues(t, r))
	require.Equal(t, map[string]int{"newer": 10}, viewValues(t, n))
	require.NoError(t, w.Close())
	require.NoError(t, r.Close())
	require.Equal(t, map[string]int{"newer": 10}, viewValues(t, openShared(t, path, folio.Options{ReadOnly: true})))
}

func TestShareNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	nothing := folio.Options{Sharing: folio.ShareNothing}
	nothingReader := folio.Options{Sharing: folio.ShareNothing, ReadOnly: true}
	for _, o := range []folio.Options{{}, shareWriters} {
		w := openShared(t, path, o)
		require.True(t, tryOpen(path, nothing) == folio.ErrTimeout)
		require.ErrorIs(t, tryOpen(path, nothingReader), folio.ErrTimeout)
		require.NoError(t, w.Close())
	}
	w := openShared(t, path, nothing)
	require.NoFileExists(t, path+"-lock")
	for _, o := range []folio.Options{{}, shareWriters, nothing, nothingReader, {ReadOnly: true}} {
		require.True(t, tryOpen(path, o) == folio.ErrTimeout)
	}
	require.NoError(t, w.Close())
	r := openShared(t, path, nothingReader)
	require.NoError(t, tryOpen(path, nothingReader))
	require.NoError(t, tryOpen(path, folio.Options{ReadOnly: true}))
	for _, o := range []folio.Options{{}, shareWriters, nothing} {
		require.True(t, tryOpen(path, o) == folio.ErrTimeout)
	}
	require.NoError(t, r.Close())
}

// TestShareTimeout: who waits gets ErrTimeout itself, also while another process is
// opening the file, which keeps all others waiting.
func TestShareTimeout(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	w := openShared(t, path, folio.Options{})
	for _, o := range []folio.Options{{}, shareWriters} {
		require.True(t, tryOpen(path, o) == folio.ErrTimeout)
	}
	require.NoError(t, w.Close())

	data, err := vfs.OS().OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer data.Close()
	first, err := sidecar.Open(data, path, sidecar.Options{Role: sidecar.Reader, Mode: 0o600})
	require.NoError(t, err)
	for _, o := range []folio.Options{{}, shareWriters, {ReadOnly: true}} {
		require.True(t, tryOpen(path, o) == folio.ErrTimeout)
	}
	require.NoError(t, first.Close())
	require.NoError(t, tryOpen(path, folio.Options{Timeout: 10 * time.Second}))
}

// TestShareFullDisk: a disk without room for the lock file is no reason not to open the
// database. Nobody else can write it then.
func TestShareFullDisk(t *testing.T) {
	dir := mountTmpfs(t, 1<<20)
	path := filepath.Join(dir, "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 100, "value")
	require.NoError(t, w.Close())
	filler, err := os.Create(filepath.Join(dir, "filler"))
	require.NoError(t, err)
	for block := make([]byte, 4096); err == nil; _, err = filler.Write(block) {
	}
	require.ErrorIs(t, err, unix.ENOSPC)
	require.NoError(t, filler.Close())
	for _, o := range []folio.Options{{}, {ReadOnly: true}} {
		db := openShared(t, path, o)
		require.Empty(t, db.Processes())
		require.Equal(t, map[string]int{"value": 100}, viewValues(t, db))
		require.True(t, tryOpen(path, folio.Options{}) == folio.ErrTimeout)
		require.NoError(t, db.Close())
	}
	require.ErrorIs(t, tryOpen(path, shareWriters), unix.ENOSPC)
	require.NoFileExists(t, path+"-lock")
}

// networkFS says that its files are on another machine.
type networkFS struct{ vfs.FS }

type networkFile struct{ vfs.File }

func (f networkFile) Unwrap() vfs.File { return f.File }
func (networkFile) OnNetwork() bool    { return true }

func (n networkFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := n.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return networkFile{f}, nil
}

// TestShareNetwork: a file on a network file system is not shared.
func TestShareNetwork(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	_, err := folio.OpenFS(networkFS{vfs.OS()}, path, 0o600, &shareWriters)
	require.ErrorContains(t, err, "network")
	w, err := folio.OpenFS(networkFS{vfs.OS()}, path, 0o600, nil)
	require.NoError(t, err)
	require.NoFileExists(t, path+"-lock")
	require.True(t, tryOpen(path, folio.Options{ReadOnly: true}) == folio.ErrTimeout)
	require.NoError(t, w.Close())
}

// visitor is a child process that opens a file for reading, or holds a write transaction.
func visitor(t *testing.T, uid uint32, what, path string) (cmd *exec.Cmd, answer string) {
	t.Helper()
	exe := filepath.Join(t.TempDir(), "test")
	b, err := os.ReadFile(os.Args[0])
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(exe, b, 0o755))
	for dir := filepath.Dir(exe); strings.Contains(dir, "Test"); dir = filepath.Dir(dir) {
		require.NoError(t, os.Chmod(dir, 0o755))
	}
	cmd = exec.Command(exe, "-test.run=^TestVisitor$", "-test.timeout=60s")
	cmd.Env = append(os.Environ(), "FOLIO_VISITOR="+what+" "+path)
	cmd.Stderr = os.Stderr
	if uid != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	}
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = in.Close()
		_ = cmd.Wait()
	})
	answer, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	return cmd, strings.TrimSpace(answer)
}

// TestVisitor is the child.
func TestVisitor(t *testing.T) {
	what, path, ok := strings.Cut(os.Getenv("FOLIO_VISITOR"), " ")
	if !ok {
		t.Skip("it is a process of other tests")
	}
	o := folio.Options{ReadOnly: true, Timeout: brief}
	if what == "hold" {
		o = shareWriters
	}
	db, err := folio.Open(path, 0o600, &o)
	if err == nil && what == "hold" {
		_, err = db.Begin(true)
	} else if err == nil {
		err = db.View(func(tx *folio.Tx) error {
			fmt.Println(len(values(t, tx)), "values;", len(db.Processes()), "processes")
			return nil
		})
	}
	if err != nil {
		fmt.Println(strings.ReplaceAll(err.Error(), "\n", "; "))
	} else if what == "hold" {
		fmt.Println("held")
	}
	_, _ = io.ReadAll(os.Stdin)
}

const nobody = 65534

// TestShareReadOnlyMedia: who can read the file, and nothing else, can do so as long as
// nobody writes.
func TestShareReadOnlyMedia(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root, to be somebody else")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "db")
	w := openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "value")
	require.NoError(t, w.Close())
	require.NoError(t, os.Chmod(path, 0o444))
	require.NoError(t, os.Chmod(dir, 0o755))

	a, answer := visitor(t, nobody, "read", path)
	require.Equal(t, "1 values; 0 processes", answer)
	require.True(t, tryOpen(path, folio.Options{}) == folio.ErrTimeout, "somebody reads")
	require.NoError(t, tryOpen(path, folio.Options{ReadOnly: true}), "others can read, too")
	require.NoError(t, a.Process.Kill())
	w = openShared(t, path, folio.Options{})
	_, answer = visitor(t, nobody, "read", path)
	require.Contains(t, answer, "cannot be read beside it")
	require.NoError(t, w.Close())

	// In a directory where everybody can create files, it can be read beside a writer.
	require.NoError(t, os.Chmod(dir, 0o777))
	_, answer = visitor(t, nobody, "read", path)
	require.Equal(t, "1 values; 1 processes", answer)
	w = openShared(t, path, folio.Options{})
	putAll(t, w, 0, 10, "next")
	require.Len(t, w.Processes(), 2)
	require.NoError(t, w.Close())
}

// TestShareReadOnlyMount is the same on a file system that nobody can write to.
func TestShareReadOnlyMount(t *testing.T) {
	dir, ro := t.TempDir(), t.TempDir()
	w := openShared(t, filepath.Join(dir, "db"), folio.Options{})
	putAll(t, w, 0, 10, "value")
	require.NoError(t, w.Close())
	if err := unix.Mount(dir, ro, "", unix.MS_BIND, ""); err != nil {
		t.Skipf("mounting: %v (needs root)", err)
	}
	defer func() { require.NoError(t, unix.Unmount(ro, unix.MNT_DETACH)) }()
	require.NoError(t, unix.Mount("", ro, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	r, err := folio.Open(filepath.Join(ro, "db"), 0o600, &folio.Options{ReadOnly: true})
	require.NoError(t, err)
	require.Equal(t, map[string]int{"value": 10}, viewValues(t, r))
	require.True(t, tryOpen(filepath.Join(dir, "db"), folio.Options{}) == folio.ErrTimeout)
	require.NoError(t, r.Close())
	require.NoError(t, tryOpen(filepath.Join(dir, "db"), folio.Options{}))
}

// TestTurnsOfAStoppedProcess: a process that is stopped in its turn keeps others
// waiting, as long as they like, until it goes on or dies.
func TestTurnsOfAStoppedProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	b := openShared(t, path, shareWriters)
	a, answer := visitor(t, 0, "hold", path)
	require.Equal(t, "held", answer)
	require.NoError(t, a.Process.Signal(syscall.SIGSTOP))
	for range 3 {
		ctx, cancel := context.WithTimeout(context.Background(), brief)
		require.ErrorIs(t, b.UpdateContext(ctx, addOne), context.DeadlineExceeded)
		cancel()
	}
	_, err := b.TryBegin()
	require.Equal(t, folio.ErrWriterBusy, err)
	require.NoError(t, tryOpen(path, shareWriters), "opening takes no turn")
	require.NoError(t, tryOpen(path, folio.Options{ReadOnly: true}))
	done := make(chan error, 1)
	go func() { done <- b.Update(addOne) }()
	time.Sleep(brief)
	require.NoError(t, a.Process.Kill())
	require.NoError(t, returned(t, done, "Update"))
	require.NoError(t, b.Update(addOne))
}

// TestShareSpoiltLockFile writes nonsense into the lock file of processes that write.
// They may fail, but the database is none the worse for it.
func TestShareSpoiltLockFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 30 {
		a, b := openShared(t, path, shareWriters), openShared(t, path, shareWriters)
		f, err := os.OpenFile(path+"-lock", os.O_RDWR, 0)
		require.NoError(t, err)
		failed := 0
		for i := range 20 {
			db := []*folio.DB{a, b}[rnd.IntN(2)]
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			if db.UpdateContext(ctx, addOne) != nil {
				failed++
			}
			cancel()
			noise := make([]byte, 8*(1+rnd.IntN(20)))
			if rnd.IntN(3) > 0 {
				for i := range noise {
					noise[i] = byte(rnd.Uint32())
				}
			}
			at := 8 * rnd.Int64N(512)
			if i%4 == 3 {
				at = 8 * rnd.Int64N(20000/8)
			}
			if i%2 == 1 {
				_, err = f.WriteAt(noise, at)
				require.NoError(t, err)
			}
		}
		require.NoError(t, f.Close())
		_, _ = a.Close(), b.Close()
		db := openShared(t, path, folio.Options{Sharing: folio.ShareNothing})
		require.NoError(t, db.View(foliotest.Check), "round %d", round)
		require.NoError(t, db.Close())
	}
}

// TestShareStats: what a handle says of the database is what others have made of it.
func TestShareStats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	a := openShared(t, path, shareWriters)
	others := []*folio.DB{openShared(t, path, shareWriters), openShared(t, path, folio.Options{ReadOnly: true})}
	putAll(t, others[0], 0, 1, "first")
	for i := range 3 {
		putAll(t, a, 0, 10000*(i%2)+1, strings.Repeat("x", i))
		info, err := os.Stat(path)
		require.NoError(t, err)
		for _, db := range others {
			require.Equal(t, a.Info(), db.Info())
			s := db.Stats()
			require.Equal(t, info.Size(), s.FileSize)
			require.Equal(t, a.Stats().Size, s.Size)
			require.Equal(t, a.Stats().FreePageN+a.Stats().PendingPageN, s.FreePageN+s.PendingPageN)
			activity, ok := db.Activity()
			require.True(t, ok)
			require.Equal(t, activity.TxID, activity.Durable)
			require.Equal(t, a.Info().TxID, activity.TxID)
		}
	}
	for _, db := range append(others, a) {
		require.NoError(t, db.Close())
		require.Nil(t, db.Info())
		require.Zero(t, db.Stats())
	}

	w, r := openShared(t, path, folio.Options{Durability: folio.DurabilityNone}), openShared(t, path, folio.Options{ReadOnly: true})
	putAll(t, w, 0, 1, "the first one is durable")
	putAll(t, w, 0, 1, "x")
	activity, _ := r.Activity()
	require.Less(t, activity.Durable, activity.TxID)
	require.NoError(t, w.Sync())
	activity, _ = r.Activity()
	require.Equal(t, activity.TxID, activity.Durable)
}
