package folio_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// TestGetDoesNotAllocate: a warm Get makes no garbage, in a View and by hand.
func TestGetDoesNotAllocate(t *testing.T) {
	db := openNew(t)
	keys := make([][]byte, 5000)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		for i := range keys {
			keys[i] = fmt.Appendf(nil, "key %d", i)
			if err := b.Put(keys[i], make([]byte, i%2000)); err != nil {
				return err
			}
		}
		return nil
	}))
	gets := func(b *folio.Bucket) float64 {
		return testing.AllocsPerRun(5, func() {
			for _, k := range keys {
				if b.Get(k) == nil {
					t.Fatalf("no %s", k)
				}
			}
		})
	}
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.Zero(t, gets(tx.Bucket([]byte("b"))))
		return nil
	}))
	tx, err := db.Begin(false)
	require.NoError(t, err)
	require.Zero(t, gets(tx.Bucket([]byte("b"))))
	require.NoError(t, tx.Rollback())
}

// TestGetMany agrees with Get.
func TestGetMany(t *testing.T) {
	db := openNew(t)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		many := func(n int) {
			keys := make([][]byte, 0, n)
			for i := range n {
				keys = append(keys, fmt.Appendf(nil, "key %d", i*7%100_000))
			}
			values := make([][]byte, n+1)
			values[n] = []byte("untouched")
			b.GetMany(keys, values)
			for i, k := range keys {
				require.Equal(t, b.Get(k), values[i])
			}
			require.Equal(t, "untouched", string(values[n]))
			if n > 0 { // although there is capacity
				require.PanicsWithValue(t, fmt.Sprintf("folio: GetMany of %d keys with room for %d values", n, n-1),
					func() { b.GetMany(keys, values[:n-1]) })
			}
		}
		many(40) // nothing there yet
		for i := range 20_000 {
			if err := b.Put(fmt.Appendf(nil, "key %d", i), make([]byte, i%1500)); err != nil {
				return err
			}
		}
		_, err = b.CreateBucket([]byte("key 21"))
		require.Equal(t, folio.ErrIncompatibleValue, err)
		_, err = b.CreateBucket([]byte("key 49000"))
		require.NoError(t, err)
		many(0)
		many(1)
		many(10_000)
		return nil
	}))
}
