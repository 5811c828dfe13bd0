package folio_test

// The operations of the model test that read.

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

func (r *modelRun) get(o modelOp) {
	b, m := r.in(o)
	for i := range 1 + o.c%4 {
		key := r.existing(m, o.b+i*4)
		r.same(key, b.Get([]byte(key)), m)
	}
}

// same compares a value of the database with the model, and lends it.
func (r *modelRun) same(key string, v []byte, m *foliotest.Bucket) {
	want := m.Get(key)
	if (v == nil) != (want == nil) || !bytes.Equal(v, want) {
		failf("the value of %q is %s, expected %s", key, foliotest.Short(v), foliotest.Short(want))
	}
	r.lend(v)
}

// samePair compares what a cursor returned with key i of the model, nil if that
// is no position.
func (r *modelRun) samePair(op string, k, v []byte, m *foliotest.Bucket, i int) {
	if i < 0 || i >= m.Len() {
		if k != nil || v != nil {
			failf("%s: %s, expected the end", op, foliotest.Short(k))
		}
		return
	}
	if k == nil || string(k) != m.Key(i) {
		failf("%s: key %s, expected %s", op, foliotest.Short(k), foliotest.Short([]byte(m.Key(i))))
	}
	r.same(m.Key(i), v, m)
	r.lend(k)
}

func (r *modelRun) count(o modelOp) {
	b, m := r.in(o)
	if b.Len() != uint64(m.Len()) {
		failf("Len %d, expected %d", b.Len(), m.Len())
	}
	lo, hi := r.bounds(m, o)
	if from, to := m.Range(lo, hi); b.Count(lo, hi) != uint64(to-from) {
		failf("Count(%q, %q) is %d, expected %d", lo, hi, b.Count(lo, hi), to-from)
	}
	key := r.existing(m, o.b)
	if got := b.Rank([]byte(key)); got != uint64(m.Rank(key)) {
		failf("Rank(%q) is %d, expected %d", key, got, m.Rank(key))
	}
	i := int(o.c) % (m.Len() + 2)
	k, v := b.At(uint64(i))
	r.samePair("At", k, v, m, i)
}

// walk moves a cursor back and forth.
func (r *modelRun) walk(o modelOp) {
	b, m := r.in(o)
	c := b.Cursor()
	var k, v []byte
	i := 0
	switch o.a % 4 {
	case 0:
		k, v = c.First()
	case 1:
		k, v = c.Last()
		i = m.Len() - 1
	case 2:
		i = int(o.b) % (m.Len() + 1)
		k, v = c.At(uint64(i))
	default:
		key := r.existing(m, o.b)
		k, v = c.Seek([]byte(key))
		i = m.Rank(key)
	}
	r.samePair("start of a walk", k, v, m, i)
	if k == nil {
		return
	}
	for n := o.c; n > 0; n /= 2 {
		// Behind either end it stays on the last key.
		if n%4 != 0 {
			k, v = c.Next()
			r.samePair("Next", k, v, m, i+1)
			i = min(i+1, m.Len()-1)
		} else {
			k, v = c.Prev()
			r.samePair("Prev", k, v, m, i-1)
			i = max(i-1, 0)
		}
	}
}

// walkChange moves a cursor while keys come and go, by the cursor and otherwise.
func (r *modelRun) walkChange(o modelOp) {
	b, m := r.in(o)
	c := b.Cursor()
	seek := r.existing(m, o.b)
	k, v := c.Seek([]byte(seek))
	r.samePair("Seek", k, v, m, m.Rank(seek))
	for n := o.c; n > 0 && k != nil; n /= 4 {
		at := string(k)
		switch n % 8 {
		case 0:
			err := c.Delete()
			if m.Sub(at) != nil {
				wantErr("Cursor.Delete of a bucket", err, folio.ErrIncompatibleValue)
				break
			}
			must(err)
			m.Delete(at)
		case 1:
			r.put(modelOp{a: n * 64, b: o.b})
		case 2:
			r.delete(modelOp{c: n, b: n})
		case 3:
			r.deleteRange(modelOp{a: 9, b: n, c: n + 40})
		}
		i := m.Rank(at)
		if n&64 == 0 {
			if m.Has(at) {
				i++
			}
			k, v = c.Next()
			r.samePair("Next after a change", k, v, m, i)
		} else {
			k, v = c.Prev()
			r.samePair("Prev after a change", k, v, m, i-1)
		}
	}
}

