package folio_test

// Crashes that take a certain course, which random ones seldom do.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// fillRelaxed commits steps with DurabilityNone and returns the states after each of
// them. The first of them are durable.
func fillRelaxed(t *testing.T, disk *foliotest.Disk, durable int, steps ...func(b *folio.Bucket, m *foliotest.Bucket)) []*foliotest.Bucket {
	db, err := folio.OpenFS(disk, crashFile, 0o600, &folio.Options{Durability: none})
	require.NoError(t, err)
	var states []*foliotest.Bucket
	m := foliotest.NewBucket()
	for i, step := range steps {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			if i < durable {
				must(tx.SetDurability(full))
			}
			b, bm := crashBucket(tx, m, "b")
			step(b, bm)
			return nil
		}))
		states = append(states, m.Clone())
	}
	return states
}

func putSized(key string, size int) func(*folio.Bucket, *foliotest.Bucket) {
	return func(b *folio.Bucket, m *foliotest.Bucket) {
		v := bytes.Repeat([]byte(key), size/len(key))
		must(b.Put([]byte(key), v))
		m.Put(key, v)
	}
}

func remove(key string) func(*folio.Bucket, *foliotest.Bucket) {
	return func(b *folio.Bucket, m *foliotest.Bucket) {
		must(b.Delete([]byte(key)))
		m.Delete(key)
	}
}

// mustHoldOneOf opens what a crash has left: one of the states, and nothing else.
func mustHoldOneOf(disk *foliotest.Disk, states []*foliotest.Bucket) error {
	db, err := folio.OpenFS(disk, crashFile, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *folio.Tx) error {
		var err error
		for _, state := range states {
			if err = foliotest.Diff(tx, state); err == nil {
				return foliotest.Check(tx)
			}
		}
		return err
	})
}

// TestCrashUnsyncedGrowth: a commit that nobody has flushed makes the file longer, and
// the next one frees what lies there. The length is lost, and everything that the
// second one wrote is there, for it lies further down.
func TestCrashUnsyncedGrowth(t *testing.T) {
	disk := foliotest.NewDisk()
	states := fillRelaxed(t, disk, 3, putSized("hole", 50_000), remove("hole"), putSized("small", 10),
		putSized("long", 500_000), remove("long"), putSized("small", 20))
	for i := range 300 {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		cut := disk.Events() - rnd.IntN(10)
		require.NoError(t, mustHoldOneOf(disk.Crash(cut, 8192, rnd), states), "crash %d at event %d", i, cut)
	}
}

// TestCrashWeakSectors: of a commit that nobody has flushed, and that has no record, one
// sector is not there: of a node or of a long value, anywhere in it.
func TestCrashWeakSectors(t *testing.T) {
	disk := foliotest.NewDisk()
	states := fillRelaxed(t, disk, 1, putSized("small", 10), func(b *folio.Bucket, m *foliotest.Bucket) {
		putSized("long", 1500<<10)(b, m)
		for i := range 800 {
			putSized(fmt.Sprintf("key %03d", i), 900)(b, m)
		}
	})
	cut := disk.At(disk.Events(), 8192)
	require.NoError(t, mustHoldOneOf(cut.Left(foliotest.Sectors, func(int) bool { return true }), states[1:]))
	n := cut.Units(foliotest.Sectors)
	for lost := 0; lost < n; lost += 1 + n/96 {
		left := cut.Left(foliotest.Sectors, func(u int) bool { return u != lost })
		require.NoError(t, mustHoldOneOf(left, states), "sector %d of %d is lost", lost, n)
	}
}

