package folio_test

// The operations of the model test that change something.

import (
	"bytes"
	"errors"
	"fmt"
	"runtime"
	"slices"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

type opKind uint8

// What opTable's moods prefer.
const (
	moodNone = iota
	moodGrow
	moodShrink
)

// opTable is every operation: how often it comes, and what it does. Those with
// an end end the transaction. It is filled in by init, as the operations look
// into it.
var opTable []opEntry

type opEntry struct {
	name   string
	weight int
	mood   int
	do     func(*modelRun, modelOp)
	end    func(r *modelRun, o modelOp, body func(*folio.Tx))
	around func(r *modelRun, o modelOp, body []modelOp)
	joins  bool // an end that leaves the transaction waiting
}

func init() {
	add := func(name string, weight, mood int, do func(*modelRun, modelOp)) {
		opTable = append(opTable, opEntry{name: name, weight: weight, mood: mood, do: do})
	}
	add("put", 20, moodGrow, (*modelRun).put)
	add("load", 2, moodGrow, (*modelRun).load)
	add("reserve", 3, moodGrow, (*modelRun).reserve)
	add("delete", 12, moodShrink, (*modelRun).delete)
	add("delete range", 3, moodShrink, (*modelRun).deleteRange)
	add("misuse", 2, moodNone, (*modelRun).misuse)
	add("get", 8, moodNone, (*modelRun).get)
	add("count", 6, moodNone, (*modelRun).count)
	add("walk", 4, moodNone, (*modelRun).walk)
	add("walk and change", 4, moodNone, (*modelRun).walkChange)
	add("iterate", 4, moodNone, (*modelRun).iterate)
	add("buckets", 2, moodNone, (*modelRun).buckets)
	add("create", 4, moodGrow, (*modelRun).create)
	add("delete bucket", 2, moodShrink, (*modelRun).deleteBucket)
	add("move", 3, moodNone, (*modelRun).move)
	add("enter", 6, moodNone, (*modelRun).enter)
	add("top", 4, moodNone, (*modelRun).top)
	add("sequence", 3, moodNone, (*modelRun).sequence)
	add("reader", 2, moodNone, (*modelRun).reader)
	add("grow", 1, moodNone, (*modelRun).grow)
	add("check", 1, moodNone, (*modelRun).checkInside)
	add("snapshot", 3, moodNone, (*modelRun).snapshot)
	add("drop snapshot", 2, moodNone, (*modelRun).forgetSnapshot)
	add("savepoint", 5, moodNone, (*modelRun).savepoint)
	add("roll back", 5, moodNone, (*modelRun).rollBack)
	add("release", 2, moodNone, (*modelRun).release)
	add("hold", 4, moodNone, (*modelRun).hold)
	add("step", 8, moodNone, (*modelRun).stepHeld)
	add("on commit", 2, moodNone, (*modelRun).addCall)
	add("durability", 1, moodNone, (*modelRun).setDurability)
	add("nested", 4, moodNone, nil)
	opTable[len(opTable)-1].around = (*modelRun).nested
	end := func(name string, weight int, fn func(r *modelRun, o modelOp, body func(*folio.Tx))) {
		add(name, weight, moodNone, nil)
		opTable[len(opTable)-1].end = fn
	}
	end("update", 4, plainEnd(endUpdate))
	end("commit", 3, plainEnd(endCommit))
	end("rollback", 1, plainEnd(endRollback))
	end("fail", 1, plainEnd(endFail))
	end("panic", 1, plainEnd(endPanic))
	end("goexit", 1, plainEnd(endGoexit))
	end("reopen", 1, plainEnd(endReopen))
	end("join", 4, endJoin)
	opTable[len(opTable)-1].joins = true
}

// plainEnd drops the operation's numbers, which no end needs.
func plainEnd(fn func(*modelRun, func(*folio.Tx))) func(*modelRun, modelOp, func(*folio.Tx)) {
	return func(r *modelRun, _ modelOp, body func(*folio.Tx)) { fn(r, body) }
}

// key returns the key that n stands for. Most are short; some share long
// prefixes, are about as long as fits into a page, or as long as allowed.
func (r *modelRun) key(n uint32) string {
	i := n / 64 % 1500
	switch n % 64 {
	case 0:
		return string(rune('a' + i%26))
	case 1:
		return fmt.Sprintf("%0*d", r.cfg.pageSize/8-3+int(i%8), i/8)
	case 2:
		if i%4 == 0 {
			return fmt.Sprintf("%0*d", folio.MaxKeySize-int(i%2), i)
		}
		return fmt.Sprintf("%0*d", min(r.cfg.pageSize, folio.MaxKeySize), i)
	case 3, 4, 5, 6:
		return fmt.Sprintf("a long prefix that many keys of this test have in common %05d", i)
	case 7:
		return string([]byte{byte(i), 0, byte(i >> 8), 0xff}[:1+i%4])
	}
	return fmt.Sprintf("k%05d", i)
}

// value returns the value that n stands for.
func (r *modelRun) value(n uint32) []byte {
	ps := uint32(r.cfg.pageSize)
	i := n / 32
	size := i % 60
	switch n % 32 {
	case 0:
		size = 0
	case 1, 2:
		size = ps/2 - 64 + i%60 // about where values go to runs
	case 3:
		size = ps/2 + i%(4*ps)
	case 4:
		if i%8 == 0 {
			size = 60000 + i%200000
		}
	case 5, 6:
		size = i % (ps / 4)
	}
	v := make([]byte, size)
	for j := range v {
		v[j] = byte(n + uint32(j)*7)
	}
	return v
}

// in makes sure that there is a current bucket.
func (r *modelRun) in(o modelOp) (*folio.Bucket, *foliotest.Bucket) {
	if r.at == nil {
		name := fmt.Sprintf("bucket %d", o.a%3)
		b, err := r.tx.CreateBucketIfNotExists([]byte(name))
		must(err)
		if r.work.Sub(name) == nil {
			r.work.PutSub(name, foliotest.NewBucket())
		}
		r.at, r.model, r.names = b, r.work.Sub(name), []string{name}
	}
	return r.at, r.model
}

func (r *modelRun) put(o modelOp) {
	b, m := r.in(o)
	key, value := r.key(o.a), r.value(o.b)
	given := bytes.Clone(value)
	err := b.Put([]byte(key), given)
	for i := range given {
		given[i] = 0xEE // it is ours again
	}
	if m.Sub(key) != nil {
		wantErr("Put on a bucket", err, folio.ErrIncompatibleValue)
		return
	}
	must(err)
	m.Put(key, value)
}

func (r *modelRun) load(o modelOp) {
	for i := range 50 + o.c%200 {
		step := o
		step.b = o.b + i*32
		step.a = o.a + i*64
		if o.c&1 != 0 {
			step.a = (o.a ^ i*0x9E3779B1) | 63 // in no order
		}
		r.put(step)
	}
}

func (r *modelRun) reserve(o modelOp) {
	b, m := r.in(o)
	key, value := r.key(o.a), r.value(o.b)
	v, err := b.Reserve([]byte(key), len(value))
	if m.Sub(key) != nil {
		wantErr("Reserve on a bucket", err, folio.ErrIncompatibleValue)
		return
	}
	must(err)
	if len(v) != len(value) {
		failf("Reserve(%d) returned %d bytes", len(value), len(v))
	}
	copy(v, value)
	m.Put(key, value)
}

// existing returns a key that is there in three cases of four.
func (r *modelRun) existing(m *foliotest.Bucket, n uint32) string {
	if n%4 != 0 && m.Len() > 0 {
		return m.Key(int(n/4) % m.Len())
	}
	return r.key(n / 4)
}

func (r *modelRun) delete(o modelOp) {
	b, m := r.in(o)
	for i := range 1 + o.b%4 {
		key := r.existing(m, o.c+i*4)
		err := b.Delete([]byte(key))
		if m.Sub(key) != nil {
			wantErr("Delete of a bucket", err, folio.ErrIncompatibleValue)
			continue
		}
		must(err)
		m.Delete(key)
	}
}

// bounds returns a range that is unbounded on a side now and then.
func (r *modelRun) bounds(m *foliotest.Bucket, o modelOp) (lo, hi []byte) {
	if o.a%8 != 0 {
		lo = []byte(r.existing(m, o.b))
	}
	if o.a/8%8 != 0 {
		hi = []byte(r.existing(m, o.c))
	}
	return lo, hi
}

func (r *modelRun) deleteRange(o modelOp) {
	b, m := r.in(o)
	lo, hi := r.bounds(m, o)
	got, err := b.DeleteRange(lo, hi)
	n, ok := m.DeleteRange(lo, hi)
	if !ok {
		wantErr("DeleteRange over a bucket", err, folio.ErrIncompatibleValue)
		return
	}
	must(err)
	if got != uint64(n) {
		failf("DeleteRange(%q, %q) removed %d keys, expected %d", lo, hi, got, n)
	}
}

// misuse makes calls that must be refused and change nothing.
func (r *modelRun) misuse(o modelOp) {
	b, m := r.in(o)
	long := make([]byte, folio.MaxKeySize+1)
	wantErr("Put of an empty key", b.Put(nil, nil), folio.ErrKeyRequired)
	wantErr("Put of a long key", b.Put(long, nil), folio.ErrKeyTooLarge)
	_, err := b.CreateBucket(nil)
	wantErr("CreateBucket without a name", err, folio.ErrBucketNameRequired)
	wantErr("DeleteBucket without a name", b.DeleteBucket(nil), folio.ErrBucketNotFound)
	key := r.existing(m, o.b)
	switch {
	case m.Sub(key) != nil:
		_, err = b.CreateBucket([]byte(key))
		wantErr("CreateBucket", err, folio.ErrBucketExists)
	case m.Has(key):
		_, err = b.CreateBucketIfNotExists([]byte(key))
		wantErr("CreateBucketIfNotExists on a value", err, folio.ErrIncompatibleValue)
		wantErr("DeleteBucket of a value", b.DeleteBucket([]byte(key)), folio.ErrIncompatibleValue)
	default:
		wantErr("DeleteBucket", b.DeleteBucket([]byte(key)), folio.ErrBucketNotFound)
		if b.Bucket([]byte(key)) != nil {
			failf("Bucket(%q) is there", key)
		}
	}
}

func (r *modelRun) create(o modelOp) {
	b, m := r.in(o)
	key := r.key(o.b)
	c, err := b.CreateBucketIfNotExists([]byte(key))
	switch {
	case m.Sub(key) != nil:
	case m.Has(key):
		wantErr("CreateBucketIfNotExists on a value", err, folio.ErrIncompatibleValue)
		return
	default:
		m.PutSub(key, foliotest.NewBucket())
	}
	must(err)
	if o.c%2 == 0 {
		r.descend(c, key)
	}
}

// sub returns the name of a bucket in m; false if there is none.
func sub(m *foliotest.Bucket, n uint32) (string, bool) {
	names := m.Subs()
	if len(names) == 0 {
		return "", false
	}
	return names[int(n)%len(names)], true
}

func (r *modelRun) enter(o modelOp) {
	b, m := r.in(o)
	if name, ok := sub(m, o.b); ok {
		c := b.Bucket([]byte(name))
		if c == nil {
			failf("Bucket(%q) is missing", name)
		}
		r.descend(c, name)
	}
}

// descend makes c, which is name in the current bucket, the current one.
func (r *modelRun) descend(c *folio.Bucket, name string) {
	r.at, r.model = c, r.model.Sub(name)
	r.names = append(slices.Clip(r.names), name)
}

func (r *modelRun) top(modelOp) { r.at, r.model, r.names = nil, nil, nil }

func (r *modelRun) deleteBucket(o modelOp) {
	b, m := r.in(o)
	name, ok := sub(m, o.b)
	if !ok {
		return
	}
	var c *folio.Bucket
	if o.c%2 == 0 {
		c = b.Bucket([]byte(name))
	}
	must(b.DeleteBucket([]byte(name)))
	m.Delete(name)
	r.heldDeleted(append(slices.Clip(r.names), name))
	if c != nil {
		wantErr("Put into a deleted bucket", c.Put([]byte("k"), nil), folio.ErrBucketNotFound)
	}
}

// move moves a bucket below the current one to another place. Its handle stays
// good.
func (r *modelRun) move(o modelOp) {
	src, m := r.in(o)
	name, ok := sub(m, o.b)
	if !ok {
		return
	}
	moved, inside := m.Sub(name), false
	handle := src.Bucket([]byte(name))
	dst, to := r.tx.Cursor().Bucket(), r.work
	var names []string
	for n := o.c; n%3 != 0; n /= 3 {
		next, ok := sub(to, n/3)
		if !ok {
			break
		}
		dst, to = dst.Bucket([]byte(next)), to.Sub(next)
		names = append(names, next)
		inside = inside || to == moved
	}
	err := src.MoveBucket([]byte(name), dst)
	switch {
	case to == m, inside:
		wantErr("MoveBucket into itself", err, folio.ErrSameBuckets)
		return
	case to.Sub(name) != nil:
		wantErr("MoveBucket onto a bucket", err, folio.ErrBucketExists)
		return
	case to.Has(name):
		wantErr("MoveBucket onto a value", err, folio.ErrIncompatibleValue)
		return
	}
	must(err)
	m.Delete(name)
	to.PutSub(name, moved)
	names = append(names, name)
	r.heldMoved(append(slices.Clip(r.names), name), names)
	r.at, r.model, r.names = handle, moved, names
}

func (r *modelRun) sequence(o modelOp) {
	b, m := r.in(o)
	if o.b%3 == 0 {
		must(b.SetSequence(uint64(o.c)))
		m.Sequence = uint64(o.c)
	}
	n, err := b.NextSequence()
	must(err)
	m.Sequence++
	if n != m.Sequence || b.Sequence() != n {
		failf("NextSequence %d, Sequence %d, expected %d", n, b.Sequence(), m.Sequence)
	}
}

// The ends of a transaction.

func endUpdate(r *modelRun, body func(*folio.Tx)) {
	must(r.db.Update(func(tx *folio.Tx) error { body(tx); return nil }))
	r.done = r.work
}

func endCommit(r *modelRun, body func(*folio.Tx)) {
	tx, err := r.db.Begin(true)
	must(err)
	body(tx)
	// Whoever has begun it, anybody may end it.
	r.elsewhere(func() { must(tx.Commit()) })
	wantErr("Commit after Commit", tx.Commit(), folio.ErrTxClosed)
	r.done = r.work
}

func endRollback(r *modelRun, body func(*folio.Tx)) {
	tx, err := r.db.Begin(true)
	must(err)
	body(tx)
	must(tx.Rollback())
	wantErr("Put after Rollback", r.useClosed(tx), folio.ErrTxClosed)
}

// useClosed uses a closed transaction.
func (r *modelRun) useClosed(tx *folio.Tx) error {
	_, err := tx.CreateBucket([]byte("late"))
	return err
}

var errModel = errors.New("the function fails")

func endFail(r *modelRun, body func(*folio.Tx)) {
	wantErr("Update", r.db.Update(func(tx *folio.Tx) error { body(tx); return errModel }), errModel)
}

func endPanic(r *modelRun, body func(*folio.Tx)) {
	defer func() {
		if p := recover(); p != errModel {
			panic(p)
		}
	}()
	_ = r.db.Update(func(tx *folio.Tx) error { body(tx); panic(errModel) })
	failf("a panic was swallowed")
}

func endGoexit(r *modelRun, body func(*folio.Tx)) {
	r.elsewhere(func() {
		_ = r.db.Update(func(tx *folio.Tx) error { body(tx); runtime.Goexit(); return nil })
	})
}

func endReopen(r *modelRun, body func(*folio.Tx)) {
	endUpdate(r, body)
	for len(r.snaps) > 0 {
		r.dropSnap(0)
	}
	must(r.db.Close())
	must(r.db.Close())
	r.open()
}
