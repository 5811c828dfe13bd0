package folio

// This file is responsible for taking turns with the writers of other processes
// (ShareWriters).
//
//	T1  A process has the transaction lock while it has write transactions, from before
//	    the first begins until all have ended. The kernel takes it from who dies.
//	T2  Who gets it, and finds that others have published since it had it last, reads
//	    anew what it knows of the file: the state, the metas, the free space. If no
//	    other one has begun with it since, it has nothing to look at.
//	T3  Who has begun with it says that nothing is settled. Who lets it go has made
//	    durable what it has published, and then says that this is all there is. Who
//	    finds that the one before has not, which died then, recovers the file as Open
//	    does: its pages and its transaction numbers may be in it.
//	T4  While others wait for the lock, no transaction begins here on top of those that
//	    are under way, except those that have waited here since before the turn began:
//	    they end, the lock is let go, and this process waits as well.
//	T5  Close keeps new transactions out, wakes those that wait for their turn, and then
//	    waits until the others have ended and settled.
//
// So at each time one process at most writes, and it knows the newest state; that is
// all that the rest of folio needs.

import (
	"cmp"
	"context"
	"fmt"
	"sync"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/meta"
)

// turns is the transaction lock as this process sees it. The methods of a nil one do
// nothing: no other process writes.
type turns struct {
	db   *DB
	side *sidecar.Sidecar

	open context.Context // done when Close begins
	stop context.CancelFunc

	mu      sync.Mutex
	users   int           // write transactions that have the lock, or wait for DB.writer with it
	moving  bool          // somebody gets the lock, or lets it go
	waiting int           // transactions that wait for changed
	guests  int           // of them, those that may still begin in this turn (T4)
	changed chan struct{} // closed at each change of users to or from 0

	// Guarded by DB.writer:
	fresh  bool // the lock is new, and nobody has looked what others did
	unread bool // the file has never been read for writing
}

func newTurns(db *DB) *turns {
	t := &turns{db: db, side: db.side, changed: make(chan struct{}), unread: true}
	t.open, t.stop = context.WithCancel(context.Background())
	return t
}

// close is T5.
func (t *turns) close() {
	if t == nil {
		return
	}
	t.stop()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.users > 0 || t.moving {
		changed := t.changed
		t.mu.Unlock()
		<-changed
		t.mu.Lock()
	}
}