func (r *modelRun) iterate(o modelOp) {
	b, m := r.in(o)
	lo, hi := r.bounds(m, o)
	var seq iter.Seq2[[]byte, []byte]
	if o.a%3 == 0 && m.Len() > 0 {
		lo = []byte(r.existing(m, o.b))
		lo = lo[:min(len(lo), 1+int(o.c%6))]
		hi = folio.PrefixEnd(lo)
	}
	backward := o.c%2 == 0
	switch {
	case o.a%3 == 0 && m.Len() > 0 && backward:
		seq = b.PrefixBackward(lo)
	case o.a%3 == 0 && m.Len() > 0:
		seq = b.Prefix(lo)
	case backward:
		seq = b.RangeBackward(lo, hi)
	default:
		seq = b.Range(lo, hi)
	}
	from, to := m.Range(lo, hi)
	i, left := from, 200
	if backward {
		i = to - 1
	}
	for k, v := range seq {
		if i < from || i >= to {
			failf("an iterator over [%q, %q) went on with %q", lo, hi, k)
		}
		r.samePair("iterator", k, v, m, i)
		if backward {
			i--
		} else {
			i++
		}
		if left--; left == 0 {
			return
		}
	}
	if !backward && i != to || backward && i != from-1 {
		failf("an iterator over [%q, %q) stopped early", lo, hi)
	}
}

// buckets walks over the nested buckets.
func (r *modelRun) buckets(o modelOp) {
	b, m := r.in(o)
	want := m.Subs()
	i := 0
	for name, c := range b.Buckets() {
		if i == len(want) || string(name) != want[i] || c.Len() != uint64(m.Sub(want[i]).Len()) {
			failf("Buckets: %q with %d keys, expected %v at %d", name, c.Len(), want, i)
		}
		i++
	}
	must(b.ForEachBucket(func(k []byte) error {
		if len(want) == 0 || string(k) != want[0] {
			return fmt.Errorf("ForEachBucket: %q, expected %v", k, want)
		}
		want = want[1:]
		return nil
	}))
	if len(want) > 0 || i != len(m.Subs()) {
		failf("buckets are missing: %v", want)
	}
}

// reader opens a read transaction inside the write transaction, which sees what
// was committed before.
func (r *modelRun) reader(modelOp) {
	must(r.db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, r.seen) }))
}

// grow makes the file several times as long while a reader is open in the same
// goroutine.
func (r *modelRun) grow(o modelOp) {
	if r.db.Stats().FileSize > 16<<20 {
		return
	}
	tx, err := r.db.Begin(false)
	must(err)
	r.snaps = append(r.snaps, modelSnap{tx, r.seen})
	b, m := r.in(o)
	for i := range 8 {
		key := fmt.Sprintf("grow %d", i)
		if m.Sub(key) != nil {
			continue
		}
		value := bytes.Repeat([]byte{byte(o.b) + byte(i)}, 100_000)
		must(b.Put([]byte(key), value))
		m.Put(key, value)
	}
}

func (r *modelRun) checkInside(modelOp) {
	if r.db.Stats().FileSize < 2<<20 {
		must(foliotest.Check(r.tx))
		must(foliotest.Diff(r.tx, r.work))
	}
}

func (r *modelRun) snapshot(modelOp) {
	if len(r.snaps) == 5 {
		r.dropSnap(0)
	}
	tx, err := r.db.Begin(false)
	must(err)
	r.snaps = append(r.snaps, modelSnap{tx, r.seen})
}

func (r *modelRun) forgetSnapshot(o modelOp) {
	if len(r.snaps) == 0 {
		return
	}
	i := int(o.a) % len(r.snaps)
	if o.b%2 == 0 {
		must(foliotest.Diff(r.snaps[i].tx, r.snaps[i].want))
		return
	}
	if o.b%8 == 1 {
		must(foliotest.Check(r.snaps[i].tx))
	}
	r.dropSnap(i)
}
