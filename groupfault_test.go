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
		synced, release := h.syncHeld()
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
	synced, release := h.syncHeld()
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

// nth is the fault of call n.
func (f groupFault) nth(n int) faultfs.Fault {
	fault := faultfs.Fault{Op: f.op, Err: f.err, Short: f.short, Nth: n}
	if f.forever {
		fault.Count = -1
	}
	return fault
}

// latches tells whether nothing can be written afterwards.
func (f groupFault) latches() bool { return f.op == faultfs.Sync || f.err != syscall.ENOSPC }

// groupMember is a transaction of a group, which puts keys.
type groupMember struct {
	name       string
	keys, size int
	undone     bool // it fails in the end
}

func (m groupMember) run(tx *folio.Tx) error {
	err := putAs(m.name, m.keys, m.size)(tx)
	if err == nil && m.undone {
		return errUndone
	}
	return err
}

// String is what names says of it.
func (m groupMember) String() string { return fmt.Sprintf("%s%d ", m.name, m.keys) }

// TestGroupFaults lets every call fail in turn that a group makes: without room all
// its members fail and the next transaction works, after anything else the database
// is latched.
func TestGroupFaults(t *testing.T) {
	b, d := groupMember{name: "b", keys: 3, size: 10}, groupMember{name: "d", keys: 3, size: 10}
	large, spilled := groupMember{name: "c", keys: 40, size: 3000}, groupMember{name: "c", keys: 400, size: 900}
	undone := spilled
	undone.undone = true
	for _, o := range []struct {
		name    string
		options folio.Options
		members []groupMember
	}{
		{"small", folio.Options{}, []groupMember{b, large, d}},
		{"two flushes", folio.Options{TwoFlushes: true}, []groupMember{b, large}},
		{"not durable", folio.Options{Durability: none}, []groupMember{b, large}},
		{"spilled", folio.Options{MaxDirty: 40 * 4096}, []groupMember{b, spilled}},
		{"spilled and undone", folio.Options{MaxDirty: 40 * 4096}, []groupMember{b, undone, d}},
		{"spilled, not durable", folio.Options{MaxDirty: 40 * 4096, Durability: none}, []groupMember{b, spilled}},
	} {
		t.Run(o.name, func(t *testing.T) {
			t.Parallel()
			for _, f := range groupFaults() {
				testGroupFaults(t, o.options, o.members, f)
			}
		})
	}
}

// groupFaults returns all there are.
func groupFaults() (faults []groupFault) {
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.WriteVec, faultfs.Truncate, faultfs.StartWrite, faultfs.Sync} {
		for _, e := range []syscall.Errno{syscall.ENOSPC, syscall.EIO} {
			for _, short := range []int{0, 1000} {
				if short > 0 && op != faultfs.Write && op != faultfs.WriteVec {
					continue
				}
				faults = append(faults, groupFault{op, e, short, false}, groupFault{op, e, short, true})
			}
		}
	}
	return faults
}

func testGroupFaults(t *testing.T, o folio.Options, members []groupMember, f groupFault) {
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
func testGroupFault(t *testing.T, o folio.Options, members []groupMember, f groupFault, n int) bool {
	h := newHeld(t, o)
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	require.NoError(t, h.db.Update(putAs("a", 3, 10)))
	synced, release := h.syncHeld()
	before := h.plan.Calls(f.op)
	h.plan.Add(f.nth(n))
	results := h.group(members)
	release <- nil
	require.NoError(t, <-synced)
	want := "a3 "
	for i, err := range f.await(t, results, o.MaxDirty > 0) {
		if err == nil {
			want += members[i].String()
		}
	}
	hit := h.plan.Calls(f.op)-before >= n
	h.plan.Clear()
	h.mustHold(want)
	err := h.db.Update(putAs("e", 3, 10))
	if errors.Is(err, folio.ErrLatched) {
		require.True(t, hit && f.latches(), "latched: %v", err)
		require.NoError(t, h.db.Close())
		h.dies(want, true)
		return hit
	}
	require.NoError(t, err)
	want += "e3 "
	h.mustHold(want)
	h.dies(want, false)
	require.NoError(t, h.db.Close())
	return hit
}

// group lets members run, as many as have room in a group, and one that only looks. It
// returns where their results will be.
func (h *heldDisk) group(members []groupMember) (results []chan error) {
	isFull := false
	for _, member := range members {
		results = append(results, h.update(func(tx *folio.Tx) error {
			defer func() { isFull = tx.GroupFull() }()
			return member.run(tx)
		}))
		if isFull {
			return results
		}
	}
	h.update(nothing)
	return results
}

// await returns the results, and makes sure that they say what has failed. After one
// that has failed others have too, unless it did alone: while it was spilled, or for want
// of room for what it has added (Tx.room).
func (f groupFault) await(t *testing.T, results []chan error, spills bool) (errs []error) {
	failed := false
	for _, result := range results {
		err := <-result
		errs = append(errs, err)
		switch {
		case err == nil:
			require.True(t, !failed || spills || !f.latches(), "the others have failed")
		case errors.Is(err, errUndone):
		default:
			failed = true
			require.ErrorIs(t, err, f.err)
			if f.latches() {
				require.ErrorIs(t, err, folio.ErrLatched)
			} else {
				require.ErrorIs(t, err, folio.ErrNoSpace)
				require.NotErrorIs(t, err, folio.ErrLatched)
			}
		}
	}
	return errs
}

// dies looks at what the death of the process leaves: all that was acknowledged, and,
// only if the database has latched, perhaps something that was not. It can be written.
func (h *heldDisk) dies(want string, latched bool) {
	db, err := folio.OpenFS(h.disk.Kill(h.disk.Events()), crashFile, 0o600, nil)
	require.NoError(h.t, err)
	got, err := names(db)
	require.NoError(h.t, err)
	if latched {
		require.True(h.t, strings.HasPrefix(got, want), "%s, expected %s", got, want)
	} else {
		require.Equal(h.t, want, got)
	}
	require.NoError(h.t, db.Update(putAs("f", 100, 1000)))
	_, err = names(db)
	require.NoError(h.t, err)
	require.NoError(h.t, db.Close())
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
