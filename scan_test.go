package folio_test

// Scans of what is committed: cursors and iterators go through plain leaves, and
// through those with long values and nested buckets, in different ways.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
)

type kv struct{ key, value []byte }

// scanBucket fills a bucket of 5000 keys, of which a part lies among long values, and the last
// third among nested buckets, long values and long keys, and returns what is in it.
func scanBucket(t *testing.T, db *folio.DB) []kv {
	var want []kv
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		require.NoError(t, err)
		for i := range 5000 {
			p := kv{fmt.Appendf(nil, "key %04d", i), bytes.Repeat([]byte{byte(i)}, i%150)}
			switch {
			case i > 1500 && i < 2500 && i%7 == 0:
				p.value = bytes.Repeat([]byte{byte(i)}, 2500+i)
				err = b.Put(p.key, p.value)
			case i > 3300 && i%70 == 0:
				_, err = b.CreateBucket(p.key)
				p.value = nil
			case i > 3300 && i%70 == 30:
				p.value = bytes.Repeat([]byte("long"), 3000)
				err = b.Put(p.key, p.value)
			case i > 3300 && i%70 == 50:
				p.key = append(p.key, strings.Repeat("k", 5000)...)
				err = b.Put(p.key, p.value)
			default:
				err = b.Put(p.key, p.value)
			}
			require.NoError(t, err)
			want = append(want, p)
		}
		return nil
	}))
	return want
}

func samePairs(t *testing.T, want []kv, seq func(yield func(k, v []byte) bool)) {
	t.Helper()
	i := 0
	for k, v := range seq {
		if i == len(want) || !bytes.Equal(k, want[i].key) || !bytes.Equal(v, want[i].value) || (v == nil) != (want[i].value == nil) {
			t.Fatalf("pair %d is %.20q = %.20q", i, k, v)
		}
		i++
	}
	require.Equal(t, len(want), i)
}

// TestScans compares every way to go through a bucket, inside View and by hand.
func TestScans(t *testing.T) {
	db := openNew(t)
	want := scanBucket(t, db)
	backwards := slices.Clone(want)
	slices.Reverse(backwards)
	scans := func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		samePairs(t, want, b.All())
		samePairs(t, backwards, b.Backward())
		samePairs(t, want, func(yield func(k, v []byte) bool) {
			require.NoError(t, b.ForEach(func(k, v []byte) error { yield(k, v); return nil }))
		})
		rnd := rand.New(rand.NewPCG(1, 1))
		for range 300 {
			lo := rnd.IntN(len(want))
			hi := lo + rnd.IntN(1+min(len(want)-lo, 1<<rnd.IntN(13)))
			var end []byte // at a key, before one, or behind all
			if hi < len(want) {
				end = want[hi].key[:len(want[hi].key)-rnd.IntN(2)]
				hi, _ = slices.BinarySearchFunc(want, end, func(p kv, k []byte) int { return bytes.Compare(p.key, k) })
			}
			samePairs(t, want[lo:max(lo, hi)], b.Range(want[lo].key, end))
			samePairs(t, backwards[len(want)-max(lo, hi):len(want)-lo], b.RangeBackward(want[lo].key, end))
		}
		wander(t, b.Cursor(), want, rnd)
		return tx.Err()
	}
	require.NoError(t, db.View(scans))
	require.NoError(t, db.View(scans)) // all has been verified
	tx, err := db.Begin(false)
	require.NoError(t, err)
	require.NoError(t, scans(tx))
	require.NoError(t, tx.Rollback())
}

// wander moves a cursor by runs of Next and Prev, by Seek and At.
func wander(t *testing.T, c *folio.Cursor, want []kv, rnd *rand.Rand) {
	at := 0
	c.First()
	for range 500 {
		move, n := c.Next, 1
		switch rnd.IntN(4) {
		case 0:
			at = rnd.IntN(len(want))
			c.Seek(want[at].key)
		case 1:
			at = rnd.IntN(len(want))
			c.At(uint64(at))
		case 2:
			move, n = c.Prev, -1
		}
		for range rnd.IntN(100) {
			k, v := move()
			if at+n < 0 || at+n == len(want) {
				require.Nil(t, k)
				continue
			}
			at += n
			if !bytes.Equal(k, want[at].key) || !bytes.Equal(v, want[at].value) {
				t.Fatalf("on %.20q, expected %.20q", k, want[at].key)
			}
		}
	}
}

// TestIteratorEnds: a loop that is left early, or in which the transaction ends,
// goes no further.
func TestIteratorEnds(t *testing.T) {
	db := openNew(t)
	want := scanBucket(t, db)
	tx, err := db.Begin(false)
	require.NoError(t, err)
	n := 0
	for k := range tx.Bucket([]byte("b")).All() {
		require.Equal(t, want[n].key, k)
		if n++; n == 500 {
			require.NoError(t, tx.Rollback())
		}
	}
	require.Equal(t, 500, n)
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		n := 0
		for range tx.Bucket([]byte("b")).All() {
			if n++; n == 77 {
				break
			}
		}
		require.Equal(t, 77, n)
		return nil
	}))
}
