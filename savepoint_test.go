package folio_test

// Savepoints and the other ways to begin, end and divide transactions, as their users
// may meet them.

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

func TestSavepointMisuse(t *testing.T) {
	db := openNew(t)
	r, err := db.Begin(false)
	require.NoError(t, err)
	_, err = r.Savepoint()
	require.Equal(t, folio.ErrTxNotWritable, err)
	require.Equal(t, folio.ErrTxNotWritable, r.Nested(func(*folio.Tx) error { panic("it was called") }))
	require.Equal(t, folio.ErrTxNotWritable, r.SetDurability(folio.DurabilityNone))
	require.NoError(t, r.Rollback())
	_, err = r.Savepoint()
	require.Equal(t, folio.ErrTxClosed, err)

	for _, end := range []func(*folio.Tx) error{(*folio.Tx).Commit, (*folio.Tx).Rollback} {
		tx, err := db.Begin(true)
		require.NoError(t, err)
		sp, err := tx.Savepoint()
		require.NoError(t, err)
		_, err = tx.CreateBucketIfNotExists([]byte("b"))
		require.NoError(t, err)
		require.NoError(t, end(tx))
		require.Equal(t, folio.ErrTxClosed, sp.Rollback())
		require.Equal(t, folio.ErrTxClosed, sp.Release())
		_, err = tx.Savepoint()
		require.Equal(t, folio.ErrTxClosed, err)
		require.Equal(t, folio.ErrTxClosed, tx.Nested(func(*folio.Tx) error { panic("it was called") }))
		require.Equal(t, folio.ErrTxClosed, tx.SetDurability(folio.DurabilityNone))
		require.Equal(t, -1, tx.ID())
	}
	require.Equal(t, 1, int(db.Info().Keys))
}

// TestSavepointOrder: which savepoints are left after a Rollback and a Release.
func TestSavepointOrder(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		sps := make([]*folio.Savepoint, 5)
		for i := range sps {
			sps[i], err = tx.Savepoint()
			require.NoError(t, err)
			require.NoError(t, b.Put(number(i), nil))
		}
		require.NoError(t, sps[3].Rollback())
		require.EqualValues(t, 3, b.Len())
		require.Equal(t, folio.ErrSavepointReleased, sps[4].Rollback())
		require.Equal(t, folio.ErrSavepointReleased, sps[4].Release())
		require.NoError(t, sps[3].Rollback(), "it stays")
		require.NoError(t, sps[2].Release())
		require.Equal(t, folio.ErrSavepointReleased, sps[2].Rollback())
		require.Equal(t, folio.ErrSavepointReleased, sps[3].Rollback())
		require.EqualValues(t, 3, b.Len(), "a Release changes nothing")
		require.NoError(t, sps[1].Rollback())
		require.EqualValues(t, 1, b.Len())
		require.NoError(t, sps[0].Rollback())
		require.Zero(t, b.Len())
		return foliotest.Check(tx)
	}))
}

// TestSavepointHandles: Buckets and cursors across a Rollback.
func TestSavepointHandles(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		a, err := tx.CreateBucket([]byte("a"))
		require.NoError(t, err)
		in, err := a.CreateBucket([]byte("in"))
		require.NoError(t, err)
		for i := range 100 {
			require.NoError(t, in.Put(number(i), nil))
		}
		c := in.Cursor()
		k, _ := c.At(50)
		require.Equal(t, number(50), k)
		sp, err := tx.Savepoint()
		require.NoError(t, err)

		_, err = in.DeleteRange(number(40), number(60))
		require.NoError(t, err)
		other, err := tx.CreateBucket([]byte("other"))
		require.NoError(t, err)
		require.NoError(t, tx.MoveBucket([]byte("in"), a, other))
		late := other.Bucket([]byte("in")).Cursor()
		k, _ = c.Next()
		require.Equal(t, number(60), k)
		late.First()

		require.NoError(t, sp.Rollback())
		require.Equal(t, folio.ErrBucketNotFound, other.Put([]byte("k"), nil))
		require.Equal(t, folio.ErrBucketNotFound, in.Put([]byte("k"), nil), "it was moved, and where it was then is gone")
		k, _ = late.Next()
		require.Nil(t, k)
		k, _ = c.Next()
		require.Nil(t, k)
		in = a.Bucket([]byte("in"))
		require.EqualValues(t, 100, in.Len())
		return foliotest.Check(tx)
	}))
}

