package folio_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// TestCursorDeletedEnds: a cursor whose key, the first or the last one, has been deleted, and
// that has been asked for one beyond it, is still between that and its neighbour. In a leaf
// that it has gone through, and in another one.
func TestCursorDeletedEnds(t *testing.T) {
	db := openNew(t)
	key := func(i int) string { return fmt.Sprintf("key %03d", i) }
	const keys = 500
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := 0; i < keys && err == nil; i++ {
			err = b.Put([]byte(key(i)), make([]byte, 50))
		}
		return err
	}))
	for _, warm := range []int{0, 3} {
		for _, gone := range []int{1, 2} {
			tx, err := db.Begin(true)
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			c := tx.Bucket([]byte("b")).Cursor()
			is := func(want string, k, _ []byte) { t.Helper(); require.Equal(t, want, string(k)) }
			last := keys - 1
			ends := []struct {
				first           func() (k, v []byte)
				towards, beyond func() (k, v []byte)
				at              func(i int) string
			}{
				{c.First, c.Next, c.Prev, key},
				{c.Last, c.Prev, c.Next, func(i int) string { return key(last - i) }},
			}
			for _, e := range ends {
				e.first()
				for range warm {
					e.towards()
				}
				for range warm {
					e.beyond()
				}
				for i := range gone {
					require.NoError(t, c.Delete())
					is("", firstOf(e.beyond()), nil)
					is("", firstOf(e.beyond()), nil)
					k, v := e.towards()
					is(e.at(i+1), k, v)
				}
				k, v := e.towards()
				is(e.at(gone+1), k, v)
				k, v = e.beyond()
				is(e.at(gone), k, v)
				is("", firstOf(e.beyond()), nil)
				k, v = e.towards()
				is(e.at(gone+1), k, v)
			}
			require.NoError(t, tx.Rollback())
		}
	}
}

func firstOf(k, _ []byte) []byte { return k }
