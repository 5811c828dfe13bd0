package folio_test

// A leaf whose bytes are those of another one, with a right checksum. Its keys are not
// where its parents say, and who looks up each key again to find the next one would go
// round for ever.

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

const orderKeys = 2000

// disorder returns a file in which a leaf of the bucket b is a copy of an earlier or a
// later one: from and to count the full leaves, in order. If they are the same, that one is
// damaged.
func disorder(t *testing.T, fill func(b *folio.Bucket, key []byte) error, from, to int) vfs.FS {
	fs := vfs.NewMem()
	db, err := folio.OpenFS(fs, "db", 0o600, nil)
	require.NoError(t, err)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := range orderKeys {
			require.NoError(t, err)
			err = fill(b, fmt.Appendf(nil, "key %05d", i))
		}
		return err
	}))
	id := db.Info().FileID
	require.NoError(t, db.Close())

	f, err := fs.OpenFile("db", 2, 0)
	require.NoError(t, err)
	defer f.Close()
	size, err := f.Size()
	require.NoError(t, err)
	content := make([]byte, size)
	_, err = f.ReadAt(content, 0)
	require.NoError(t, err)
	at := func(id page.ID) page.Page { return content[int(id)*4096:][:4096] }
	var leaves []page.ID // with as many keys as the first
	count := func(p page.Page) uint16 { return binary.LittleEndian.Uint16(p[page.OffCount:]) }
	for n := page.FirstID; int64(n+1)*4096 <= size; n++ {
		if p := at(n); p.Kind() == page.KindLeaf && count(p) > 2 && (len(leaves) == 0 || count(p) == count(at(leaves[0]))) {
			leaves = append(leaves, n)
		}
	}
	require.Greater(t, len(leaves), max(from, to))
	if from == to {
		at(leaves[to])[4000] ^= 1
	} else {
		copy(at(leaves[to]), at(leaves[from]))
		at(leaves[to]).Seal(leaves[to], id)
	}
	_, err = f.WriteAt(content, 0)
	require.NoError(t, err)
	return fs
}

func TestDisorder(t *testing.T) {
	value := make([]byte, 100)
	put := func(b *folio.Bucket, key []byte) error { return b.Put(key, value) }
	create := func(b *folio.Bucket, key []byte) error {
		_, err := b.CreateBucket(key)
		return err
	}
	for _, c := range []struct {
		name     string
		fill     func(b *folio.Bucket, key []byte) error
		from, to int
		walk     func(b *folio.Bucket, step func())
	}{
		{"Buckets", create, 1, 3, func(b *folio.Bucket, step func()) {
			for range b.Buckets() {
				step()
			}
		}},
		{"All and Put", put, 1, 3, func(b *folio.Bucket, step func()) {
			for k := range b.All() {
				step()
				require.NoError(t, b.Put(k, value[1:]))
			}
		}},
		{"Next and Put", put, 1, 3, func(b *folio.Bucket, step func()) {
			c := b.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				step()
				require.NoError(t, b.Put(k, value[1:]))
			}
		}},
		{"Prev and Put", put, 3, 1, func(b *folio.Bucket, step func()) {
			for k := range b.Backward() {
				step()
				require.NoError(t, b.Put(k, value[1:]))
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			db, err := folio.OpenFS(disorder(t, c.fill, c.from, c.to), "db", 0o600, nil)
			require.NoError(t, err)
			defer db.Close()
			require.ErrorIs(t, db.Update(func(tx *folio.Tx) error {
				steps := 0
				c.walk(tx.Bucket([]byte("b")), func() {
					if steps++; steps > 2*orderKeys {
						t.Fatal("it goes on for ever")
					}
				})
				return nil
			}), folio.ErrCorrupt)
		})
	}
}

// TestDamageElsewhere: a goroutine that the function of a View or an Update has begun meets
// damage. That is the error of the call, not the end of the process.
func TestDamageElsewhere(t *testing.T) {
	put := func(b *folio.Bucket, key []byte) error { return b.Put(key, make([]byte, 100)) }
	for name, do := range map[string]func(*folio.DB, func(*folio.Tx) error) error{
		"View": (*folio.DB).View, "Update": (*folio.DB).Update, "Batch": (*folio.DB).Batch,
	} {
		t.Run(name, func(t *testing.T) {
			db, err := folio.OpenFS(disorder(t, put, 1, 1), "db", 0o600, nil)
			require.NoError(t, err)
			defer db.Close()
			require.ErrorIs(t, do(db, func(tx *folio.Tx) error {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					for range tx.Bucket([]byte("b")).All() {
					}
				}()
				<-ended
				return nil
			}), folio.ErrCorrupt)
		})
	}
}
