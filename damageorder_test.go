package folio_test

// Files whose checksums are right, and whose pages do not go with each other. Where the bytes
// of a leaf are those of another one its keys are not where its parents say, and who looks up
// each key again to find the next one would go round for ever.

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

const orderKeys = 2000

// changed returns a file with the bucket b of orderKeys keys, which fill puts, after change
// has changed its bytes.
func changed(t *testing.T, fill func(b *folio.Bucket, key []byte) error, change func(content []byte, fileID uint64)) vfs.FS {
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
	change(content, id)
	_, err = f.WriteAt(content, 0)
	require.NoError(t, err)
	return fs
}

// pageAt returns a page of the content of a file with pages of 4 KiB.
func pageAt(content []byte, id page.ID) page.Page { return content[int(id)*4096:][:4096] }

// disorder returns a file in which a leaf of the bucket b is a copy of an earlier or a
// later one: from and to count the full leaves, in order. If they are the same, that one is
// damaged.
func disorder(t *testing.T, fill func(b *folio.Bucket, key []byte) error, from, to int) vfs.FS {
	return changed(t, fill, func(content []byte, fileID uint64) {
		var leaves []page.ID // with as many keys as the first
		for id := page.FirstID; int(id+1)*4096 <= len(content); id++ {
			if p := pageAt(content, id); p.Kind() == page.KindLeaf && p.Count() > 2 && (len(leaves) == 0 || p.Count() == pageAt(content, leaves[0]).Count()) {
				leaves = append(leaves, id)
			}
		}
		require.Greater(t, len(leaves), max(from, to))
		p := pageAt(content, leaves[to])
		if from == to {
			p[4000] ^= 1
			return
		}
		copy(p, pageAt(content, leaves[from]))
		p.Seal(leaves[to], fileID)
	})
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

// TestMismatchEachTime: what does not go with what its parent says is an error each time
// that it is read, not the first time only.
func TestMismatchEachTime(t *testing.T) {
	put := func(b *folio.Bucket, key []byte) error { return b.Put(key, make([]byte, 5000)) }
	fs := changed(t, put, func(content []byte, fileID uint64) {
		for id := page.FirstID; int(id+1)*4096 <= len(content); id++ {
			p := pageAt(content, id)
			if p.Kind() != page.KindBranch || p.ComputeChecksum(id, fileID) != p.Checksum() {
				continue
			}
			m := fieldMap{ranges: map[string][]fieldRange{}}
			m.addBranch(p)
			for _, at := range m.ranges["child flags"] {
				p[at.off] = 0 // no values in pages of their own
			}
			p.Seal(id, fileID)
		}
	})
	db, err := folio.OpenFS(fs, "db", 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	for range 2 {
		require.NoError(t, db.View(func(tx *folio.Tx) error {
			require.Error(t, <-tx.Check())
			return nil
		}))
		require.ErrorIs(t, db.View(func(tx *folio.Tx) error {
			for _, v := range tx.Bucket([]byte("b")).All() {
				require.Equal(t, 5000, len(v))
			}
			return nil
		}), folio.ErrCorrupt)
		require.ErrorIs(t, db.View(func(tx *folio.Tx) error {
			require.Zero(t, len(tx.Bucket([]byte("b")).Get([]byte("key 00000"))))
			return nil
		}), folio.ErrCorrupt)
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