// TestCrashMetaPutBack: the meta of a commit cannot be written, or only a part of it, or
// so the system says. What the slot held was committed, and is there when the process
// has died.
func TestCrashMetaPutBack(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		for _, part := range []int{0, 1000, 4096} {
			disk := foliotest.NewDisk()
			plan := &faultfs.Plan{}
			db, err := folio.OpenFS(faultfs.Wrap(disk, plan), crashFile, 0o600, &folio.Options{Durability: none})
			require.NoError(t, err)
			m := foliotest.NewBucket()
			put := func(m *foliotest.Bucket, size int) error {
				return db.Update(func(tx *folio.Tx) error {
					b, bm := crashBucket(tx, m, "b")
					putSized("key", size)(b, bm)
					return nil
				})
			}
			require.NoError(t, put(m, 100))
			require.NoError(t, put(m, 200))
			before := plan.Calls(faultfs.Write)
			require.NoError(t, put(m, 300))
			// As many writes later comes the meta of the next one.
			plan.Add(faultfs.Fault{Op: faultfs.Write, Nth: plan.Calls(faultfs.Write) - before, Err: errno, Short: part})
			require.ErrorIs(t, put(m.Clone(), 400), errno)
			left := disk.Kill(disk.Events())
			require.NoError(t, mustHoldOneOf(left, []*foliotest.Bucket{m}), "%v, %d bytes written", errno, part)
		}
	}
}

// TestCrashSpoilFails: a flush fails and loses what it was to write, the meta of that commit
// cannot be spoilt, for no write works any more, and the process dies while the cache stays:
// somebody has the file mapped. The next process takes the commit for durable. What it builds on
// top of it, and acknowledges, a power cut must not damage.
func TestCrashSpoilFails(t *testing.T) {
	for _, o := range []folio.Options{{}, {TwoFlushes: true}, {Durability: none}} {
		disk, plan := foliotest.NewDisk(), faultfs.NewPlan()
		disk.NoDropCache = true
		m := foliotest.NewBucket()
		commit := func(db *folio.DB, steps ...func(*folio.Bucket, *foliotest.Bucket)) error {
			return errors.Join(db.Update(func(tx *folio.Tx) error {
				b, bm := crashBucket(tx, m, "b")
				for _, step := range steps {
					step(b, bm)
				}
				return nil
			}), db.Sync())
		}
		var fill []func(*folio.Bucket, *foliotest.Bucket)
		for i := range 500 {
			fill = append(fill, putSized(fmt.Sprintf("key %03d", i), 200))
		}
		db, err := folio.OpenFS(faultfs.Wrap(disk, plan), crashFile, 0o600, &o)
		require.NoError(t, err)
		require.NoError(t, commit(db, fill...))
		disk.Lose = func(int64) bool { return true }
		failed := false
		disk.OnSync = func() error {
			if failed {
				return nil
			}
			failed = true
			plan.Add(faultfs.Fault{Op: faultfs.Changes, Count: -1, Err: syscall.EIO})
			return syscall.EIO
		}
		before := m.Clone()
		require.ErrorIs(t, commit(db, putSized("key 000", 300)), syscall.EIO)
		if o.TwoFlushes { // its meta was never written
			m = before
		}

		left := disk.Kill(disk.Events())
		next, err := folio.OpenFS(left, crashFile, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, next.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }))
		require.NoError(t, commit(next, putSized("key 400", 300)))
		power := left.At(left.Events(), 4096).Left(foliotest.Writes, func(int) bool { return false })
		require.NoError(t, mustHoldOneOf(power, []*foliotest.Bucket{m}), "%+v", o)
	}
}

// TestCrashMetaTorn: the meta of commits that nobody has flushed is torn, and cannot be put
// back. Whatever the cause, nobody says that they are durable, and nothing overwrites the
// durable state.
func TestCrashMetaTorn(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EIO, syscall.ENOSPC} {
		h := newHeld(t, folio.Options{Durability: none})
		require.NoError(t, h.db.Update(putAs("a", 1, 10)))
		require.NoError(t, h.db.Sync())
		require.NoError(t, h.db.Update(putAs("b", 1, 10)))
		before := h.plan.Calls(faultfs.Write)
		require.NoError(t, h.db.Update(putAs("c", 1, 10)))
		// As many writes later comes the meta of the next one, and then what puts it back.
		n := h.plan.Calls(faultfs.Write) - before
		h.plan.Add(faultfs.Fault{Op: faultfs.Write, Nth: n, Err: errno, Short: 1000})
		h.plan.Add(faultfs.Fault{Op: faultfs.Write, Nth: n + 1, Err: errno})
		require.ErrorIs(t, h.db.Update(putAs("d", 1, 10)), errno)
		for _, call := range []func() error{
			h.db.Sync, h.db.Sync, func() error { return h.db.Update(putAs("e", 1, 10)) }, h.db.Close,
		} {
			err := call()
			require.ErrorIs(t, err, folio.ErrLatched)
			require.ErrorIs(t, err, errno)
		}
		h.dies("a1 ", false)
	}
}

