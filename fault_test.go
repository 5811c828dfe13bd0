package folio_test

// Errors of the operating system: every single call of each kind fails in turn,
// once or from then on, while a database is created, filled, closed and opened.

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// faultKind is a kind of call that fails in a certain way.
type faultKind struct {
	name  string
	fault faultfs.Fault
}

func faultKinds() []faultKind {
	ops := []struct {
		name  string
		op    faultfs.Op
		short bool
	}{
		{"read", faultfs.Read, false}, {"write", faultfs.Write, true}, {"write vector", faultfs.WriteVec, true},
		{"truncate", faultfs.Truncate, false}, {"sync", faultfs.Sync, false}, {"map", faultfs.Map, false},
		{"start of a write", faultfs.StartWrite, false}, {"open", faultfs.Open, false},
		{"publish", faultfs.Publish, false}, {"remove", faultfs.Remove, false}, {"sync directory", faultfs.SyncDir, false},
	}
	var kinds []faultKind
	for _, op := range ops {
		errnos := []syscall.Errno{syscall.EIO, syscall.ENOSPC}
		if op.op == faultfs.Map {
			errnos = append(errnos, syscall.ENOMEM)
		}
		for _, err := range errnos {
			for _, forever := range []bool{false, true} {
				for _, short := range []int{0, 1000} {
					if short > 0 && !op.short {
						continue
					}
					f := faultfs.Fault{Op: op.op, Err: err, Short: short}
					if forever {
						f.Count = -1
					}
					kinds = append(kinds, faultKind{
						fmt.Sprintf("%s, %v, short %d, forever %v", op.name, err, short, forever), f,
					})
				}
			}
		}
	}
	return kinds
}

func TestFaults(t *testing.T) {
	for _, c := range []struct {
		name    string
		fs      func() vfs.FS
		options folio.Options
		few     bool
	}{
		{"heap", func() vfs.FS { return vfs.NewMem() }, folio.Options{}, false},
		{"two flushes", func() vfs.FS { return vfs.NewMem() }, folio.Options{TwoFlushes: true}, false},
		{"os", vfs.OS, folio.Options{}, true}, // its syncs take time
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, kind := range faultKinds() {
				if c.few && (kind.fault.Count != 0 || kind.fault.Short != 0 || kind.fault.Err != syscall.EIO) {
					continue
				}
				t.Run(kind.name, func(t *testing.T) {
					dir := t.TempDir()
					for n := 1; ; n++ {
						f := kind.fault
						f.Nth = n
						r := &faultRun{t: t, kind: kind.fault, options: c.options, plan: faultfs.NewPlan(f)}
						r.path = filepath.Join(dir, fmt.Sprintf("db%d", n))
						r.fs = faultfs.Wrap(c.fs(), r.plan)
						r.nth = n
						r.run()
						if r.plan.Calls(f.Op) < n {
							return // there is no such call any more
						}
						if f.Op == faultfs.Map && testing.Short() {
							n += n / 8 // most are attempts to map less than before
						}
					}
				})
			}
		})
	}
}

// faultRun is a database on a file system where a call fails.
type faultRun struct {
	t       *testing.T
	kind    faultfs.Fault
	options folio.Options
	plan    *faultfs.Plan
	fs      vfs.FS
	path    string
	nth     int // the call that fails

	db      *folio.DB
	state   *foliotest.Bucket
	flight  *foliotest.Bucket // of a commit that failed; nil: none has
	latched bool
}

func (r *faultRun) fatal(format string, args ...any) {
	r.t.Helper()
	r.t.Fatalf("call %d: %s", r.nth, fmt.Sprintf(format, args...))
}

// faultSteps are what the transactions of a run do.
var faultSteps = []func(i int, b *folio.Bucket, m *foliotest.Bucket) error{
	faultPut(5, 100), faultPut(3, 20_000), faultPut(300, 100), faultPut(40, 3000),
	func(_ int, b *folio.Bucket, m *foliotest.Bucket) error {
		m.DeleteRange([]byte("key 1"), []byte("key 3"))
		_, err := b.DeleteRange([]byte("key 1"), []byte("key 3"))
		return err
	},
	faultPut(10, 900), faultPut(2, 300_000), faultPut(4, 10),
}

