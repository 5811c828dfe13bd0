package folio

// This file is responsible for who writes what when: group commit.
//
// A transaction runs under the writer lock, on top of the newest sealed state. Its
// commit seals it: the transaction joins the open group, whose changes lie in one
// store, and no longer needs the lock. One flush is in progress at a time, and who
// holds the flush token does it:
//
//	G1  If nobody does, the transaction that was sealed leads: still under the
//	    writer lock it writes its group out (C1 and C2), lets go of the lock, flushes
//	    (C3) and publishes (C4). Alone, it has waited for nothing.
//	G2  If somebody does, it waits. Transactions that come meanwhile run on top of it
//	    and are sealed into the same group. When the flush has returned, the oldest of
//	    them leads; the lock is given to it before all others.
//	G3  The next group builds on the state that is being flushed. Its pages are in
//	    the file, so it is read through the map like any other. No reader sees it,
//	    and nothing that the last durable state needs is written over, until the
//	    flush has returned.
//	G4  When a flush fails, the database latches. What was built on top of it was
//	    never written, and fails as well when its turn comes.
//	G5  A transaction that was begun by hand can stay open for as long as it likes. It
//	    never runs on top of transactions that wait: it writes them out first.
//	G6  Between two flushes, those that the first has let go may come back for the
//	    second: gather.go.
//
// So transactions become durable in the order of the writer lock, each whole; and a
// page that several transactions of a group have changed is written once.

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
)

// group is transactions that share a flush.
type group struct {
	base     *snapshot // that it builds on
	store    *store
	trees    *btree.Writer
	root     btree.Header // after the last sealed transaction
	sequence uint64       // of the root bucket
	members  []*member    // sealed, in order
	out      *commit      // what is written already, nil: nothing
	slow     *SlowReader  // to be reported, by the first member
}

// member is a sealed transaction that waits for its flush.
type member struct {
	durability Durability
	watching   bool        // it has changed nothing, and waits for what it has seen
	coming     bool        // it has been told to lead, and has not asked for the token yet
	signal     chan signal // buffered
	err        error       // once it is done
	next       *member     // who is told next that it is done
	slow       *SlowReader // for it to report when it holds no lock
}

type signal int

const (
	done signal = iota
	lead        // the token is for this one, if it comes for it in time
)

// flushToken is held by whoever writes the metas or flushes. The zero value is free.
//
// It is offered to the oldest sealed transaction, which then needs the writer lock. As
// long as that one has not accepted, anybody may take it: who has the lock must not
// wait for who needs it. Then it is offered again.
type flushToken struct {
	mu      sync.Mutex
	held    bool
	offered *member         // the token waits for it
	first   chan struct{}   // who has the writer lock, and waits for the token; nil: nobody
	claims  []chan struct{} // who needs the token without a lock
	sealed  []*member       // of the open group
	claimed bool            // a claim has gone before the sealed ones
	gather  gathering
}

// join makes m a member of the open group; true if it has got the token.
func (f *flushToken) join(m *member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sealed = append(f.sealed, m)
	if f.held {
		return f.gather.complete(len(f.sealed))
	}
	f.held = true
	return true
}

// accept tells whether the token is still there for m, which was to lead.
func (f *flushToken) accept(m *member) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	m.coming = false
	if f.offered != m {
		return false
	}
	f.offered = nil
	return true
}

// take waits for the token. Who has the writer lock goes before all others.
func (f *flushToken) take(writerHeld bool) {
	f.mu.Lock()
	if f.takeIdle() {
		f.mu.Unlock()
		return
	}
	turn := make(chan struct{}, 1)
	if writerHeld {
		f.first = turn
	} else {
		f.claims = append(f.claims, turn)
	}
	f.mu.Unlock()
	<-turn
}

// tryTake takes the token if nobody flushes.
func (f *flushToken) tryTake() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.takeIdle()
}

// takeIdle takes the token if that needs no wait. It needs f.mu.
func (f *flushToken) takeIdle() bool {
	if !f.held || f.offered != nil || f.gather.stop() {
		f.held, f.offered = true, nil
		return true
	}
	return false
}

// begun takes note that the open group is being written: nobody waits in it any more.
func (f *flushToken) begun() {
	f.mu.Lock()
	clear(f.sealed)
	f.sealed = f.sealed[:0]
	f.mu.Unlock()
}

// release gives the token to who waits for it: sealed transactions and claims by turns.
func (f *flushToken) release() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.first != nil:
		f.first <- struct{}{}
		f.first = nil
	case len(f.claims) > 0 && (!f.claimed || len(f.sealed) == 0):
		f.claims[0] <- struct{}{}
		f.claims = slices.Delete(f.claims, 0, 1)
		f.claimed = true
	case f.gather.begin(len(f.sealed), f.gathered):
		f.claimed = false
	default:
		f.free()
	}
}

// free offers the token to the oldest sealed transaction, if there is one.
func (f *flushToken) free() {
	if len(f.sealed) > 0 {
		f.offer(f.sealed[0])
	} else {
		f.held = false
	}
}

// offer offers the token to m, which is told if it is not on its way already.
func (f *flushToken) offer(m *member) {
	f.offered, f.claimed = m, false
	if !m.coming {
		m.coming = true
		m.signal <- lead
	}
}

