package folio_test

// Faults that hit a group. A flush is held up, so that the transactions which come
// meanwhile are known to share the next one; then something fails.

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// heldDisk is a disk whose next Sync can be held up, and a database on it.
type heldDisk struct {
	t    *testing.T
	disk *foliotest.Disk
	plan *faultfs.Plan
	db   *folio.DB

	mu      sync.Mutex
	arrived chan struct{} // nil: the next Sync just goes on
	release chan error
}

func newHeld(t *testing.T, o folio.Options) *heldDisk {
	h := &heldDisk{t: t, disk: foliotest.NewDisk(), plan: faultfs.NewPlan()}
	h.disk.NoMapWritable = true
	h.disk.OnSync = h.onSync
	db, err := folio.OpenFS(faultfs.Wrap(h.disk, h.plan), crashFile, 0o600, &o)
	require.NoError(t, err)
	h.db = db
	return h
}

func (h *heldDisk) onSync() error {
	h.mu.Lock()
	arrived, release := h.arrived, h.release
	h.arrived = nil
	h.mu.Unlock()
	if arrived == nil {
		return nil
	}
	close(arrived)
	return <-release
}

// hold makes the next Sync wait until something comes through release, which is its
// result, and tells through arrived that it does.
func (h *heldDisk) hold() (arrived chan struct{}, release chan error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.arrived, h.release = make(chan struct{}), make(chan error, 1)
	return h.arrived, h.release
}

// update starts an Update, waits until its function has run, and returns where the
// result will be. It is nil if the function cannot run before the flush is over.
func (h *heldDisk) update(fn func(*folio.Tx) error) chan error {
	ran, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- h.db.Update(func(tx *folio.Tx) error {
			defer close(ran)
			return fn(tx)
		})
	}()
	<-ran
	return result
}

func nothing(*folio.Tx) error { return nil }

// putAs returns a function that puts keys which have name in them.
func putAs(name string, n, size int) func(*folio.Tx) error {
	return func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := 0; i < n && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%s %d", name, i), make([]byte, size))
		}
		return err
	}
}

// names returns the names whose keys are in the database, each followed by how many.
func names(db *folio.DB) (s string, err error) {
	err = db.View(func(tx *folio.Tx) error {
		count := map[string]int{}
		var order []string
		if b := tx.Bucket([]byte("b")); b != nil {
			for k := range b.All() {
				name, _, _ := strings.Cut(string(k), " ")
				if count[name]++; count[name] == 1 {
					order = append(order, name)
				}
			}
		}
		for _, name := range order {
			s += fmt.Sprintf("%s%d ", name, count[name])
		}
		return foliotest.Check(tx)
	})
	return s, err
}

func (h *heldDisk) mustHold(want string) {
	h.t.Helper()
	got, err := names(h.db)
	require.NoError(h.t, err)
	require.Equal(h.t, want, got)
}

// TestGroupFlushFails: when a flush fails, its transaction fails and what was built on
// it, transactions that only looked among them. Readers go on.
func TestGroupFlushFails(t *testing.T) {
	for _, failing := range []string{"first", "second"} {
		t.Run(failing, func(t *testing.T) {
			h := newHeld(t, folio.Options{})
			require.NoError(t, h.db.Update(putAs("a", 3, 10)))
			arrived, release := h.hold()
			first := h.update(putAs("b", 3, 10))
			<-arrived
			looks := h.update(nothing)
			second := h.update(putAs("c", 3, 10))
			undone := h.update(func(tx *folio.Tx) error { return errors.Join(putAs("d", 50, 1000)(tx), errUndone) })
			third := h.update(putAs("e", 3, 10))
			looksToo := h.update(nothing)
			h.mustHold("a3 ")
			if failing == "first" {
				release <- syscall.EIO
			} else {
				again, releaseAgain := h.hold()
				release <- nil
				require.NoError(t, <-first)
				<-again
				h.mustHold("a3 b3 ")
				releaseAgain <- syscall.EIO
			}
			fails := func(result chan error) {
				t.Helper()
				err := <-result
				require.ErrorIs(t, err, folio.ErrLatched)
				require.ErrorIs(t, err, syscall.EIO)
			}
			want := "a3 b3 "
			if failing == "first" {
				fails(first)
				fails(looks)
				want = "a3 "
			} else {
				require.NoError(t, <-looks) // what it saw is durable
			}
			fails(second)
			fails(third)
			fails(looksToo)
			require.ErrorIs(t, <-undone, errUndone)
			h.mustHold(want)
			require.ErrorIs(t, h.db.Update(nothing), folio.ErrLatched)
			require.ErrorIs(t, h.db.Sync(), folio.ErrLatched)
			require.NoError(t, h.db.Close())

			db, err := folio.OpenFS(h.disk, crashFile, 0o600, nil)
			require.NoError(t, err)
			got, err := names(db)
			require.NoError(t, err)
			require.Equal(t, want, got)
			require.NoError(t, db.Update(putAs("f", 3, 10)))
			require.NoError(t, db.Close())
		})
	}
}

