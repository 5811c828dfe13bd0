package folio_test

// Numbers of transactions after more than one crash.

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// TestBirthsAfterTwoCrashes: two sessions begin from the same state and are cut off by
// crashes. The first leaves pages of transactions that it has rolled back after writing
// them early. Of the second, which had the same numbers, the weak meta is on the disk,
// and all pages but one, in whose place there is one of the first. That page must not be
// taken for one of the second session, though it is whole.
func TestBirthsAfterTwoCrashes(t *testing.T) {
	for rolledBack := range 4 { // so many that the numbers meet
		birthsAfterTwoCrashes(t, 3+rolledBack)
	}
}

func birthsAfterTwoCrashes(t *testing.T, rolledBack int) {
	put := func(tx *folio.Tx, value string) {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		must(err)
		for i := range 300 {
			must(b.Put(number(i), bytes.Repeat([]byte(value), 30)))
		}
	}
	open := func(image []byte, o folio.Options) (*foliotest.Disk, *folio.DB) {
		disk := foliotest.NewDisk()
		if image != nil {
			disk.Put("db", image)
		}
		return disk, openDisk(t, disk, &o)
	}
	disk, db := open(nil, folio.Options{})
	require.NoError(t, db.Update(func(tx *folio.Tx) error { put(tx, "start"); return nil }))
	require.NoError(t, db.Close())

	first, db := open(disk.Content("db"), folio.Options{MaxDirty: 4 * 4096})
	for range rolledBack {
		require.Equal(t, errModel, db.Update(func(tx *folio.Tx) error { put(tx, "first"); return errModel }))
	}
	crashed := first.Content("db")

	second, db := open(crashed, folio.Options{})
	for i := range 2 {
		require.NoError(t, db.Update(func(tx *folio.Tx) error { return tx.Cursor().Bucket().SetSequence(uint64(i)) }))
	}
	for range 3 {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			put(tx, "other")
			must(tx.Bucket([]byte("b")).Put([]byte("long"), make([]byte, 2<<20)))
			return tx.SetDurability(folio.DurabilityNone)
		}))
	}
	content := second.Content("db")
	metas := decodeMetas(t, content)
	require.True(t, metas[0].Weak || metas[1].Weak)

	lost := 0
	for at := 2 * 4096; at+4096 <= min(len(content), len(crashed)); at += 4096 {
		if bytes.Equal(content[at:at+4096], crashed[at:at+4096]) {
			continue
		}
		lost++
		image := bytes.Clone(content)
		copy(image[at:at+4096], crashed[at:])
		disk, db := open(image, folio.Options{})
		_ = disk
		values := map[string]bool{}
		require.NoError(t, db.View(func(tx *folio.Tx) error {
			for _, v := range tx.Bucket([]byte("b")).All() {
				values[fmt.Sprintf("%.5s", v)] = true
			}
			return nil
		}))
		require.False(t, values["first"], "page %d: %v", at/4096, values)
		require.NoError(t, db.Close())
	}
	require.Positive(t, lost)
}
