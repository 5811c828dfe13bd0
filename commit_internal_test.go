package folio

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// TestRecordIsBounded: whatever makes a commit large, a checkpoint of the free space
// too, it takes two flushes before its record is more than recovery reads. Else
// recovery would refuse an acknowledged commit.
func TestRecordIsBounded(t *testing.T) {
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	most := uint64(recordMax / db.pageSize)
	for _, tc := range []struct {
		name  string
		units []unit
		two   bool
	}{
		{"as much as is allowed", []unit{{id: 2, pages: most}}, false},
		{"a page more", []unit{{id: 2, pages: most + 1}}, true},
		{"a small commit with a large freelist run", []unit{{id: 9, pages: 1}, {id: 10, pages: 10 * most, dirty: -1}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &commit{db: db, s: &store{}, units: tc.units}
			c.recordUnits()
			require.Equal(t, tc.two, c.meta.Synced)
			if tc.two {
				require.Empty(t, c.meta.Record)
			} else {
				require.Equal(t, page.ID(2), c.meta.Record[0].ID)
			}
		})
	}
}

// TestUnsyncedIsBounded: of so many transactions without a flush recovery could not tell
// how far their numbers went, so one of them is flushed.
func TestUnsyncedIsBounded(t *testing.T) {
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{Durability: DurabilityNone})
	require.NoError(t, err)
	defer db.Close()
	put := func() {
		require.NoError(t, db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			if err == nil {
				_, err = b.NextSequence()
			}
			return err
		}))
	}
	put() // the numbers of a session begin far ahead, so this is flushed
	require.Same(t, db.durable, db.current.Load())
	put() // it draws a number
	for range 2 {
		first := max(db.durableTxID(), db.drawn)
		db.nextTxID = first + maxUnsyncedTxs
		put()
		require.NotSame(t, db.durable, db.current.Load(), "it is not too far yet")
		put()
		require.Same(t, db.durable, db.current.Load(), "%d after %d", db.nextTxID-1, first)
		require.Less(t, uint64(db.nextTxID-first), uint64(txidSkip))
		put()
		require.NotSame(t, db.durable, db.current.Load(), "it begins anew")
	}
}