// TestNestedCursor: a function given to Nested uses what its caller has opened.
func TestNestedCursor(t *testing.T) {
	for _, fails := range []bool{false, true} {
		db := openNew(t)
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucket([]byte("b"))
			require.NoError(t, err)
			for i := range 1000 {
				require.NoError(t, b.Put(number(i), nil))
			}
			c := b.Cursor()
			first, _ := c.First()
			err = tx.Nested(func(*folio.Tx) error {
				for range 10 {
					require.NoError(t, c.Delete())
					c.Next()
				}
				if fails {
					return errModel
				}
				return nil
			})
			k, _ := c.Next()
			require.Equal(t, number(11), k, "the cursor stays where the function has left it")
			require.Equal(t, number(0), first)
			if fails {
				require.Equal(t, errModel, err)
				require.EqualValues(t, 1000, b.Len())
				k, _ = c.First()
				require.Equal(t, number(0), k)
			} else {
				require.NoError(t, err)
				require.EqualValues(t, 990, b.Len())
			}
			return foliotest.Check(tx)
		}))
	}
}

// TestNestedEndsTx: a function that ends the transaction is told so.
func TestNestedEndsTx(t *testing.T) {
	db := openNew(t)
	for _, end := range []func(*folio.Tx) error{(*folio.Tx).Commit, (*folio.Tx).Rollback} {
		tx, err := db.Begin(true)
		require.NoError(t, err)
		require.Equal(t, folio.ErrTxClosed, tx.Nested(end))
	}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		require.Panics(t, func() { _ = tx.Nested((*folio.Tx).Commit) })
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	require.EqualValues(t, 1, db.Info().Keys)
}

// TestSavepointOnly: a transaction that has gone back to its beginning changes
// nothing, whether or not it had been spilled.
func TestSavepointOnly(t *testing.T) {
	for _, maxDirty := range []int64{0, 16 << 10} {
		db := openTemp(t, &folio.Options{MaxDirty: maxDirty})
		before := db.Info().TxID
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			sp, err := tx.Savepoint()
			require.NoError(t, err)
			b, err := tx.CreateBucket([]byte("b"))
			require.NoError(t, err)
			for i := range 2000 {
				require.NoError(t, b.Put(number(i), make([]byte, 100)))
			}
			return sp.Rollback()
		}))
		require.Zero(t, db.Info().Keys)
		require.NoError(t, db.View(foliotest.Check))
		if maxDirty == 0 {
			require.Equal(t, before, db.Info().TxID)
		}
	}
}

// TestBytesAcrossRollback: bytes that were read from pages in the file stay as they
// are when those are undone and the space is wanted again.
func TestBytesAcrossRollback(t *testing.T) {
	db := openTemp(t, &folio.Options{MaxDirty: 32 << 10})
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		sp, err := tx.Savepoint()
		require.NoError(t, err)
		var got [][]byte
		for round := range byte(8) {
			for i := range 500 {
				require.NoError(t, b.Put(number(i), []byte{round, 1: byte(i), 300: round}))
			}
			for i := range 500 {
				got = append(got, b.Get(number(i)))
			}
			require.NoError(t, sp.Rollback())
		}
		for i, v := range got {
			require.Equal(t, []byte{byte(i / 500), 1: byte(i % 500), 300: byte(i / 500)}, v)
		}
		return foliotest.Check(tx)
	}))
	require.NoError(t, db.View(foliotest.Check))
}

// TestTxIDs: the numbers of write transactions grow, and none that has been committed
// comes twice, whatever was rolled back or spilled between.
func TestTxIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	last := 0
	for range 3 {
		db, err := folio.Open(path, 0o600, &folio.Options{MaxDirty: 8 << 10})
		require.NoError(t, err)
		for i := range 40 {
			id := 0
			err := db.Update(func(tx *folio.Tx) error {
				id = tx.ID()
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				require.NoError(t, err)
				for j := range i * 10 {
					require.NoError(t, b.Put(number(j), make([]byte, 100+i)))
				}
				if i%3 == 2 {
					return errModel
				}
				_, err = b.NextSequence()
				return err
			})
			require.Greater(t, id, last)
			if i%3 == 2 {
				require.Equal(t, errModel, err)
				continue
			}
			require.NoError(t, err)
			require.GreaterOrEqual(t, db.Info().TxID, id)
			last = id
		}
		require.NoError(t, db.View(foliotest.Check))
		require.NoError(t, db.Close())
	}
}

