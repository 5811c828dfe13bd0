package folio_test

// Crashes that take a certain course, which random ones seldom do.

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// fillRelaxed commits steps with DurabilityNone and returns the states after each of
// them. The first of them are durable.
func fillRelaxed(t *testing.T, disk *foliotest.Disk, durable int, steps ...func(b *folio.Bucket, m *foliotest.Bucket)) []*foliotest.Bucket {
	db, err := folio.OpenFS(disk, crashFile, 0o600, &folio.Options{Durability: none})
	require.NoError(t, err)
	var states []*foliotest.Bucket
	m := foliotest.NewBucket()
	for i, step := range steps {
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			if i < durable {
				must(tx.SetDurability(full))
			}
			b, bm := crashBucket(tx, m, "b")
			step(b, bm)
			return nil
		}))
		states = append(states, m.Clone())
	}
	return states
}

func putSized(key string, size int) func(*folio.Bucket, *foliotest.Bucket) {
	return func(b *folio.Bucket, m *foliotest.Bucket) {
		v := bytes.Repeat([]byte(key), size/len(key))
		must(b.Put([]byte(key), v))
		m.Put(key, v)
	}
}

func remove(key string) func(*folio.Bucket, *foliotest.Bucket) {
	return func(b *folio.Bucket, m *foliotest.Bucket) {
		must(b.Delete([]byte(key)))
		m.Delete(key)
	}
}

// mustHoldOneOf opens what a crash has left: one of the states, and nothing else.
func mustHoldOneOf(disk *foliotest.Disk, states []*foliotest.Bucket) error {
	db, err := folio.OpenFS(disk, crashFile, 0o600, nil)
	if err != nil {
		return err
	}
	defer db.Close()
	return db.View(func(tx *folio.Tx) error {
		var err error
		for _, state := range states {
			if err = foliotest.Diff(tx, state); err == nil {
				return foliotest.Check(tx)
			}
		}
		return err
	})
}

// TestCrashUnsyncedGrowth: a commit that nobody has flushed makes the file longer, and
// the next one frees what lies there. The length is lost, and everything that the
// second one wrote is there, for it lies further down.
func TestCrashUnsyncedGrowth(t *testing.T) {
	disk := foliotest.NewDisk()
	states := fillRelaxed(t, disk, 3, putSized("hole", 50_000), remove("hole"), putSized("small", 10),
		putSized("long", 500_000), remove("long"), putSized("small", 20))
	for i := range 300 {
		rnd := rand.New(rand.NewPCG(1, uint64(i)))
		cut := disk.Events() - rnd.IntN(10)
		require.NoError(t, mustHoldOneOf(disk.Crash(cut, 8192, rnd), states), "crash %d at event %d", i, cut)
	}
}