// TestGroupFaultClose closes the database while transactions wait for their flush.
func TestGroupFaultClose(t *testing.T) {
	for _, d := range []folio.Durability{full, none} {
		h := newHeld(t, folio.Options{Durability: d})
		require.NoError(t, h.db.Update(putAs("a", 3, 10)))
		arrived, release := h.hold()
		synced := make(chan error, 1)
		go func() { synced <- h.db.Sync() }()
		<-arrived
		second := h.update(putAs("b", 3, 10))
		third := h.update(putAs("c", 3, 10))
		closed := make(chan error, 1)
		go func() { closed <- h.db.Close() }()
		release <- nil
		for _, result := range []chan error{synced, second, third, closed} {
			require.NoError(t, <-result)
		}
		require.ErrorIs(t, h.db.Update(nothing), folio.ErrDatabaseNotOpen)
		require.ErrorIs(t, h.db.Sync(), folio.ErrDatabaseNotOpen)
		db, err := folio.OpenFS(h.disk.Crash(h.disk.Events(), 8192, rand.New(rand.NewPCG(1, 1))), crashFile, 0o600, nil)
		require.NoError(t, err)
		got, err := names(db)
		require.NoError(t, err)
		require.Equal(t, "a3 b3 c3 ", got)
		require.NoError(t, db.Close())
	}
}

// TestGroupPanics: a function that panics, or ends its goroutine, undoes its own
// transaction and no other of the group.
func TestGroupPanics(t *testing.T) {
	h := newHeld(t, folio.Options{MaxDirty: 40 * 4096})
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	arrived, release := h.hold()
	synced := make(chan error, 1)
	go func() { synced <- h.db.Sync() }()
	<-arrived
	second := h.update(putAs("b", 3, 10))
	ended := make(chan any)
	for _, end := range []func(){func() { panic("end") }, runtime.Goexit} {
		ran := make(chan struct{})
		go func() {
			defer func() { ended <- recover() }()
			_ = h.db.Update(func(tx *folio.Tx) error {
				defer close(ran)
				must(putAs("gone", 400, 900)(tx))
				end()
				return nil
			})
		}()
		<-ran
	}
	third := h.update(putAs("c", 3, 10))
	release <- nil
	require.NoError(t, <-synced)
	require.NoError(t, <-second)
	require.NoError(t, <-third)
	require.ElementsMatch(t, []any{"end", nil}, []any{<-ended, <-ended})
	h.mustHold("a3 b3 c3 ")
	require.NoError(t, h.db.Close())
}

// groupFault is what fails while a group is written.
type groupFault struct {
	op      faultfs.Op
	err     syscall.Errno
	short   int
	forever bool
}

// TestGroupFaults lets every call fail in turn that a group makes: without room all
// its members fail and the next transaction works, after anything else the database
// is latched.
func TestGroupFaults(t *testing.T) {
	for _, o := range []struct {
		name    string
		options folio.Options
		members []func(*folio.Tx) error
	}{
		{"small", folio.Options{}, []func(*folio.Tx) error{putAs("b", 3, 10), putAs("c", 40, 3000), putAs("d", 3, 10)}},
		{"two flushes", folio.Options{TwoFlushes: true}, []func(*folio.Tx) error{putAs("b", 3, 10), putAs("c", 40, 3000)}},
		{"not durable", folio.Options{Durability: none}, []func(*folio.Tx) error{putAs("b", 3, 10), putAs("c", 40, 3000)}},
		{"spilled", folio.Options{MaxDirty: 40 * 4096}, []func(*folio.Tx) error{putAs("b", 3, 10), putAs("c", 400, 900)}},
		{"spilled and undone", folio.Options{MaxDirty: 40 * 4096}, []func(*folio.Tx) error{putAs("b", 3, 10), undo(putAs("c", 400, 900)), putAs("d", 3, 10)}},
		{"spilled, not durable", folio.Options{MaxDirty: 40 * 4096, Durability: none}, []func(*folio.Tx) error{putAs("b", 3, 10), putAs("c", 400, 900)}},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for _, op := range []faultfs.Op{faultfs.Write, faultfs.WriteVec, faultfs.Truncate, faultfs.Sync} {
				for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
					for _, short := range []int{0, 1000} {
						if short > 0 && op != faultfs.Write && op != faultfs.WriteVec {
							continue
						}
						for _, forever := range []bool{false, true} {
							testGroupFaults(t, o.options, o.members, groupFault{op, e, short, forever})
						}
					}
				}
			}
		})
	}
}

// undo returns a function that does the same, and fails then.
func undo(fn func(*folio.Tx) error) func(*folio.Tx) error {
	return func(tx *folio.Tx) error {
		if err := fn(tx); err != nil {
			return err
		}
		return errUndone
	}
}

func testGroupFaults(t *testing.T, o folio.Options, members []func(*folio.Tx) error, f groupFault) {
	for n := 1; ; n++ {
		if !t.Run(fmt.Sprintf("op %d, %v, short %d, forever %v, call %d", f.op, f.err, f.short, f.forever, n), func(t *testing.T) {
			if !testGroupFault(t, o, members, f, n) {
				n = -1
			}
		}) || n < 0 {
			return
		}
	}
}