// TestWritableInspection: what a write transaction says of the state before it.
func TestWritableInspection(t *testing.T) {
	db := openTemp(t, &folio.Options{MaxDirty: 32 << 10})
	fillMany(t, db, 1000, 100)
	path := filepath.Join(t.TempDir(), "copy")
	pages := func(tx *folio.Tx) (n int) {
		require.NoError(t, tx.PageMap(func(u folio.PageUse) error {
			n += u.Pages
			return u.Err
		}))
		return n
	}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		before := pages(tx)
		for i := range 5000 {
			require.NoError(t, tx.Bucket([]byte("b")).Put(number(i*7919%5000), make([]byte, 100)))
		}
		require.Equal(t, before, pages(tx))
		return tx.CopyFile(path, 0o600)
	}))
	of, err := folio.Open(path, 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, of.View(func(tx *folio.Tx) error {
		require.EqualValues(t, 1000, tx.Bucket([]byte("b")).Len())
		return foliotest.Check(tx)
	}))
	require.NoError(t, of.Close())
}

// TestBatchSavepoints: functions of a Batch nest, fail and panic on their own.
func TestBatchSavepoints(t *testing.T) {
	db := openNew(t)
	db.MaxBatchSize = 3
	results := make(chan error, 3)
	call := func(fn func(b *folio.Bucket) error) {
		go func() {
			err := errors.New("the function has not returned")
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panic: %v", p)
				}
				results <- err
			}()
			err = db.Batch(func(tx *folio.Tx) error {
				b, err := tx.CreateBucketIfNotExists([]byte("b"))
				require.NoError(t, err)
				require.Equal(t, errModel, tx.Nested(func(*folio.Tx) error {
					require.NoError(t, b.Put([]byte("never"), nil))
					return errModel
				}))
				return fn(b)
			})
		}()
	}
	call(func(b *folio.Bucket) error { return b.Put([]byte("good"), nil) })
	call(func(b *folio.Bucket) error { return errors.Join(b.Put([]byte("bad"), nil), errUndo) })
	call(func(b *folio.Bucket) error { _ = b.Put([]byte("worse"), nil); panic("oops") })
	var got []string
	for range 3 {
		got = append(got, fmt.Sprint(<-results))
	}
	require.ElementsMatch(t, []string{"<nil>", "undo", "panic: oops"}, got)
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		k, _ := tx.Bucket([]byte("b")).Cursor().First()
		require.Equal(t, "good", string(k))
		require.EqualValues(t, 1, tx.Bucket([]byte("b")).Len())
		return nil
	}))
}

// TestSlowReaderBeside: what two readers need of neighbouring snapshots counts for the older,
// though it would not become free if that ended alone.
func TestSlowReaderBeside(t *testing.T) {
	var told []folio.SlowReader
	db := openTemp(t, &folio.Options{SlowReaderBytes: 64 << 10, OnSlowReader: func(r folio.SlowReader) { told = append(told, r) }})
	fillMany(t, db, 1000, 300)
	older, err := db.Begin(false)
	require.NoError(t, err)
	fillMany(t, db, 1, 300)
	newer, err := db.Begin(false)
	require.NoError(t, err)
	for range 3 {
		fillMany(t, db, 1000, 300)
	}
	require.Len(t, told, 1)
	require.Equal(t, older.ID(), told[0].TxID)
	require.Greater(t, told[0].Retained, int64(300_000))
	require.NoError(t, errors.Join(older.Rollback(), newer.Rollback()))
}

// TestSlowReaderBytes: a reader is slow by what it retains, too.
func TestSlowReaderBytes(t *testing.T) {
	var told []folio.SlowReader
	db := openTemp(t, &folio.Options{SlowReaderBytes: 64 << 10, OnSlowReader: func(r folio.SlowReader) { told = append(told, r) }})
	fillMany(t, db, 1000, 300)
	for range 2 {
		told = nil
		reader, err := db.Begin(false)
		require.NoError(t, err)
		fillMany(t, db, 10, 300)
		fillMany(t, db, 10, 300)
		require.Empty(t, told)
		for range 3 {
			fillMany(t, db, 1000, 300)
		}
		require.Len(t, told, 1)
		require.Equal(t, reader.ID(), told[0].TxID)
		require.GreaterOrEqual(t, told[0].Retained, int64(64<<10))
		require.GreaterOrEqual(t, db.Stats().Retained, told[0].Retained)
		require.NoError(t, reader.Rollback())
	}
	fillMany(t, db, 10, 300)
	require.Len(t, told, 1)
	require.Zero(t, db.Stats().OldestAge)
}