// enter waits until this process has the lock.
func (t *turns) enter(ctx context.Context) error {
	for t != nil {
		t.mu.Lock()
		if t.open.Err() != nil {
			t.mu.Unlock()
			return ErrDatabaseNotOpen
		}
		if t.users > 0 && !t.moving && (t.guests > 0 || !t.side.OthersWait()) {
			t.guests = max(0, t.guests-1)
			t.users++
			t.mu.Unlock()
			return nil
		}
		if t.users == 0 && !t.moving {
			t.moving = true
			t.mu.Unlock()
			err := t.lock(ctx)
			t.moved(err == nil)
			return err
		}
		if err := t.wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// wait waits for a change, or until ctx is done. It needs mu, and lets it go.
func (t *turns) wait(ctx context.Context) error {
	changed := t.changed
	t.waiting++
	t.mu.Unlock()
	defer func() {
		t.mu.Lock()
		t.waiting--
		t.mu.Unlock()
	}()
	select {
	case <-changed:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// lock waits for the lock until ctx is done or Close comes.
func (t *turns) lock(ctx context.Context) error {
	if ok, err := t.side.TryLockTx(); ok || err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(t.open, func() { cancel(ErrDatabaseNotOpen) })()
	return t.side.LockTx(ctx)
}

// tryEnter is enter that does not wait, and tells whether the lock is there.
func (t *turns) tryEnter() (bool, error) {
	if t == nil {
		return true, nil
	}
	t.mu.Lock()
	if t.open.Err() != nil {
		t.mu.Unlock()
		return false, ErrDatabaseNotOpen
	}
	if t.moving || t.users > 0 && t.side.OthersWait() {
		t.mu.Unlock()
		return false, nil
	}
	if t.users > 0 {
		t.users++
		t.mu.Unlock()
		return true, nil
	}
	t.moving = true
	t.mu.Unlock()
	ok, err := t.side.TryLockTx()
	t.moved(ok)
	return ok, err
}

// moved ends what moving has begun: with the lock, or without it.
func (t *turns) moved(got bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.moving, t.guests = false, 0
	if got {
		t.users, t.guests, t.fresh = 1, t.waiting, true
	}
	close(t.changed)
	t.changed = make(chan struct{})
}

// leave ends what enter has begun. The last one lets the lock go.
func (t *turns) leave() {
	if t == nil {
		return
	}
	t.mu.Lock()
	t.users--
	last := t.users == 0
	t.moving = t.moving || last
	t.mu.Unlock()
	if last {
		t.settle()
		t.moved(false)
	}
}

// settle makes everything durable, says so, and lets the lock go (T3). If that fails,
// the database latches, and tells the others.
func (t *turns) settle() {
	db := t.db
	db.token.take(false)
	defer db.token.release()
	if snap := db.current.Load(); snap != nil && !t.fresh {
		flushed := bugs.On(bugs.SettledUnflushed) || db.makeDurable(snap) == nil
		if flushed && db.pager.Err() == nil {
			t.side.Settle(snap.seq, uint64(db.nextTxID))
		}
	}
	// Should it fail, the lock goes with the process.
	_ = t.side.UnlockTx()
}

// begin makes sure that this process knows the newest state. It needs the writer lock.
func (t *turns) begin() error {
	if t == nil {
		return nil
	}
	if t.side.Failed() {
		return fmt.Errorf("folio: %w: another process saw it: close the file in all processes before it is written again", ErrLatched)
	}
	if !t.fresh {
		return nil
	}
	db := t.db
	db.token.take(true)
	defer db.token.release()
	number, seq, own := t.side.Settled()
	next := page.TxID(number)
	var err error
	switch {
	case seq != t.side.Seq(), next > meta.MaxTxID:
		err = db.recoverBeside(db.patience())
	case own && !t.unread && seq == db.head.seq:
		// Nobody else has had a turn.
	case (t.unread || seq != db.head.seq) && !bugs.On(bugs.ReloadLeftOut):
		err = db.reload(next)
	case db.fileHolds(db.head):
		// Others have published nothing, but can have used numbers and changed the
		// length of the file: for what they rolled back, or had no room for.
		db.nextTxID = max(db.nextTxID, next)
		err = db.pager.Refresh()
	default: // somebody has tampered with the sidecar
		err = db.recoverBeside(db.patience())
	}
	if err == nil {
		t.fresh, t.unread = false, false
		if !bugs.On(bugs.TurnUnmarked) {
			t.side.Settle(0, 0)
		}
	}
	return err
}

// found takes note that this process, while no other one had the file, has found out
// all there is.
func (t *turns) found() {
	if t != nil {
		t.unread = false
		t.side.Settle(t.db.head.seq, uint64(t.db.nextTxID))
	}
}

// reload takes what another process has settled for the newest state; next is the
// number of the next transaction. It needs the writer lock and the token.
func (db *DB) reload(next page.TxID) error {
	if err := db.pager.Refresh(); err != nil {
		return fmt.Errorf("folio: %w", err)
	}
	snap, err := db.follow()
	if err != nil {
		return err
	}
	if !db.fileHolds(snap) {
		unpublished := fmt.Errorf("folio: %w: the file does not say what was published: transaction %d", ErrCorrupt, snap.meta.TxID)
		return cmp.Or(db.fileIsOf(&snap.meta), unpublished)
	}
	db.startOver()
	db.current.Store(snap)
	db.head = snap
	db.becameDurable(snap)
	db.nextTxID = max(next, snap.meta.TxID+1)
	return nil
}

// fileHolds tells whether the meta of snap is the newest in the file. It needs the token.
func (db *DB) fileHolds(snap *snapshot) bool {
	newest := newestWhole(db.readSlots())
	return newest != nil && newest.TxID == snap.meta.TxID && newest.FileID == snap.meta.FileID || bugs.On(bugs.ReloadLeftOut) || bugs.On(bugs.TurnUnmarked)
}

// startOver forgets what was known of the newest state. It needs the writer lock.
func (db *DB) startOver() {
	db.closeGroup()
	db.space, db.drawn, db.secured = nil, 0, false
}

// alone tells whether Close, after close, may write: this process has the lock, no other
// one writes, and snap, the newest that this process knows, is the newest there is. The
// lock goes with the file. What Close writes nobody has settled, then.
func (t *turns) alone(snap *snapshot) bool {
	if t == nil {
		return true
	}
	if ok, err := t.side.TryLockTx(); !ok || err != nil {
		return false
	}
	only, err := t.side.OnlyWriter()
	_, settled, _ := t.side.Settled()
	if err != nil || !only || settled != snap.seq || t.side.Seq() != snap.seq || t.side.Failed() || !t.db.fileHolds(snap) {
		return false // if it is not settled, one that died has written more: Open finds out
	}
	t.side.Settle(0, 0)
	return true
}
