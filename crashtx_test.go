package folio_test

// The transactions of the crash tests.

import (
	"bytes"
	"fmt"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// crashBucket returns a top-level bucket, which it creates if there is none.
func crashBucket(tx *folio.Tx, m *foliotest.Bucket, name string) (*folio.Bucket, *foliotest.Bucket) {
	b, err := tx.CreateBucketIfNotExists([]byte(name))
	must(err)
	if m.Sub(name) == nil {
		m.PutSub(name, foliotest.NewBucket())
	}
	return b, m.Sub(name)
}

// crashPut puts a value that tells the transaction it is from.
func (h *crashHistory) crashPut(b *folio.Bucket, m *foliotest.Bucket, key string, size int) {
	v := bytes.Repeat([]byte{byte(h.next)}, size)
	copy(v, fmt.Sprintf("%d %s", h.next, key))
	must(b.Put([]byte(key), v))
	m.Put(key, v)
}

// crashSmall changes a few keys.
func crashSmall(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "b")
	for range 1 + h.rnd.IntN(4) {
		key := fmt.Sprintf("key %03d", h.rnd.IntN(200))
		if h.rnd.IntN(4) == 0 {
			must(b.Delete([]byte(key)))
			bm.Delete(key)
			continue
		}
		h.crashPut(b, bm, key, h.rnd.IntN(400))
	}
}

// crashBuckets creates, fills, moves and deletes nested buckets.
func crashBuckets(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, fmt.Sprintf("b%d", h.rnd.IntN(3)))
	name := fmt.Sprintf("in %d", h.rnd.IntN(6))
	if bm.Sub(name) != nil && h.rnd.IntN(3) == 0 {
		must(b.DeleteBucket([]byte(name)))
		bm.Delete(name)
		return
	}
	c, err := b.CreateBucketIfNotExists([]byte(name))
	must(err)
	if bm.Sub(name) == nil {
		bm.PutSub(name, foliotest.NewBucket())
	}
	for range h.rnd.IntN(30) {
		h.crashPut(c, bm.Sub(name), fmt.Sprintf("key %03d", h.rnd.IntN(60)), h.rnd.IntN(300))
	}
	_, err = c.NextSequence()
	must(err)
	bm.Sub(name).Sequence++
	dst, dm := crashBucket(tx, m, "moved")
	if h.rnd.IntN(4) == 0 && !dm.Has(name) {
		must(b.MoveBucket([]byte(name), dst))
		dm.PutSub(name, bm.Sub(name))
		bm.Delete(name)
	}
}

// crashRuns changes long values and keys.
func crashRuns(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "b")
	for range 1 + h.rnd.IntN(3) {
		key := fmt.Sprintf("key %d", h.rnd.IntN(12))
		if h.rnd.IntN(3) == 0 {
			key = fmt.Sprintf("%05000d", h.rnd.IntN(8))
		}
		if h.rnd.IntN(4) == 0 {
			must(b.Delete([]byte(key)))
			bm.Delete(key)
			continue
		}
		h.crashPut(b, bm, key, 1000+h.rnd.IntN(20000))
	}
}

// crashScatter frees pages all over the file, so that the free space takes many
// bytes: freelist pages follow each other fast, and checkpoints them.
func crashScatter(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "b")
	if h.next < 4 || bm.Len() == 0 {
		for i := range 125 {
			h.crashPut(b, bm, fmt.Sprintf("key %03d %03d", h.rnd.IntN(200), i), 950)
		}
		return
	}
	for range 80 {
		key := bm.Key(h.rnd.IntN(bm.Len()))
		if h.rnd.IntN(10) == 0 && bm.Len() > 400 {
			must(b.Delete([]byte(key)))
			bm.Delete(key)
			continue
		}
		h.crashPut(b, bm, key, 700+h.rnd.IntN(300))
	}
}

// crashBulk writes more than a commit with one flush may now and then.
func crashBulk(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	if h.next%3 != 1 {
		crashSmall(h, tx, m)
		return
	}
	b, bm := crashBucket(tx, m, "bulk")
	if h.next%2 == 0 {
		h.crashPut(b, bm, fmt.Sprintf("long %d", h.rnd.IntN(2)), 2<<20+h.rnd.IntN(1<<19))
		return
	}
	for range 1500 {
		h.crashPut(b, bm, fmt.Sprintf("key %05d", h.rnd.IntN(2500)), 900)
	}
}

// crashShrink fills the file and empties it again, so that it is cut.
func crashShrink(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	crashSmall(h, tx, m)
	b, bm := crashBucket(tx, m, "large")
	switch h.next % 4 {
	case 1:
		h.crashPut(b, bm, "large", 10<<20)
	case 2:
		must(b.Delete([]byte("large")))
		bm.Delete("large")
	}
}