// TestCrashAfterClose: what Close has noted, that nothing was in flight, is durable.
func TestCrashAfterClose(t *testing.T) {
	for _, d := range []folio.Durability{full, none} {
		disk := foliotest.NewDisk()
		o := &folio.Options{Durability: d}
		db, err := folio.OpenFS(disk, crashFile, 0o600, o)
		require.NoError(t, err)
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			_, err := tx.CreateBucket([]byte("b"))
			return err
		}))
		require.NoError(t, db.Close())
		left := disk.At(disk.Events(), 8192).Left(foliotest.Writes, func(int) bool { return false })
		db, err = folio.OpenFS(left, crashFile, 0o600, o)
		require.NoError(t, err)
		require.True(t, folio.WasClean(db))
		require.NoError(t, db.Close())
	}
}

// TestCrashReaderInFlight: while a commit is being flushed, a transaction begins on top of
// it, and then a reader. It sees the state before, which nobody has flushed, and whose
// pages the commit has freed. They stay for it.
func TestCrashReaderInFlight(t *testing.T) {
	disk := foliotest.NewDisk()
	var gate func()
	disk.OnSync = func() error {
		if during := gate; during != nil {
			gate = nil
			during()
		}
		return nil
	}
	db, err := folio.OpenFS(disk, crashFile, 0o600, nil)
	require.NoError(t, err)
	m := foliotest.NewBucket()
	put := func(m *foliotest.Bucket, d folio.Durability, size int, then func()) error {
		return db.Update(func(tx *folio.Tx) error {
			must(tx.SetDurability(d))
			b, bm := crashBucket(tx, m, "b")
			for i := range 60 {
				putSized(fmt.Sprintf("key %02d", i), size)(b, bm)
			}
			then()
			return nil
		})
	}
	nothing := func() {}
	require.NoError(t, put(m, full, 100, nothing))
	require.NoError(t, put(m, none, 110, nothing))
	var reader *folio.Tx
	var group pipeGoroutines
	gate = func() {
		ran := make(chan struct{})
		group.run(func() error { return put(m.Clone(), full, 130, func() { close(ran) }) })
		<-ran
		reader, err = db.Begin(false)
	}
	require.NoError(t, put(m.Clone(), full, 120, nothing))
	require.NoError(t, group.wait())
	require.NoError(t, err)
	for size := range 3 {
		require.NoError(t, put(m.Clone(), full, 140+size, nothing))
	}
	require.NoError(t, foliotest.Diff(reader, m))
	require.NoError(t, foliotest.Check(reader))
	require.NoError(t, reader.Rollback())
	require.NoError(t, db.Close())
}

// TestCrashClean: commits move pages that nobody has changed, while a reader has them. It
// sees what it saw; and of the last of them, whatever the power cut leaves, the state is
// whole. With several goroutines their leaves are written first (early.go).
func TestCrashClean(t *testing.T) {
	for name, c := range map[string]crashClean{
		"one goroutine":        {},
		"several":              {several: true},
		"several, two flushes": {several: true, o: folio.Options{TwoFlushes: true}},
		"values in runs":       {runs: true},
		"runs, two goroutines": {runs: true, several: true},
	} {
		t.Run(name, func(t *testing.T) { require.NoError(t, c.run()) })
	}
}

