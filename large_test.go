package folio_test

// Transactions larger than memory.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
)

// mixed is a permutation of the numbers: it gives keys in no order.
func mixed(i uint64) uint64 {
	i = (i ^ i>>30) * 0xbf58476d1ce4e5b9
	i = (i ^ i>>27) * 0x94d049bb133111eb
	return i ^ i>>31
}

// largeLoad is a transaction of n keys.
type largeLoad struct {
	n      int
	random bool // the order of the keys
	gets   bool // every hundredth key is read again
	peak   uint64
}

func (l *largeLoad) key(i int) []byte {
	k := uint64(i)
	if l.random {
		k = mixed(k)
	}
	return binary.BigEndian.AppendUint64(nil, k)
}

func largeValue(buf []byte, i int) []byte { return buf[:8+mixed(uint64(i))%93] }

func (l *largeLoad) put(tx *folio.Tx) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	if err != nil {
		return err
	}
	buf := make([]byte, 128)
	for i := range l.n {
		binary.BigEndian.PutUint64(buf, uint64(i))
		if err := b.Put(l.key(i), largeValue(buf, i)); err != nil {
			return err
		}
		if l.gets && i%100 == 99 && b.Get(l.key(i/2)) == nil {
			return fmt.Errorf("key %d is gone", i/2)
		}
		if i%(1<<15) == 0 {
			l.measure()
		}
	}
	l.measure()
	return nil
}

// measure takes note of what the heap has of the operating system.
func (l *largeLoad) measure() {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	l.peak = max(l.peak, m.HeapSys-m.HeapReleased)
}

// verify makes sure that all keys are there.
func (l *largeLoad) verify(tx *folio.Tx) error {
	b := tx.Bucket([]byte("b"))
	if b.Len() != uint64(l.n) {
		return fmt.Errorf("%d keys, expected %d", b.Len(), l.n)
	}
	buf := make([]byte, 128)
	for i := 0; i < l.n; i += max(1, l.n/10_000) {
		binary.BigEndian.PutUint64(buf, uint64(i))
		if string(b.Get(l.key(i))) != string(largeValue(buf, i)) {
			return fmt.Errorf("key %d has another value", i)
		}
	}
	return foliotest.Check(tx)
}

var errUndo = errors.New("undo")

// run rolls the load back once, and then commits it.
func (l *largeLoad) run(t *testing.T, o *folio.Options) {
	db := openTemp(t, o)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		_, err := tx.CreateBucket([]byte("before"))
		return err
	}))
	before := db.Stats()
	undo := func(tx *folio.Tx) error { return errors.Join(l.put(tx), errUndo) }
	start := time.Now()
	require.ErrorIs(t, db.Update(undo), errUndo)
	undone := db.Stats()
	t.Logf("rolled back: %v, a file of %d MiB", time.Since(start).Round(time.Millisecond), undone.FileSize>>20)
	require.Equal(t, before.Size, undone.Size)
	require.LessOrEqual(t, undone.FileSize, before.FileSize+(8<<20)+before.FileSize/4)
	require.NoError(t, db.View(foliotest.Check))

	start = time.Now()
	require.NoError(t, db.Update(l.put))
	took := time.Since(start)
	after := db.Stats()
	t.Logf("%d keys, random %v, gets %v: %v, heap %d MiB, written %d MiB, the file %d MiB, of them free %d MiB",
		l.n, l.random, l.gets, took.Round(time.Millisecond), l.peak>>20,
		(after.ByteWrites-undone.ByteWrites)>>20, after.FileSize>>20, after.FreeAlloc>>20)
	require.NoError(t, db.View(l.verify))
	live := after.Size - int64(after.FreeAlloc)
	require.Less(t, after.Size, 4*live+4*o.MaxDirty, "live bytes: %d", live)

	// Nor does it get longer by rollbacks.
	require.ErrorIs(t, db.Update(func(tx *folio.Tx) error {
		_, err := tx.Bucket([]byte("b")).DeleteRange(nil, nil)
		return errors.Join(err, undo(tx))
	}), errUndo)
	require.LessOrEqual(t, db.Stats().FileSize, after.Size+after.Size/3+(16<<20))
	require.NoError(t, db.View(l.verify))
}

// TestLargeTransaction loads more than MaxDirty in one transaction: small, and with
// -long what takes gigabytes.
func TestLargeTransaction(t *testing.T) {
	for _, random := range []bool{false, true} {
		t.Run(fmt.Sprintf("random %v", random), func(t *testing.T) {
			l := &largeLoad{n: 60_000, random: random}
			if testing.Short() || invariants.Enabled {
				l.n = 10_000
			}
			l.run(t, &folio.Options{MaxDirty: 512 << 10})
			l.gets = true
			l.run(t, &folio.Options{MaxDirty: 512 << 10})
		})
	}
}

// TestLargeTransactionLong needs some hundred gigabytes of writes.
func TestLargeTransactionLong(t *testing.T) {
	if !*longFlag {
		t.Skip("takes long: -long")
	}
	for _, random := range []bool{false, true} {
		t.Run(fmt.Sprintf("random %v", random), func(t *testing.T) {
			l := &largeLoad{n: *largeN, random: random}
			l.run(t, &folio.Options{MaxDirty: 64 << 20})
			require.LessOrEqual(t, l.peak, uint64(256<<20))
		})
	}
}

// TestLargeSavepoint goes back, again and again, over more than MaxDirty: the file
// does not grow with each time.
func TestLargeSavepoint(t *testing.T) {
	db := openTemp(t, &folio.Options{MaxDirty: 256 << 10})
	rnd := rand.New(rand.NewPCG(1, 1))
	fill := func(b *folio.Bucket) error {
		for range 3000 {
			if err := b.Put(number(rnd.IntN(1_000_000)), make([]byte, 500)); err != nil {
				return err
			}
		}
		return nil
	}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		require.NoError(t, fill(b))
		keys := b.Len()
		sp, err := tx.Savepoint()
		require.NoError(t, err)
		for range 20 {
			require.NoError(t, fill(b))
			require.NoError(t, sp.Rollback())
			require.Equal(t, keys, b.Len())
		}
		return foliotest.Check(tx)
	}))
	require.NoError(t, db.View(foliotest.Check))
	require.Less(t, db.Stats().FileSize, int64(24<<20))
}

// TestManyNested: a Nested costs what it changes, however many there were before.
func TestManyNested(t *testing.T) {
	n := 60_000
	if testing.Short() || invariants.Enabled {
		n = 5_000
	}
	db := openTemp(t, &folio.Options{MaxDirty: 1 << 20})
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		for i := range n {
			err := tx.Nested(func(*folio.Tx) error {
				if err := b.Put(number(i), make([]byte, 50)); err != nil || i%10 != 0 {
					return err
				}
				return errUndo
			})
			if i%10 == 0 && err != errUndo || i%10 != 0 && err != nil {
				return err
			}
		}
		require.EqualValues(t, n-n/10, b.Len())
		return foliotest.Check(tx)
	}))
	require.NoError(t, db.View(foliotest.Check))
	require.Less(t, db.Stats().FileSize, int64(200*n+(8<<20)))
}