func faultPut(n, size int) func(int, *folio.Bucket, *foliotest.Bucket) error {
	return func(i int, b *folio.Bucket, m *foliotest.Bucket) error {
		for j := range n {
			key := fmt.Sprintf("key %d", j*7+i)
			v := make([]byte, size)
			copy(v, fmt.Sprint(i, j))
			m.Put(key, v)
			if err := b.Put([]byte(key), v); err != nil {
				return err
			}
		}
		return nil
	}
}

func (r *faultRun) run() {
	r.state = foliotest.NewBucket()
	for i, step := range faultSteps {
		if i%3 == 2 && r.db != nil {
			r.close()
		}
		if r.db == nil && !r.open() {
			return
		}
		r.update(i, step)
	}
	r.close()
	r.plan.Clear()
	if r.open() {
		r.close()
	}
}

// open opens the database, twice if the first time fails, and compares it.
func (r *faultRun) open() bool {
	var err error
	for range 2 {
		if r.db, err = folio.OpenFS(r.fs, r.path, 0o600, &r.options); err == nil {
			break
		}
		r.plan.Clear()
	}
	if err != nil {
		r.fatal("open without a fault: %v", err)
	}
	r.latched = false
	r.compare()
	return true
}

// compare makes sure that readers see the last commit, or, after a reopen, the
// one that failed.
func (r *faultRun) compare() {
	r.t.Helper()
	err := r.db.View(func(tx *folio.Tx) error {
		err := foliotest.Diff(tx, r.state)
		if err != nil && r.flight != nil && foliotest.Diff(tx, r.flight) == nil {
			r.state = r.flight
			err = nil
		}
		return errors.Join(err, foliotest.Check(tx))
	})
	if err != nil && r.plan.Calls(r.kind.Op) < r.nth {
		r.fatal("view: %v", err)
	}
	if err != nil && !errors.Is(err, r.kind.Err) {
		r.fatal("view: %v, which is not about %v", err, r.kind.Err)
	}
	r.flight = nil
}

func (r *faultRun) update(i int, step func(int, *folio.Bucket, *foliotest.Bucket) error) {
	after := r.state.Clone()
	change := func(tx *folio.Tx) error {
		b, m := crashBucket(tx, after, "b")
		return step(i, b, m)
	}
	err := r.db.Update(change)
	if err == nil {
		r.state = after
		return
	}
	if !errors.Is(err, r.kind.Err) {
		r.fatal("update %d: %v, which is not about %v", i, err, r.kind.Err)
	}
	r.check(i, err)
	r.compareOpen()
	r.plan.Clear()
	after = r.state.Clone()
	switch err := r.db.Update(change); {
	case r.latched && !errors.Is(err, folio.ErrLatched):
		r.fatal("update %d after the database latched: %v", i, err)
	case !r.latched && err != nil:
		r.fatal("update %d after the fault: %v", i, err)
	case !r.latched:
		r.state = after
		r.compareOpen()
		return
	}
	r.flight = after
	r.close()
	r.open()
}

// check compares how the database takes an error with how it should.
func (r *faultRun) check(i int, err error) {
	writes := r.kind.Op == faultfs.Write || r.kind.Op == faultfs.WriteVec || r.kind.Op == faultfs.Truncate ||
		r.kind.Op == faultfs.StartWrite
	full := r.kind.Err == syscall.ENOSPC
	want := r.kind.Op == faultfs.Sync || writes && !full
	r.latched = errors.Is(err, folio.ErrLatched)
	if r.latched != want {
		r.fatal("update %d: %v: latched %v, expected %v", i, err, r.latched, want)
	}
	if writes && full && !errors.Is(err, folio.ErrNoSpace) {
		r.fatal("update %d: %v: expected ErrNoSpace", i, err)
	}
}