type crashClean struct {
	o       folio.Options
	several bool // goroutines write a commit
	runs    bool // values have a page each, not four one
	db      *folio.DB
	m       *foliotest.Bucket
}

func (c *crashClean) update(fn func(b *folio.Bucket, m *foliotest.Bucket)) {
	c.m = c.m.Clone()
	must(c.db.Update(func(tx *folio.Tx) error {
		fn(crashBucket(tx, c.m, "b"))
		return nil
	}))
}

// fill makes a file of which many pages are free, but not in long extents.
func (c *crashClean) fill() {
	keys, each := 24_000, 4
	if c.runs {
		keys, each = 6000, 1
	}
	c.update(func(b *folio.Bucket, m *foliotest.Bucket) {
		for i := range keys {
			putSized(fmt.Sprintf("key %05d", i), c.size(100))(b, m)
		}
	})
	c.update(func(b *folio.Bucket, m *foliotest.Bucket) { // of 30 pages 6 stay
		for i := range keys {
			if i%(30*each) >= 6*each {
				remove(fmt.Sprintf("key %05d", i))(b, m)
			}
		}
	})
	for range 50 { // which move nothing, but what was removed is free, and nothing is young
		c.update(putSized("key 00000", c.size(0)))
	}
}

// size is that of a value, for x from 0 to 100.
func (c *crashClean) size(x int) int {
	if c.runs {
		return 2900 + x
	}
	return 800 + x
}

func (c crashClean) run() (err error) {
	defer noPanic(&err)
	disk := foliotest.NewDisk()
	c.db, err = folio.OpenFS(disk, crashFile, 0o600, &c.o)
	must(err)
	folio.SetParallel(c.db, c.several)
	c.m = foliotest.NewBucket()
	c.fill()
	rnd := rand.New(rand.NewPCG(1, 1))
	some := func(b *folio.Bucket, m *foliotest.Bucket) {
		for range 150 {
			putSized(m.Key(rnd.IntN(m.Len())), c.size(rnd.IntN(100)))(b, m)
		}
	}
	reader, err := c.db.Begin(false)
	must(err)
	seen, before := c.m, c.db.Stats()
	for range 4 {
		c.update(some)
	}
	after := c.db.Stats()
	if d := after.Sub(&before); d.PageWrites < 4*220 || c.runs && d.TxStats.RunPages < 4*180 {
		return fmt.Errorf("hardly anything was moved: %d pages in 4 commits", d.PageWrites)
	}
	if err := errors.Join(foliotest.Diff(reader, seen), foliotest.Check(reader), reader.Rollback()); err != nil {
		return fmt.Errorf("the reader: %w", err)
	}

	disk.Settle()
	old := c.m
	c.update(some)
	durable := disk.At(disk.Events(), 8192).Left(foliotest.Writes, func(int) bool { return false })
	if err := mustHoldOneOf(durable, []*foliotest.Bucket{c.m}); err != nil {
		return fmt.Errorf("what was durable: %w", err)
	}
	for i := range 12 {
		cut := rnd.IntN(disk.Events() + 1)
		if err := mustHoldOneOf(disk.Crash(cut, 8192, rnd), []*foliotest.Bucket{old, c.m}); err != nil {
			return fmt.Errorf("crash %d at event %d: %w", i, cut, err)
		}
	}
	return nil
}

// TestCrashLatchedRun: a failed sync loses a long value but for its first page, and the
// cache lets go of it. Readers get an error, not what was there before.
func TestCrashLatchedRun(t *testing.T) {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, crashFile, 0o600, nil)
	require.NoError(t, err)
	var v []byte
	for i, d := range []folio.Durability{full, full, full, none} {
		v = bytes.Repeat([]byte{byte('a' + i)}, 300_000)
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			must(tx.SetDurability(d))
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(err)
			return b.Put([]byte("key"), v)
		}))
	}
	look := func(tx *folio.Tx) error {
		if !bytes.Equal(tx.Bucket([]byte("b")).Get([]byte("key")), v) {
			return errors.New("another value")
		}
		return nil
	}
	require.NoError(t, db.View(look))
	first := int64(bytes.Index(disk.Content(crashFile), v[:4096])) / 4096
	disk.OnSync = func() error { return errSync }
	disk.Lose = func(off int64) bool { return off/4096 > first && off/4096 <= first+300_000/4096 }
	require.ErrorIs(t, db.Sync(), errSync)
	disk.Evict(crashFile)
	require.ErrorIs(t, db.View(look), folio.ErrCorrupt)
}

