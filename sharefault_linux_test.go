package folio_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

// TestShareFault cuts the lock file off below those who use it, which makes each touch of
// it a fault, as it is when the file system has shut itself down. Nobody dies of that, who
// reads goes on reading, who writes stops, and nothing that was committed is lost.
func TestShareFault(t *testing.T) {
	for name, sharing := range map[string]folio.Sharing{"readers": folio.ShareReaders, "writers": folio.ShareWriters} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "db")
			w := openShared(t, path, folio.Options{Sharing: sharing})
			put := func(key string, d folio.Durability) error {
				return w.Update(func(tx *folio.Tx) error {
					if err := tx.SetDurability(d); err != nil {
						return err
					}
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					if err != nil {
						return err
					}
					return b.Put([]byte(key), []byte("value"))
				})
			}
			require.NoError(t, put("before", folio.DurabilityFull))
			r := openShared(t, path, folio.Options{ReadOnly: true})
			held, err := r.Begin(false)
			require.NoError(t, err)
			get := func(tx *folio.Tx) error {
				require.Equal(t, "value", string(tx.Bucket([]byte("b")).Get([]byte("before"))))
				return nil
			}
			getAll := func(tx *folio.Tx) error {
				require.Equal(t, "value", string(tx.Bucket([]byte("b")).Get([]byte("not flushed"))))
				return get(tx)
			}
			require.NoError(t, get(held))
			require.NoError(t, put("not flushed", folio.DurabilityNone))

			require.NoError(t, os.Truncate(path+"-lock", 0))
			require.ErrorIs(t, put("after", folio.DurabilityNone), folio.ErrLatched)
			require.ErrorIs(t, put("later", folio.DurabilityFull), folio.ErrLatched)
			require.NoError(t, w.Sync())
			require.ErrorIs(t, r.View(get), folio.ErrFault)
			require.NoError(t, view(t, copyOf(t, path), getAll), "as the death of the process leaves it")
			require.NoError(t, get(held), "it has its snapshot")
			r.Stats()
			w.Stats()
			_, ok := r.Activity()
			require.False(t, ok)
			require.Empty(t, r.Processes())
			require.NoError(t, r.Close(), "it waits for nobody, as it does not know who reads")
			require.NoError(t, get(held), "it stays mapped")
			require.NoError(t, held.Rollback())
			require.NoError(t, w.Close())

			again := openShared(t, path, folio.Options{})
			require.NoError(t, again.View(getAll))
			require.NoError(t, again.Close())
		})
	}
}

// copyOf returns the path of a copy of the file at path.
func copyOf(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	to := filepath.Join(t.TempDir(), "copy")
	require.NoError(t, os.WriteFile(to, b, 0o600))
	return to
}

// view opens the file at path, reads it, and closes it.
func view(t *testing.T, path string, fn func(*folio.Tx) error) error {
	db := openShared(t, path, folio.Options{})
	return errors.Join(db.View(fn), db.Close())
}