// openGroup returns the group that the next transaction runs in, and makes the pages
// reusable that nothing needs any more. It needs the writer lock.
func (db *DB) openGroup() *group {
	if db.group != nil {
		return db.group
	}
	// In this order: a reader that comes after the look at the readers has what was
	// durable or published before it, or something newer. A flush may end meanwhile.
	var live []page.TxID
	if bugs.On(bugs.LiveFirst) {
		live = db.liveSnapshots()
	}
	bugs.Pause()
	durable := db.durableTxID()
	published := db.current.Load().meta.TxID
	if !bugs.On(bugs.LiveFirst) && !bugs.On(bugs.ReuseRead) {
		live = db.liveSnapshots()
	}
	if bugs.On(bugs.ReuseDurable) {
		durable = published
	}
	db.space.list.Release(live, durable, published)
	db.stats.space(db.space.list)
	m := &db.head.meta
	g := &group{base: db.head, root: rootHeader(m), sequence: m.Root.Sequence}
	g.store = newStore(db.reader(db.head), &db.buffers)
	g.store.maxDirty = uint64(db.opts.maxDirty() / int64(db.pageSize))
	g.store.spillAt = g.store.maxDirty
	if db.trees == nil {
		db.trees = btree.NewWriter(g.store)
	} else {
		db.trees.Reset(g.store)
	}
	g.trees = db.trees
	g.slow = db.slow.note(live, published, db.retained, &db.opts)
	db.group = g
	return g
}

func (db *DB) durableTxID() page.TxID { return page.TxID(db.durableTx.Load()) }

// closeGroup lets the open group go if nobody has joined it.
func (db *DB) closeGroup() {
	if g := db.group; g != nil && len(g.members) == 0 {
		g.store.release()
		db.group = nil
	}
}

// seal makes tx, which has changed something, a member of its group. What it looks
// like from now on nobody changes.
func (g *group) seal(tx *Tx) *member {
	g.store.exposed, g.store.shown = false, false // nobody may look at its bytes any more
	tx.dropSavepoints(0)
	g.store.forget(tx.start.mark)
	g.root, g.sequence = tx.root.tree.Header(), tx.root.sequence
	m := &member{durability: tx.durability, signal: make(chan signal, 2)}
	g.members = append(g.members, m)
	tx.db.nextTxID = tx.id + 1
	return m
}

// settle gets sealed transaction m written, as leader or by waiting for it. It needs
// the writer lock, which it lets go.
func (db *DB) settle(m *member) error {
	if db.leads(m) {
		db.writeGroup(m, false)
	} else {
		m.next.tell(done)
	}
	if m.slow != nil {
		db.opts.OnSlowReader(*m.slow)
	}
	return m.err
}

// leads waits until m is done or, then it returns true, has the token and the lock.
func (db *DB) leads(m *member) bool {
	for got := db.token.join(m); !got; got = db.token.accept(m) {
		db.writer.unlock()
		if <-m.signal == done {
			return false
		}
		if !db.writer.lockFirst(m.signal) {
			return false // another has led, and keeps the lock (G5)
		}
	}
	return true
}

// writeGroup writes the open group out and makes it as durable as its members want.
// It needs the writer lock and the token. It lets the token go, and the lock, before
// the flush, unless keepLock. Who leads is a member of it, or nil.
func (db *DB) writeGroup(leader *member, keepLock bool) {
	g := db.group
	db.group = nil
	db.token.begun()
	if g.slow != nil {
		db.slow.reported(g.slow)
		g.members[0].slow = g.slow
	}
	c, err := db.writeOut(g)
	flush := err == nil && !c.flushed && c.durability == DurabilityFull && !bugs.On(bugs.CommitUnsynced)
	if bugs.On(bugs.PublishFirst) && err == nil {
		db.current.Store(c.next)
	}
	if bugs.On(bugs.AnnounceFirst) && err == nil {
		db.announce(c.next)
	}
	if flush && !keepLock {
		db.writer.unlock()
	}
	if flush {
		start := time.Now()
		err = db.finish(c)
		db.token.flushed(len(g.members), time.Since(start))
	}
	if err == nil {
		db.publish(c)
	}
	if !keepLock && !flush {
		db.writer.unlock()
	}
	db.token.release()
	g.done(leader, err)
}

// done tells the members but for the leader that they are done: the first, who tells the
// next, and so on. All at once, they would want the writer lock at once, and wait for
// each other: with 16 goroutines that took 4 % of the time.
func (g *group) done(leader *member, err error) {
	var first *member
	for _, m := range slices.Backward(g.members) {
		m.err = err
		if m != leader {
			m.next, first = first, m
		}
	}
	first.tell(done)
}

// tell sends s to m, who may be nil.
func (m *member) tell(s signal) {
	if m != nil {
		m.signal <- s
	}
}

// full tells whether the group has so many dirty pages that the next transaction had
// better begin a new one.
func (g *group) full() bool { return g.store.pages > max(2*g.store.maxDirty, fullMin) }

// fullMin is how many pages a group may have in any case.
const fullMin = 1024

// settleAll writes the open group out, if transactions wait in it, and waits for
// every flush before it. It needs the writer lock and keeps it.
func (db *DB) settleAll() {
	if g := db.group; g == nil || len(g.members) == 0 {
		db.token.take(true)
		db.token.release()
		return
	}
	db.token.take(true)
	db.writeGroup(nil, true)
}

var errGroupFailed = errors.New("the commit that this transaction was built on has failed")

// groupFailed returns the error of transactions that were built on a state which has
// failed to become durable (G4).
func (db *DB) groupFailed() error {
	if err := db.pager.Err(); err != nil {
		return fmt.Errorf("folio: %w: %w", errGroupFailed, err)
	}
	return nil
}
