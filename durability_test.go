package folio_test

// Commits that are not durable at once: when they are flushed, and what happens when
// that fails.

import (
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// TestRelaxedIsFlushed: a flush follows a relaxed commit in time, or at once when
// enough has been written, and again after that.
func TestRelaxedIsFlushed(t *testing.T) {
	for name, o := range map[string]folio.Options{
		"in time":   {Durability: relaxed, FlushInterval: time.Millisecond},
		"by volume": {Durability: relaxed, FlushInterval: quiet, FlushBytes: 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHeld(t, o)
			require.NoError(t, h.db.Update(putAs("a", 1, 10))) // the first is durable in any case
			for range 3 {
				arrived, release := h.hold()
				require.NoError(t, h.db.Update(putAs("b", 1, 10)))
				<-arrived
				h.mustHold("a1 b1 ") // nobody waits for the flush
				release <- nil
				require.NoError(t, h.db.Sync())
			}
			require.NoError(t, h.db.Close())
		})
	}
}

// TestRelaxedFlushFails: when the flush that follows fails, the database latches.
// What readers have seen stays for them, and is gone when the file is opened again.
func TestRelaxedFlushFails(t *testing.T) {
	h := newHeld(t, folio.Options{Durability: relaxed, FlushInterval: time.Millisecond})
	require.NoError(t, h.db.Update(putAs("a", 1, 10)))
	arrived, release := h.hold()
	require.NoError(t, h.db.Update(putAs("b", 1, 10)))
	<-arrived
	release <- syscall.EIO
	require.ErrorIs(t, h.db.Sync(), folio.ErrLatched)
	require.ErrorIs(t, h.db.Update(nothing), folio.ErrLatched)
	got, err := names(h.db)
	require.NoError(t, err)
	require.Contains(t, got, "a1 b1 ")
	_ = h.db.Close()
	db, err := folio.OpenFS(h.disk, crashFile, 0o600, nil)
	require.NoError(t, err)
	got, err = names(db)
	require.NoError(t, err)
	require.Equal(t, "a1 ", got)
	require.NoError(t, db.Close())
}

// TestSyncOfWeakFails lets each of the two flushes fail that a Sync takes when there is
// more to it than a commit record can list.
func TestSyncOfWeakFails(t *testing.T) {
	for failing := range 2 {
		h := newHeld(t, folio.Options{Durability: none})
		require.NoError(t, h.db.Update(putAs("a", 1, 10)))
		require.NoError(t, h.db.Update(putAs("b", 1200, 3000)))
		flushes := h.db.Stats().Flushes
		synced, release := h.syncHeld()
		if failing == 1 {
			again, releaseAgain := h.hold()
			release <- nil
			<-again
			release = releaseAgain
		}
		release <- syscall.EIO
		require.ErrorIs(t, <-synced, syscall.EIO)
		require.EqualValues(t, failing+1, h.db.Stats().Flushes-flushes)
		require.ErrorIs(t, h.db.Update(nothing), folio.ErrLatched)
		_ = h.db.Close()
		db, err := folio.OpenFS(h.disk, crashFile, 0o600, nil)
		require.NoError(t, err)
		got, err := names(db)
		require.NoError(t, err)
		require.Equal(t, "a1 ", got)
		require.NoError(t, db.Close())
	}
}

// TestDurabilityIsOneOfThree: nothing that is no durability can make others' commits
// less durable.
func TestDurabilityIsOneOfThree(t *testing.T) {
	h := newHeld(t, folio.Options{})
	for _, d := range []folio.Durability{-1, none + 1} {
		require.Error(t, h.db.Update(func(tx *folio.Tx) error { return tx.SetDurability(d) }))
		_, err := folio.OpenFS(h.disk, "dir/other", 0o600, &folio.Options{Durability: d})
		require.Error(t, err)
	}
	require.NoError(t, h.db.Close())
}

// TestLatchedWithoutFlush: a database that latches with commits that are not durable loses
// none of them when the process dies, or closes it, and can make them so, unless a sync is
// what has failed.
func TestLatchedWithoutFlush(t *testing.T) {
	for name, tc := range map[string]struct {
		options folio.Options
		size    int // of a value that makes the commit weak, or does not
	}{
		"in the record": {folio.Options{Durability: none}, 10},
		"weak":          {folio.Options{Durability: none}, 3 << 20},
		"relaxed":       {folio.Options{Durability: relaxed, FlushInterval: quiet}, 10},
	} {
		t.Run(name, func(t *testing.T) {
			latched := func() *heldDisk {
				h := newHeld(t, tc.options)
				require.NoError(t, h.db.Update(putAs("a", 3, 10)))
				require.NoError(t, h.db.Sync())
				require.NoError(t, h.db.Update(putAs("b", 1, tc.size)))
				h.plan.Add(faultfs.Fault{Op: faultfs.Write, Err: syscall.EIO}, faultfs.Fault{Op: faultfs.WriteVec, Err: syscall.EIO})
				require.ErrorIs(t, h.db.Update(putAs("c", 3, 10)), folio.ErrLatched)
				h.plan.Clear()
				h.dies("a3 b1 ", true)
				return h
			}
			durable := func(h *heldDisk) {
				h.dies("a3 b1 ", true)
				h.disk = h.disk.Crash(h.disk.Events(), page.NumMetas*4096, rand.New(rand.NewPCG(1, 1)))
				h.dies("a3 b1 ", true)
			}
			t.Run("Sync", func(t *testing.T) {
				h := latched()
				require.NoError(t, h.db.Sync())
				durable(h)
				require.NoError(t, h.db.Close())
			})
			t.Run("Close", func(t *testing.T) {
				h := latched()
				require.NoError(t, h.db.Close())
				durable(h)
			})
			t.Run("a sync fails", func(t *testing.T) {
				h := latched()
				h.plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: syscall.EIO})
				require.ErrorIs(t, h.db.Sync(), syscall.EIO)
				require.ErrorIs(t, h.db.Sync(), folio.ErrLatched)
				require.ErrorIs(t, h.db.Close(), folio.ErrLatched, "it has not made durable what was committed")
			})
		})
	}
}