// testGroupFault lets call n fail, and returns false if there is none.
func testGroupFault(t *testing.T, o folio.Options, members []func(*folio.Tx) error, f groupFault, n int) bool {
	h := newHeld(t, o)
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	arrived, release := h.hold()
	synced := make(chan error, 1)
	go func() { synced <- h.db.Sync() }()
	<-arrived
	fault := faultfs.Fault{Op: f.op, Err: f.err, Short: f.short, Nth: n}
	if f.forever {
		fault.Count = -1
	}
	before := h.plan.Calls(f.op)
	h.plan.Add(fault)
	var results []chan error
	isFull := false
	for _, member := range members {
		if isFull {
			break
		}
		results = append(results, h.update(func(tx *folio.Tx) error {
			defer func() { isFull = tx.GroupFull() }()
			return member(tx)
		}))
	}
	if !isFull {
		h.update(nothing)
	}
	release <- nil
	require.NoError(t, <-synced)

	want, all := "a3 ", []string{"b3 ", "c40 ", "d3 "}
	if o.MaxDirty > 0 {
		all[1] = "c400 "
	}
	failed := 0
	for i, result := range results {
		err := <-result
		switch {
		case err == nil:
			require.True(t, failed == 0 || o.MaxDirty > 0, "the others have failed")
			want += all[i]
			continue
		case errors.Is(err, errUndone):
			continue
		}
		failed++
		require.ErrorIs(t, err, f.err)
		if f.op != faultfs.Sync && f.err == syscall.ENOSPC {
			require.ErrorIs(t, err, folio.ErrNoSpace)
			require.NotErrorIs(t, err, folio.ErrLatched)
		} else {
			require.ErrorIs(t, err, folio.ErrLatched)
		}
	}
	hit := h.plan.Calls(f.op)-before >= n
	h.plan.Clear()
	h.mustHold(want)
	err := h.db.Update(putAs("e", 3, 10))
	if errors.Is(err, folio.ErrLatched) {
		require.True(t, hit && (f.err == syscall.EIO || f.op == faultfs.Sync), "latched: %v", err)
		require.NoError(t, h.db.Close())
	} else {
		require.NoError(t, err)
		want += "e3 "
		h.mustHold(want)
	}

	// The process dies. All that was acknowledged is there, and, only if the database
	// has latched, perhaps something that was not.
	db, openErr := folio.OpenFS(h.disk.Kill(h.disk.Events()), crashFile, 0o600, nil)
	require.NoError(t, openErr)
	got, namesErr := names(db)
	require.NoError(t, namesErr)
	if err == nil {
		require.Equal(t, want, got)
	} else {
		require.True(t, strings.HasPrefix(got, want), "%s, expected %s", got, want)
	}
	require.NoError(t, db.Update(putAs("f", 100, 1000)))
	_, namesErr = names(db)
	require.NoError(t, namesErr)
	require.NoError(t, db.Close())
	if err == nil {
		require.NoError(t, h.db.Close())
	}
	return hit
}

// TestGroupReaders: readers see whole transactions, and the same to their end, while
// groups are flushed and pages reused as fast as they can be.
func TestGroupReaders(t *testing.T) {
	const keys, writers = 40, 4
	db, err := folio.OpenFS(slowSync{vfs.NewMem()}, "db", 0o600, nil)
	require.NoError(t, err)
	rounds := 250
	if testing.Short() {
		rounds = 50
	}
	write := func(n int) error {
		return db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for i := 0; i < keys && err == nil; i++ {
				err = b.Put(fmt.Appendf(nil, "%02d", i), fmt.Appendf(nil, "%0500d", n))
			}
			return err
		})
	}
	require.NoError(t, write(0))
	var writing, reading sync.WaitGroup
	stop := make(chan struct{})
	for w := range writers {
		writing.Go(func() {
			for i := range rounds {
				if err := write(w*rounds + i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range 2 {
		reading.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := db.View(func(tx *folio.Tx) error { return sameValues(tx, keys) }); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	require.NoError(t, db.View(foliotest.Check))
	require.NoError(t, db.Close())
}

// slowSync is a file system whose syncs let others run.
type slowSync struct{ vfs.FS }

func (s slowSync) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := s.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return slowFile{f}, nil
}

type slowFile struct{ vfs.File }

func (f slowFile) Sync() error {
	for range 20 {
		runtime.Gosched()
	}
	return f.File.Sync()
}

// sameValues makes sure that all keys have one value, for a while.
func sameValues(tx *folio.Tx, keys int) error {
	b := tx.Bucket([]byte("b"))
	first := string(b.Get([]byte("00")))
	for range 5 {
		n := 0
		for k, v := range b.All() {
			if n++; string(v) != first {
				return fmt.Errorf("key %s: %s, expected %s", k, foliotest.Short(v[480:]), first[480:])
			}
		}
		if n != keys {
			return fmt.Errorf("%d keys", n)
		}
		runtime.Gosched()
	}
	return nil
}
