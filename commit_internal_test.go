package folio

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
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
		{"a small commit with a large freelist run", []unit{{id: 9, pages: 1}, {id: 10, pages: 10 * most, dirty: nil}}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &commit{db: db, s: &store{}, listed: tc.units}
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

// TestFreeAndInTree: when a page of the tree is in the free space too, the commit that
// changes it fails before anything is written.
func TestFreeAndInTree(t *testing.T) {
	fs := vfs.NewMem()
	db, err := openFS(fs, "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	put := func(tx *Tx, v string) {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		require.NoError(t, err)
		require.NoError(t, b.Put(make([]byte, 3000), []byte(v)))
	}
	require.NoError(t, db.Update(func(tx *Tx) error { put(tx, "a"); return nil }))
	file := func() []byte {
		f, err := fs.OpenFile("db", os.O_RDONLY, 0)
		require.NoError(t, err)
		defer f.Close()
		b := make([]byte, db.pager.FileSize())
		_, err = f.ReadAt(b, 0)
		require.NoError(t, err)
		return b
	}

	tx, err := db.Begin(true)
	require.NoError(t, err)
	root := page.ID(tx.Bucket([]byte("b")).Root())
	require.NotZero(t, root)
	list := db.space.list
	for list.Free() > 0 {
		if _, ok := list.Allocate(1); !ok {
			_, ok = list.AllocateZone(1, 1)
			require.True(t, ok)
		}
	}
	list.Return(freelist.Extent{Start: root, Len: 1}) // nothing else is free
	before := file()
	put(tx, "b")
	require.ErrorIs(t, tx.Commit(), ErrCorrupt)
	require.True(t, bytes.Equal(before, file()), "something was written")
}

// TestGivenUpTwice: a page of the tree that was free too, and that the transaction has
// been given for a page which it has given up since, is found out whatever it gave up
// first.
func TestGivenUpTwice(t *testing.T) {
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.Update(func(tx *Tx) error {
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	tx, err := db.Begin(true)
	require.NoError(t, err)
	root := db.head.meta.Root
	base, own := freedRun{root.ID, 1, root.Birth}, freedRun{root.ID, 1, tx.id}
	for _, freed := range [][]freedRun{{base, own}, {own, base}, {own, own}} {
		c := db.newCommit(tx.group)
		c.taken = []freelist.Extent{base.extent()}
		c.s.freed = freed
		require.ErrorIs(t, c.giveBackOwn(0, c.base.meta.TxID+1), ErrCorrupt)
		c.list.Withdraw(base.extent())
	}
	tx.store.freed = nil
	require.NoError(t, tx.Rollback())
}

// TestSpillFreeAndInTree: a page of the tree that was free too, and that the transaction has
// given up, is found out before pages are written early, which could go over it.
func TestSpillFreeAndInTree(t *testing.T) {
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	put := func(tx *Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := range uint32(1000) {
			require.NoError(t, err)
			err = b.Put(binary.BigEndian.AppendUint32(nil, i), make([]byte, 100))
		}
		return err
	}
	require.NoError(t, db.Update(put))
	require.NoError(t, db.Update(put)) // now there are free pages
	for _, saved := range []bool{false, true} {
		tx, err := db.Begin(true)
		require.NoError(t, err)
		if saved {
			_, err := tx.Savepoint()
			require.NoError(t, err)
		}
		require.NoError(t, put(tx))
		root := db.head.meta.Root
		db.space.list.Return(freelist.Extent{Start: root.ID, Len: 1})
		require.ErrorIs(t, tx.spill(), ErrCorrupt, "with a savepoint: %v", saved)
		db.space.list.Withdraw(freelist.Extent{Start: root.ID, Len: 1})
		require.NoError(t, tx.Rollback())
	}
}