// compareOpen is compare while the database stays open: a commit that failed must
// not show, and no page may be lost.
func (r *faultRun) compareOpen() {
	r.t.Helper()
	r.plan.Clear()
	err := r.db.View(func(tx *folio.Tx) error {
		return errors.Join(foliotest.Diff(tx, r.state), foliotest.Check(tx))
	})
	if err != nil {
		r.fatal("view: %v", err)
	}
}

func (r *faultRun) close() {
	if r.db == nil {
		return
	}
	if err := r.db.Close(); err != nil && !errors.Is(err, r.kind.Err) {
		r.fatal("close: %v, which is not about %v", err, r.kind.Err)
	}
	r.db = nil
}

// TestFaultNames makes sure that nothing is left behind when a file cannot be
// created.
func TestFaultNames(t *testing.T) {
	dir := t.TempDir()
	for _, op := range []faultfs.Op{faultfs.Write, faultfs.Sync, faultfs.Publish} {
		plan := faultfs.NewPlan(faultfs.Fault{Op: op, Err: syscall.EIO})
		_, err := folio.OpenFS(faultfs.Wrap(vfs.OS(), plan), filepath.Join(dir, "db"), 0o600, nil)
		if !errors.Is(err, syscall.EIO) {
			t.Fatalf("fault %d: error %v", op, err)
		}
		entries, err := os.ReadDir(dir)
		if err != nil || len(entries) > 0 {
			t.Fatalf("fault %d: %v is left behind, %v", op, entries, err)
		}
	}
}

// TestCloseFull: if there is no room for the mark that a file was closed, nothing is lost,
// and Close says nothing.
func TestCloseFull(t *testing.T) {
	fs, plan := vfs.NewMem(), faultfs.NewPlan()
	db, err := folio.OpenFS(faultfs.Wrap(fs, plan), "db", 0o600, nil)
	noErr(t, err)
	noErr(t, db.Update(putAs("a", 3, 10)))
	plan.Add(faultfs.Fault{Op: faultfs.Write, Err: syscall.ENOSPC, Count: -1})
	noErr(t, db.Close())
	db, err = folio.OpenFS(fs, "db", 0o600, nil)
	noErr(t, err)
	noErr(t, db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			return err
		}
		if n := tx.Bucket([]byte("b")).Len(); n != 3 {
			return fmt.Errorf("%d keys", n)
		}
		return nil
	}))
	noErr(t, db.Close())
}

// TestFailedCommitLeavesNoLongFile: what a commit that fails has made the file longer is
// given back at once, as it is at a rollback, whether pages were written early or not.
func TestFailedCommitLeavesNoLongFile(t *testing.T) {
	for _, c := range []struct {
		name  string
		dirty int64
	}{{"written early", 4 << 20}, {"at the commit", 64 << 20}} {
		t.Run(c.name, func(t *testing.T) {
			fs, plan := vfs.NewMem(), faultfs.NewPlan()
			db, err := folio.OpenFS(faultfs.Wrap(fs, plan), "db", 0o600, &folio.Options{MaxDirty: c.dirty})
			noErr(t, err)
			noErr(t, db.Update(putAs("a", 3, 10)))
			before := db.Stats().FileSize
			tx, err := db.Begin(true)
			noErr(t, err)
			noErr(t, putAs("b", 30_000, 1000)(tx))
			for _, op := range []faultfs.Op{faultfs.Write, faultfs.WriteVec} {
				plan.Add(faultfs.Fault{Op: op, Err: syscall.ENOSPC, Count: -1})
			}
			wantIs(t, tx.Commit(), folio.ErrNoSpace)
			if size := db.Stats().FileSize; size > before+before/4+(8<<20) {
				t.Errorf("the file has %d MiB after the commit has failed", size>>20)
			}
			plan.Clear()
			noErr(t, db.View(foliotest.Check))
			noErr(t, db.Update(putAs("b", 30_000, 1000)))
			noErr(t, db.View(foliotest.Check))
			noErr(t, db.Close())
		})
	}
}
