package folio

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// Goal: leaves that are written before all places are known are where they should be, and
// an error in the middle of that leaves no trace.
// Method: a file whose commits move pages, on a simulated file system, whose calls fail, and
// on that of the system.

// earlyDB is a database whose commits of 150 puts move pages, and what it holds.
type earlyDB struct {
	*DB
	t    require.TestingT
	rnd  *rand.Rand
	held map[uint32]uint64
}

const earlyKeys = 40_000

func openEarly(t *testing.T, fs vfs.FS, path string) *earlyDB {
	e := fillEarly(t, fs, path)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// fillEarly copies a file that is made once, for that takes a while.
func fillEarly(t *testing.T, fs vfs.FS, path string) *earlyDB {
	full := earlyFile()
	f, err := fs.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	require.NoError(t, err)
	_, err = f.WriteAt(full.content, 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	e := newEarly(t, fs, path, maps.Clone(full.held))
	if n := runtime.GOMAXPROCS(0); n == 1 {
		runtime.GOMAXPROCS(2)
		t.Cleanup(func() { runtime.GOMAXPROCS(n) })
	}
	for range 20 { // the head, the zone and what is worth moving are found again
		require.NoError(t, e.update(150))
	}
	return e
}

type earlyContent struct {
	content []byte
	held    map[uint32]uint64
}

var earlyFile = sync.OnceValue(func() earlyContent {
	fs := vfs.NewMem()
	e := newEarly(panics{}, fs, "db", make(map[uint32]uint64))
	for range 16 {
		require.NoError(e.t, e.update(10_000))
	}
	for range 130 {
		require.NoError(e.t, e.update(150))
	}
	require.NoError(e.t, e.Close())
	f, err := fs.OpenFile("db", os.O_RDONLY, 0)
	require.NoError(e.t, err)
	content, err := io.ReadAll(io.NewSectionReader(f, 0, math.MaxInt64))
	require.NoError(e.t, err)
	return earlyContent{content, e.held}
})

// panics is for what is done for several tests.
type panics struct{}

func (panics) Errorf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
func (panics) FailNow()                          { panic("failed") }

func newEarly(t require.TestingT, fs vfs.FS, path string, held map[uint32]uint64) *earlyDB {
	db, err := openFS(fs, path, 0o600, Options{})
	require.NoError(t, err)
	db.parallel = true
	return &earlyDB{db, t, rand.New(rand.NewPCG(1, 1)), held}
}

// begin begins a transaction of 150 puts, and brings it to where it can be sealed.
func (e *earlyDB) begin() *Tx {
	tx, err := e.Begin(true)
	require.NoError(e.t, err)
	require.NoError(e.t, e.put(tx, 150, make(map[uint32]uint64)))
	require.NoError(e.t, tx.flush())
	return tx
}

// update puts n keys at random.
func (e *earlyDB) update(n int) error {
	next := maps.Clone(e.held)
	err := e.DB.Update(func(tx *Tx) error { return e.put(tx, n, next) })
	if err == nil {
		e.held = next
	}
	return err
}

func (e *earlyDB) put(tx *Tx, n int, held map[uint32]uint64) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	for range n {
		require.NoError(e.t, err)
		k, value := e.rnd.Uint32N(earlyKeys)*2654435761, make([]byte, 300)
		held[k] = e.rnd.Uint64()
		binary.BigEndian.PutUint64(value, held[k])
		err = b.Put(binary.BigEndian.AppendUint32(nil, k), value)
	}
	return err
}

// check looks at everything.
func (e *earlyDB) check() {
	require.NoError(e.t, e.View(func(tx *Tx) error {
		n := 0
		for k, v := range tx.Bucket([]byte("b")).All() {
			require.Equal(e.t, e.held[binary.BigEndian.Uint32(k)], binary.BigEndian.Uint64(v))
			n++
		}
		require.Len(e.t, e.held, n)
		for err := range tx.Check() {
			return err
		}
		return tx.Err()
	}))
}

func TestEarlyPlaces(t *testing.T) {
	e := openEarly(t, vfs.NewMem(), "db")
	tx := e.begin()
	g, free := tx.group, e.space.list.Free()
	g.root = tx.root.tree.Header()
	c := e.newCommit(g)
	c.txid = e.nextTxID
	require.NoError(t, c.prepare(g))

	require.NotNil(t, c.early, "leaves are not written early")
	moved := c.leaves[len(c.early.units):]
	require.NotEmpty(t, moved, "nothing is moved")
	require.Len(t, c.units, len(c.early.units)+len(c.later))
	places := make(map[any]bool)
	for i, u := range c.units {
		require.False(t, places[u.dirty])
		places[u.dirty] = true
		if i > 0 {
			require.GreaterOrEqual(t, u.id, c.units[i-1].id+1)
		}
	}
	// The first that was moved lies behind the last early one, or begins a piece.
	last := c.s.dirty[c.leaves[len(c.early.units)-1]].id
	require.False(t, e.space.list.AnyFree(freelist.Extent{Start: c.units[0].id, Len: c.units[0].pages}))
	if next := c.s.dirty[moved[0]].id; next != last+1 {
		require.Contains(t, firstIDs(adjacent(c.units)), next)
	}

	require.NoError(t, c.endEarly())
	c.undo()
	require.Equal(t, free, e.space.list.Free())
	require.NoError(t, tx.Rollback())
	require.NoError(t, e.update(150))
	e.check()
}

// TestEarlyFaults: each write of such a commit fails once.
func TestEarlyFaults(t *testing.T) {
	plan := faultfs.NewPlan()
	e := openEarly(t, faultfs.Wrap(vfs.NewMem(), plan), "db")
	for _, op := range []faultfs.Op{faultfs.Changes, faultfs.StartWrite} {
		nth, done := 1, false
		for ; !done; nth++ {
			plan.Add(faultfs.Fault{Op: op, Nth: nth, Err: syscall.ENOSPC})
			err := e.update(150)
			plan.Clear()
			if done = err == nil; !done {
				require.ErrorIs(t, err, ErrNoSpace, "%d", nth)
			}
			require.NoError(t, e.update(150))
		}
		require.Greater(t, nth, 5, "%v", op)
	}
	e.check()
}

// TestEarlyFreeAndInTree: a page that is moved was free too, and has been taken for a leaf.
func TestEarlyFreeAndInTree(t *testing.T) {
	e := openEarly(t, vfs.NewMem(), "db")
	tx := e.begin()
	c := e.newCommit(tx.group)
	c.txid = e.nextTxID
	c.collectAll(tx.root.tree.Header())
	c.beginEarly(20)
	require.NotNil(t, c.early)
	moved := freedRun{c.early.places[0].Start, 1, 1}
	c.s.freed = append(c.s.freed, moved)
	require.ErrorIs(t, c.giveBackOwn(len(c.s.freed)-1, c.txid), ErrCorrupt)
	c.s.freed = c.s.freed[:len(c.s.freed)-1]
	require.NoError(t, c.endEarly())
	c.undo()
	require.NoError(t, tx.Rollback())
}

// TestEarlyPanics: when a commit panics, nobody goes on writing its pages, whose memory
// others get.
func TestEarlyPanics(t *testing.T) {
	e := fillEarly(t, vfs.NewMem(), "db") // it cannot be closed after that
	tx := e.begin()
	c := e.newCommit(tx.group)
	tx.group.out = c
	e.buffers.free, e.buffers.pageSize = nil, -1 // clean takes one
	require.Panics(t, func() { _ = tx.Commit() })
	require.NotNil(t, c.early)
	require.Nil(t, c.early.job, "nobody has waited for it")
}

// TestEarlyBeside: with several goroutines; the race detector looks at it.
func TestEarlyBeside(t *testing.T) {
	e := openEarly(t, vfs.OS(), filepath.Join(t.TempDir(), "db"))
	for i := range 100 {
		require.NoError(t, e.update(100+i))
	}
	e.check()
}

func firstIDs(pieces [][]unit) (ids []any) {
	for _, p := range pieces {
		ids = append(ids, p[0].id)
	}
	return ids
}