// TestCrashSpillInSync: while Sync flushes what nobody has flushed before, a transaction
// writes early. Until that flush has ended it must not write over the durable state.
func TestCrashSpillInSync(t *testing.T) {
	disk := foliotest.NewDisk()
	o := quietly(folio.Options{MaxDirty: 8 * 4096})
	db, err := folio.OpenFS(disk, crashFile, 0o600, &o)
	require.NoError(t, err)
	put := func(m *foliotest.Bucket, n, size int, then error) error {
		return db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "b")
			for i := range n {
				putSized(fmt.Sprintf("key %02d", i), size)(b, bm)
			}
			return then
		})
	}
	durable, newest := foliotest.NewBucket(), foliotest.NewBucket()
	require.NoError(t, put(durable, 80, 800, nil))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		must(tx.SetDurability(none)) // it is small, or it would not be left unflushed
		return tx.DeleteBucket([]byte("b"))
	}))
	var cut *foliotest.Cut
	disk.OnSync = func() error {
		if cut == nil {
			require.ErrorIs(t, put(foliotest.NewBucket(), 80, 900, errUndone), errUndone)
			cut = disk.At(disk.Events(), 8192)
		}
		return nil
	}
	require.NoError(t, db.Sync())
	n := cut.Units(foliotest.Writes)
	for one := range n {
		for _, keep := range []func(int) bool{func(u int) bool { return u == one }, func(u int) bool { return u != one }} {
			left := cut.Left(foliotest.Writes, keep)
			require.NoError(t, mustHoldOneOf(left, []*foliotest.Bucket{durable, newest}), "write %d of %d", one, n)
		}
	}
}

// TestCrashLostRun: a flush fails and loses the end of a long value, and the process dies
// before it can spoil the meta. The cache shows all of it, and the next one
// must not believe that.
func TestCrashLostRun(t *testing.T) {
	for _, c := range []struct {
		name string
		size int
		d    folio.Durability
	}{
		{"record, in two units of the cache", 1_200_000, full},
		{"weak", 2_200_000, none},
	} {
		t.Run(c.name, func(t *testing.T) {
			disk := foliotest.NewDisk()
			db, err := folio.OpenFS(disk, crashFile, 0o600, nil)
			require.NoError(t, err)
			put := func(d folio.Durability, v []byte) error {
				return db.Update(func(tx *folio.Tx) error {
					must(tx.SetDurability(d))
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					must(err)
					return b.Put([]byte("key"), v)
				})
			}
			value := func(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, c.size) }
			for i := range 3 {
				require.NoError(t, put(full, value(i)))
			}
			disk.OnSync = func() error {
				end := int64(bytes.Index(disk.Content(crashFile), value(3))+c.size) / 4096
				disk.Lose = func(off int64) bool { return off/4096 > end-40 && off/4096 < end }
				return errSync
			}
			err = put(c.d, value(3))
			if c.d == none {
				err = db.Sync()
			}
			require.ErrorIs(t, err, errSync)
			left := disk.Kill(disk.FailedAt())
			left.CacheUnit = 2 << 20
			db, err = folio.OpenFS(left, crashFile, 0o600, nil)
			require.NoError(t, err)
			require.NoError(t, db.View(func(tx *folio.Tx) error {
				if got := tx.Bucket([]byte("b")).Get([]byte("key")); !bytes.Equal(got, value(2)) {
					return fmt.Errorf("it has %.10q", got)
				}
				return foliotest.Check(tx)
			}))
		})
	}
}
