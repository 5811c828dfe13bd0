package folio_test

// The operations of the model test that go back within a transaction, and those that
// leave transactions waiting for a flush.

import (
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// modelSave is a savepoint, and what the transaction saw when it was made.
type modelSave struct {
	sp    *folio.Savepoint // nil: it belongs to a Nested
	work  *foliotest.Bucket
	calls int
	id    int // different from that of all others
}

// modelHandle is a Bucket that is kept while everything changes around it, with a
// cursor on key at.
type modelHandle struct {
	names []string // where it is
	b     *folio.Bucket
	c     *folio.Cursor
	at    string
}

func (r *modelRun) savepoint(modelOp) {
	if len(r.saves) < 8 {
		sp, err := r.tx.Savepoint()
		must(err)
		r.pushSave(sp)
	}
}

func (r *modelRun) pushSave(sp *folio.Savepoint) {
	r.saveIDs++
	r.saves = append(r.saves, modelSave{sp, r.work.Clone(), len(r.calls), r.saveIDs})
}

// save returns the place of a savepoint; false if there is none.
func (r *modelRun) save(n uint32) (int, bool) {
	if len(r.saves) == 0 {
		return 0, false
	}
	i := int(n) % len(r.saves)
	return i, r.saves[i].sp != nil
}

func (r *modelRun) rollBack(o modelOp) {
	i, ok := r.save(o.a)
	if !ok {
		return
	}
	must(r.saves[i].sp.Rollback())
	r.dropSaves(i + 1)
	r.backTo(r.saves[i])
	if o.b%3 == 0 {
		must(r.saves[i].sp.Rollback()) // once more
	}
}

// backTo makes the model say what it said at s.
func (r *modelRun) backTo(s modelSave) {
	r.work, r.calls = s.work.Clone(), r.calls[:s.calls]
	r.top(modelOp{})
	r.heldChanged()
}

// dropSaves makes sure that all savepoints but the first n are gone.
func (r *modelRun) dropSaves(n int) {
	for _, s := range r.saves[n:] {
		if s.sp != nil {
			wantErr("Rollback to what is gone", s.sp.Rollback(), folio.ErrSavepointReleased)
			wantErr("Release of what is gone", s.sp.Release(), folio.ErrSavepointReleased)
		}
	}
	r.saves = r.saves[:n]
}

func (r *modelRun) release(o modelOp) {
	if i, ok := r.save(o.a); ok {
		must(r.saves[i].sp.Release())
		r.dropSaves(i)
	}
}

// nested runs body in a Nested, which ends in one of several ways.
func (r *modelRun) nested(o modelOp, body []modelOp) {
	depth, id := len(r.saves), r.saveIDs+1
	fn := func(how error) func(*folio.Tx) error {
		return func(tx *folio.Tx) error {
			if tx != r.tx {
				failf("Nested calls with another transaction")
			}
			r.pushSave(nil)
			r.do(body)
			switch o.b % 8 {
			case 6:
				panic(how)
			case 7:
				runtime.Goexit()
			}
			return how
		}
	}
	switch o.b % 8 {
	case 4, 5:
		r.afterNested(depth, id, true, r.tx.Nested(fn(errModel)), errModel)
	case 6:
		r.nestedPanic(fn(errModel))
		r.afterNested(depth, id, true, nil, nil)
	case 7:
		r.elsewhere(func() { _ = r.tx.Nested(fn(nil)) })
		r.afterNested(depth, id, true, nil, nil)
	default:
		r.afterNested(depth, id, false, r.tx.Nested(fn(nil)), nil)
	}
}

// elsewhere runs fn in a goroutine, which it may end.
func (r *modelRun) elsewhere(fn func()) {
	failed := make(chan any, 1)
	go func() {
		defer func() { failed <- withStack(recover()) }()
		fn()
	}()
	if p := <-failed; p != nil {
		panic(p)
	}
}

// withStack makes what was recovered say where it came from.
func withStack(p any) any {
	if _, ours := p.(modelFailure); p == nil || ours {
		return p
	}
	return fmt.Errorf("%v\n%s", p, debug.Stack())
}

func (r *modelRun) nestedPanic(fn func(*folio.Tx) error) {
	defer func() {
		if p := recover(); p != errModel {
			panic(p)
		}
	}()
	_ = r.tx.Nested(fn)
	failf("Nested has swallowed a panic")
}

// afterNested checks what a Nested has returned, whose savepoint was at depth.
func (r *modelRun) afterNested(depth, id int, undone bool, err, want error) {
	if len(r.saves) <= depth || r.saves[depth].id != id {
		// The function went back to something before, or gave it up.
		if err != nil || !undone {
			wantErr("Nested without its savepoint", err, folio.ErrSavepointReleased)
		}
		return
	}
	wantErr("Nested", err, want)
	s := r.saves[depth]
	r.dropSaves(depth)
	if undone {
		r.backTo(s)
	}
}

// hold keeps the current bucket, with a cursor.
func (r *modelRun) hold(o modelOp) {
	b, m := r.in(o)
	c := b.Cursor()
	k, _ := c.Seek([]byte(r.existing(m, o.b)))
	if k != nil && len(r.held) < 20 {
		r.held = append(r.held, modelHandle{r.names, b, c, string(k)})
	}
}

// stepHeld moves a cursor that was kept, and makes its bucket the current one.
func (r *modelRun) stepHeld(o modelOp) {
	if len(r.held) == 0 {
		return
	}
	h := &r.held[int(o.a)%len(r.held)]
	m := r.modelOf(h.names)
	r.sameHandle(h, m)
	i := m.Rank(h.at)
	var k, v []byte
	if o.b%2 == 0 {
		if m.Has(h.at) {
			i++
		}
		k, v = h.c.Next()
	} else {
		i--
		k, v = h.c.Prev()
	}
	r.samePair("step of a cursor that was kept", k, v, m, i)
	if k != nil {
		h.at = string(k)
	}
	r.at, r.model, r.names = h.b, m, h.names
}

func (r *modelRun) sameHandle(h *modelHandle, m *foliotest.Bucket) {
	if h.b.Len() != uint64(m.Len()) || h.b.Sequence() != m.Sequence {
		failf("a Bucket that was kept has %d keys and sequence %d, expected %d and %d",
			h.b.Len(), h.b.Sequence(), m.Len(), m.Sequence)
	}
}

// modelOf returns the model of the bucket at names, or nil.
func (r *modelRun) modelOf(names []string) *foliotest.Bucket {
	m := r.work
	for _, name := range names {
		if m = m.Sub(name); m == nil {
			return nil
		}
	}
	return m
}

// heldChanged takes away the handles of buckets that are not there any more.
func (r *modelRun) heldChanged() {
	r.held = slices.DeleteFunc(r.held, func(h modelHandle) bool {
		if m := r.modelOf(h.names); m != nil {
			r.sameHandle(&h, m)
			return false
		}
		h.mustBeGone()
		return true
	})
}

func (h *modelHandle) mustBeGone() {
	wantErr("Put into a bucket that is gone", h.b.Put([]byte("k"), nil), folio.ErrBucketNotFound)
	if k, v := h.c.Next(); k != nil || v != nil {
		failf("a cursor in a bucket that is gone returned %s", foliotest.Short(k))
	}
	if h.b.Len() != 0 || h.b.Get([]byte(h.at)) != nil {
		failf("a bucket that is gone has keys")
	}
}

func within(names, above []string) bool {
	return len(names) >= len(above) && slices.Equal(names[:len(above)], above)
}

// heldDeleted takes away the handles below a bucket that has been deleted.
func (r *modelRun) heldDeleted(names []string) {
	r.held = slices.DeleteFunc(r.held, func(h modelHandle) bool {
		gone := within(h.names, names)
		if gone {
			h.mustBeGone()
		}
		return gone
	})
}

// heldMoved takes note that a bucket has been moved.
func (r *modelRun) heldMoved(from, to []string) {
	for i, h := range r.held {
		if within(h.names, from) {
			r.held[i].names = slices.Concat(to, h.names[len(from):])
		}
	}
}

func (r *modelRun) addCall(o modelOp) {
	r.calls = append(r.calls, o.a)
	ran := r.ran
	r.tx.OnCommit(func() { *ran = append(*ran, o.a) })
}

func (r *modelRun) setDurability(o modelOp) {
	if !r.cfg.groups() {
		must(r.tx.SetDurability(folio.Durability(o.a % 3)))
	}
}

// endJoin runs the transaction while a flush is in progress, and leaves it waiting
// for the next one, together with others.
func endJoin(r *modelRun, o modelOp, body func(*folio.Tx)) {
	if !r.cfg.groups() {
		endUpdate(r, body)
		return
	}
	if len(r.waiting) == 0 {
		r.startFlush()
	}
	ran, failed := make(chan bool), make(chan any, 1)
	fails := o.a%4 == 0
	r.wait(func() error {
		return r.db.Update(func(tx *folio.Tx) error {
			defer close(ran)
			defer func() { failed <- withStack(recover()) }()
			body(tx)
			if fails {
				return errModel
			}
			return nil
		})
	})
	<-ran
	if p := <-failed; p != nil {
		panic(p)
	}
	w := &r.waiting[len(r.waiting)-1]
	w.ran = r.ran
	if fails {
		w.want = errModel
		return
	}
	r.done, w.calls = r.work, r.calls
}

// modelWait is a transaction that waits.
type modelWait struct {
	result chan error
	want   error
	ran    *[]uint32
	calls  []uint32
}

// startFlush makes a commit whose flush does not return before the gate opens.
func (r *modelRun) startFlush() {
	r.gate.Shut()
	r.wait(func() error {
		return r.db.Update(func(tx *folio.Tx) error {
			_, err := tx.Cursor().Bucket().NextSequence()
			return err
		})
	})
	r.gate.Await()
	r.done = r.done.Clone()
	r.done.Sequence++
}

// wait runs fn beside what follows.
func (r *modelRun) wait(fn func() error) {
	w := modelWait{result: make(chan error, 1), ran: new([]uint32)}
	go func() { w.result <- fn() }()
	r.waiting = append(r.waiting, w)
}

// settle lets the transactions that wait go on to their end.
func (r *modelRun) settle() {
	if len(r.waiting) == 0 {
		return
	}
	r.gate.Open()
	for _, w := range r.waiting {
		wantErr("a transaction that had to wait", <-w.result, w.want)
		checkCalls(true, *w.ran, w.calls)
	}
	r.waiting, r.seen = nil, r.done
}
