package folio_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// TestLargeCommits: in a file of the system several goroutines look for pages to move, and
// write parts of a commit. The simulated disks have one, so this is what the race
// detector sees of it.
func TestLargeCommits(t *testing.T) {
	db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	require.NoError(t, err)
	defer db.Close()
	rnd := rand.New(rand.NewPCG(1, 1))
	m := foliotest.NewBucket()
	update := func(fn func(b *folio.Bucket, m *foliotest.Bucket)) {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			fn(crashBucket(tx, m, "b"))
			return nil
		}))
	}
	// Neighbours differ at the end only, so separators are long, and branches many.
	key := func(i int) string {
		return fmt.Sprintf("%04d%s%02d", i/16, strings.Repeat(string(rune('a'+i/16%26)), 200), i%16)
	}
	update(func(b *folio.Bucket, m *foliotest.Bucket) {
		for i := range 40_000 {
			putSized(key(i), 700)(b, m)
		}
	})
	// Of 30 leaves 6 stay, so that there are many free pages and no long extents.
	update(func(b *folio.Bucket, m *foliotest.Bucket) {
		for i := range 40_000 {
			if i%120 >= 24 {
				remove(key(i))(b, m)
			}
		}
	})
	for range 50 { // so that nothing is young
		update(putSized(key(0), 700))
	}
	before := db.Stats()
	for range 3 {
		update(func(b *folio.Bucket, m *foliotest.Bucket) {
			for range 300 {
				putSized(m.Key(rnd.IntN(m.Len())), 600+rnd.IntN(100))(b, m)
			}
		})
	}
	after := db.Stats()
	d := after.Sub(&before)
	require.Greater(t, d.TxStats.Pages, int64(3*470), "hardly anything was moved")
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		if err := foliotest.Diff(tx, m); err != nil {
			return err
		}
		return foliotest.Check(tx)
	}))
}
