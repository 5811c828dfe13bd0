package folio_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
	"github.com/stretchr/testify/require"
)

// fillForStats makes a file with everything in it that statistics count.
func fillForStats(t *testing.T, db *folio.DB) {
	t.Helper()
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("big"))
		require.NoError(t, err)
		for i := range 5000 {
			require.NoError(t, b.Put(fmt.Appendf(nil, "key%06d", i), bytes.Repeat([]byte{'v'}, i%100)))
		}
		for i := range 5 {
			require.NoError(t, b.Put(fmt.Appendf(nil, "long value %d", i), make([]byte, 10_000)))
		}
		require.NoError(t, b.Put(bytes.Repeat([]byte("long key "), 1000), nil))
		for i := range 300 {
			in, err := b.CreateBucket(fmt.Appendf(nil, "bucket%04d", i))
			require.NoError(t, err)
			require.NoError(t, in.Put([]byte("k"), []byte("v")))
		}
		in, err := b.CreateBucket([]byte("nested"))
		require.NoError(t, err)
		for i := range 1000 {
			require.NoError(t, in.Put(fmt.Appendf(nil, "key%06d", i), []byte("value")))
		}
		_, err = tx.CreateBucket([]byte("empty"))
		return err
	}))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		_, err := tx.Bucket([]byte("big")).DeleteRange([]byte("key001000"), []byte("key002000"))
		return err
	}))
}

// checkStats compares the statistics of tx with what is known of fillForStats.
func checkStats(t *testing.T, tx *folio.Tx) folio.BucketStats {
	t.Helper()
	b := tx.Bucket([]byte("big"))
	s := b.Stats()
	require.Equal(t, 4000+5+1+301+300+1000, s.KeyN)
	require.Equal(t, 302, s.BucketN)
	require.Equal(t, 300, s.InlineBucketN)
	require.Equal(t, 5+1, s.OverflowN)
	require.Equal(t, 5*10_000+9*1000, s.OverflowInuse)
	require.Equal(t, s.OverflowPageN, s.BranchOverflowN+s.LeafOverflowN)
	require.Positive(t, s.BranchPageN)
	require.Greater(t, s.Depth, 2)
	require.LessOrEqual(t, s.LeafInuse, s.LeafAlloc)
	require.LessOrEqual(t, s.BranchInuse, s.BranchAlloc)
	require.Equal(t, folio.BucketStats{Depth: 1, BucketN: 1, InlineBucketN: 1}, tx.Bucket([]byte("empty")).Stats())
	return s
}

func TestBucketStats(t *testing.T) {
	db, err := folio.Open("t", 0o600, &folio.Options{InMemory: true})
	require.NoError(t, err)
	defer db.Close()
	fillForStats(t, db)
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		checkStats(t, tx)
		all := tx.Cursor().Bucket().Stats()
		pages := map[string]int{}
		seen := map[int]bool{}
		require.NoError(t, tx.PageMap(func(u folio.PageUse) error {
			require.NoError(t, u.Err)
			pages[u.Type] += u.Pages
			for id := u.ID; id < u.ID+u.Pages; id++ {
				require.False(t, seen[id], "page %d twice", id)
				seen[id] = true
			}
			return nil
		}))
		require.Equal(t, int(tx.Size())/db.Info().PageSize, len(seen), "every page is used for something")
		require.Equal(t, all.BranchPageN+all.LeafPageN, pages["node"])
		require.Equal(t, all.OverflowPageN, pages["overflow"])
		require.Equal(t, db.Stats().FreePageN+db.Stats().PendingPageN, pages["free"])
		require.Equal(t, 2, pages["meta"])
		return nil
	}))
}

// TestBucketStatsWritable counts what has not been committed.
func TestBucketStatsWritable(t *testing.T) {
	db, err := folio.Open("t", 0o600, &folio.Options{InMemory: true})
	require.NoError(t, err)
	defer db.Close()
	fillForStats(t, db)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		before := checkStats(t, tx)
		in := tx.Bucket([]byte("big")).Bucket([]byte("nested"))
		for i := range 2000 {
			require.NoError(t, in.Put(fmt.Appendf(nil, "more%06d", i), []byte("value")))
		}
		after := tx.Bucket([]byte("big")).Stats()
		require.Equal(t, before.KeyN+2000, after.KeyN)
		require.Greater(t, after.LeafPageN, before.LeafPageN)
		return nil
	}))
}

// TestPageMapDamage goes on behind a damaged page, as Stats must not.
func TestPageMapDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "t.folio")
	db, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	fillForStats(t, db)
	var leaves []int
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		return tx.PageMap(func(u folio.PageUse) error {
			if info, err := tx.Page(u.ID); err == nil && u.Type == "node" && info.Type == "leaf" {
				leaves = append(leaves, u.ID)
			}
			return nil
		})
	}))
	require.NoError(t, db.Close())
	bad := leaves[len(leaves)/2]
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte("damage"), int64(bad)*4096+2000)
	require.NoError(t, err)
	require.NoError(t, f.Close())

	db, err = folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
	require.NoError(t, err)
	defer db.Close()
	stop := errors.New("stop")
	err = db.View(func(tx *folio.Tx) error {
		nodes, damaged := 0, []int{}
		require.NoError(t, tx.PageMap(func(u folio.PageUse) error {
			switch {
			case u.Err != nil:
				require.ErrorIs(t, u.Err, folio.ErrCorrupt)
				damaged = append(damaged, u.ID)
			case u.Type == "node":
				nodes++
			}
			return nil
		}))
		require.Equal(t, []int{bad}, damaged)
		require.Greater(t, nodes, len(leaves)-2)
		require.ErrorIs(t, tx.PageMap(func(folio.PageUse) error { return stop }), stop)
		tx.Cursor().Bucket().Stats()
		t.Error("Stats has not left the function")
		return nil
	})
	require.ErrorIs(t, err, folio.ErrCorrupt)
}
