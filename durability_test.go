package folio_test

// Commits that are not durable at once: when they are flushed, and what happens when
// that fails.

import (
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
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
