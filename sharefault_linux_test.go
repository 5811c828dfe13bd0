package folio_test

import (
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
			put := func(key string) error {
				return w.Update(func(tx *folio.Tx) error {
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					if err != nil {
						return err
					}
					return b.Put([]byte(key), []byte("value"))
				})
			}
			require.NoError(t, put("before"))
			r := openShared(t, path, folio.Options{ReadOnly: true})
			held, err := r.Begin(false)
			require.NoError(t, err)
			get := func(tx *folio.Tx) error {
				require.Equal(t, "value", string(tx.Bucket([]byte("b")).Get([]byte("before"))))
				return nil
			}
			require.NoError(t, get(held))

			require.NoError(t, os.Truncate(path+"-lock", 0))
			require.ErrorIs(t, put("after"), folio.ErrLatched)
			require.ErrorIs(t, put("later"), folio.ErrLatched)
			require.ErrorIs(t, r.View(get), folio.ErrFault)
			require.NoError(t, get(held), "it has its snapshot")
			r.Stats()
			w.Stats()
			_, ok := r.Activity()
			require.False(t, ok)
			require.Empty(t, r.Processes())
			require.NoError(t, held.Rollback())
			require.NoError(t, r.Close())
			require.NoError(t, w.Close())

			again := openShared(t, path, folio.Options{})
			require.NoError(t, again.View(get))
			require.NoError(t, again.Close())
		})
	}
}
