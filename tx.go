package folio

// This file is responsible for what a transaction is: a snapshot, the buckets
// opened on it, and, if it is writable, the changes until they are committed
// (commit.go) or dropped.

import (
	"bytes"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// snapshot is a committed state: immutable, and readable as long as a reader is
// registered for its txid.
type snapshot struct {
	meta meta.Meta
	slot int    // the meta page it is in
	seq  uint64 // of its publication to other processes
	view *pager.View
}

// Tx is a transaction: a consistent view of the whole database, which no other
// transaction changes. A writable one can change it as well, and sees its own
// changes; there is one of these at a time.
//
// A transaction is used by one goroutine at a time. Those begun by hand must be
// ended with Commit or Rollback: a reader left open keeps the pages of its
// snapshot from being reused.
type Tx struct {
	compatTx
	db       *DB // nil: closed
	writable bool
	managed  bool // inside View or Update
	err      error
	snap     *snapshot
	slot     *sidecar.Slot
	root     Bucket
	read     reader
	handles  handles
	*writing // of a write transaction; of others &notWriting
}

// writing is what only a write transaction has. It is apart because most
// transactions are Views, and what a View costs is mostly its memory.
type writing struct {
	id         page.TxID
	rootOpened opened
	group      *group // that it runs in
	store      *store
	trees      *btree.Writer
	start      txMark
	savepoints []*Savepoint
	durability Durability
	onCommit   []func()
	compatWriting
}

// notWriting stands for the absence of all that; nobody changes it.
var notWriting writing

// begin fills in what all transactions have.
func (tx *Tx) begin(db *DB, snap *snapshot) {
	tx.db, tx.snap = db, snap
	tx.read = db.reader(snap)
	tx.root.tx, tx.root.FillPercent, tx.root.opened = tx, compatFillPercent, &notOpened
	if tx.writable {
		tx.root.opened = &tx.rootOpened
	}
}

func rootHeader(m *meta.Meta) btree.Header {
	return btree.Header{Root: m.Root.ID, Birth: m.Root.Birth, Count: m.Root.Count}
}

// reader returns what the transaction reads through.
func (tx *Tx) reader() *reader {
	if tx.store != nil {
		return &tx.store.reader
	}
	return &tx.read
}

// keysMax is more keys than can be in the file or in the transaction's memory.
func (tx *Tx) keysMax() uint64 {
	return tx.pagesMax() * uint64(tx.db.pageSize)
}

// pagesMax is more pages than the transaction can see.
func (tx *Tx) pagesMax() uint64 {
	if tx.store != nil {
		return uint64(tx.store.highWater) + tx.store.pages
	}
	return uint64(tx.snap.meta.HighWater)
}

// expose takes note that the application gets slices of pages, any of them. What the
// transaction has written early, and gives up, it cannot reuse from now on.
func (tx *Tx) expose() {
	if tx.store != nil {
		tx.store.exposed, tx.store.shown = true, true
	}
}

// handOut returns value v as the application gets it. Nothing happens to the memory of a
// page of the heap while somebody has slices of it. But those that were written early are
// reused when the transaction gives them up, or a lookup and a change by turns would make
// the file grow by all that is ever written; so what may be in one of them is copied, unless
// it is long.
func (tx *Tx) handOut(v []byte) []byte {
	if tx.store == nil || len(v) == 0 {
		return v
	}
	tx.store.exposed = true
	if out := tx.group.out; out == nil {
		return v
	}
	if len(v) <= tx.db.pageSize {
		return bytes.Clone(v)
	}
	tx.store.shown = true
	return v
}

// ID returns the transaction's number: for a read-only one that of the commit it
// sees, for a writable one its own. Readers see the latter or a higher one, for
// transactions that share a flush have the number of the last of them. It is -1 when
// the transaction has ended.
//
// Later commits have higher numbers, but not the next ones. After each Open the first
// one is 2^20 higher than the newest before, so that no number of an attempt that a
// crash cut off comes again; and the first one of a session that is not flushed
// (Durability) goes on from a number drawn at random, 2^32 or more ahead. What changes
// nothing has no number of its own.
//
// Where int has 32 bits the number is cut to these: it can be negative, and smaller
// than the one before. The signature is bbolt's.
func (tx *Tx) ID() int {
	if tx.db == nil {
		return -1
	}
	if tx.writable {
		return int(tx.id)
	}
	return int(tx.snap.meta.TxID)
}

// DB returns the transaction's database, or nil when it has ended.
func (tx *Tx) DB() *DB { return tx.db }

// Size returns the size in bytes of the database as the transaction sees it:
// pages up to the high-water mark, free ones among them. The file may be longer.
func (tx *Tx) Size() int64 {
	if tx.db == nil {
		return 0
	}
	return int64(tx.snap.meta.HighWater) * int64(tx.db.pageSize)
}

// Writable tells whether the transaction can change the database.
func (tx *Tx) Writable() bool { return tx.writable }

// Err returns the error that ended the transaction early: damage, a fault on the
// map, or a change that failed halfway. Lookups return nothing once there is one.
func (tx *Tx) Err() error { return tx.err }

// Cursor returns a cursor over the top-level buckets; their values are nil.
func (tx *Tx) Cursor() *Cursor { return tx.root.Cursor() }

// Bucket returns the top-level bucket name, or nil if there is none, or if the
// transaction has ended.
func (tx *Tx) Bucket(name []byte) *Bucket { return tx.root.Bucket(name) }

// CreateBucket creates a top-level bucket; see Bucket.CreateBucket.
func (tx *Tx) CreateBucket(name []byte) (*Bucket, error) { return tx.root.CreateBucket(name) }

// CreateBucketIfNotExists returns a top-level bucket, which it creates if there
// is none; see Bucket.CreateBucketIfNotExists.
func (tx *Tx) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	return tx.root.CreateBucketIfNotExists(name)
}

// DeleteBucket removes a top-level bucket; see Bucket.DeleteBucket.
func (tx *Tx) DeleteBucket(name []byte) error { return tx.root.DeleteBucket(name) }

// MoveBucket moves the bucket child from src to dst, nil standing for the top
// level; see Bucket.MoveBucket. What Tx.Bucket returns for a bucket that is not there
// is nil as well: look at it first.
func (tx *Tx) MoveBucket(child []byte, src, dst *Bucket) error {
	if src == nil {
		src = &tx.root
	}
	if dst == nil {
		dst = &tx.root
	}
	return src.MoveBucket(child, dst)
}

// ForEach calls fn for each top-level bucket in order, until fn returns an error,
// which it returns.
func (tx *Tx) ForEach(fn func(name []byte, b *Bucket) error) error {
	if err := tx.root.usable(); err != nil {
		return err
	}
	for name, b := range tx.root.Buckets() {
		if err := fn(name, b); err != nil {
			return err
		}
	}
	return tx.err
}

// OnCommit adds a function to be called after the transaction has been committed,
// in order of addition; there is nothing to commit in a read-only one.
func (tx *Tx) OnCommit(fn func()) {
	if tx.writable {
		tx.onCommit = append(tx.onCommit, fn)
	}
}

// Commit writes the changes, makes them durable and ends the transaction. When it
// returns nil, a crash no longer loses them (with less than DurabilityFull: see
// there), and every transaction begun later sees them. On any error the transaction
// is rolled back and the database is as it was before; if a sync failed, it takes no
// more writes (ErrLatched). A read-only transaction stays open: Rollback ends it. It
// panics inside View and Update. Errors are ErrTxClosed, ErrTxNotWritable, ErrNoSpace,
// ErrMaxSizeReached, ErrLatched and Err.
func (tx *Tx) Commit() error {
	if tx.managed {
		panic("folio: Commit inside View or Update: return nil instead")
	}
	switch {
	case tx.db == nil:
		return ErrTxClosed
	case !tx.writable:
		return ErrTxNotWritable
	case tx.err != nil:
		err := tx.err
		tx.close()
		return err
	}
	if err := tx.change(tx.flush); err != nil {
		tx.close()
		return err
	}
	db, handlers := tx.db, tx.onCommit
	if err := tx.commit(); err != nil {
		return err
	}
	if db.StrictMode {
		db.mustCheck()
	}
	for _, fn := range handlers {
		fn()
	}
	return nil
}

// commit ends the transaction and gets its changes written, together with those of
// the others in its group (pipeline.go).
func (tx *Tx) commit() error {
	if !tx.store.changedSince(tx.start.mark) && !tx.root.changed {
		return tx.abandon()
	}
	if err := tx.room(); err != nil {
		tx.close()
		return err
	}
	db := tx.db
	m := tx.group.seal(tx)
	tx.db = nil
	defer db.turns.leave()
	return db.settle(m)
}

// room makes the file as long as it must be if the pages of the group so far take all that
// is free. A transaction for which there is no room fails here, alone: when the group is
// written, all its transactions would. Pages that are written early have got their room.
func (tx *Tx) room() error {
	free := tx.db.space.list.Free()
	if tx.group.out != nil || tx.store.pages <= free {
		return nil
	}
	return tx.db.pager.EnsureSize(tx.group.base.meta.HighWater + page.ID(tx.store.pages-free))
}

// abandon ends a transaction that changes nothing. What it has seen may not be
// durable yet; then it waits until it is, and returns the error if it never is.
func (tx *Tx) abandon() error {
	db, g := tx.db, tx.group
	tx.db = nil
	defer db.turns.leave()
	g.store.exposed, g.store.shown = false, false // the transaction has ended
	g.rewind(db, tx.start)
	g.store.forget(tx.start.mark)
	if len(g.members) > 0 {
		m := &member{durability: DurabilityNone, watching: true, signal: make(chan signal, 2)}
		g.members = append(g.members, m)
		return db.settle(m)
	}
	db.closeGroup()
	if g.out != nil {
		db.cutSpilled()
	}
	published := db.current.Load() == g.base
	db.writer.unlock()
	if published {
		return nil
	}
	db.token.take(false) // until the flush in progress has ended
	db.token.release()
	if now := db.current.Load(); now != nil && now.meta.TxID >= g.base.meta.TxID {
		return nil
	}
	return db.groupFailed()
}

// Rollback drops the changes and ends the transaction. It returns ErrTxClosed if
// it has ended before, and Err if there is one. It panics inside View and Update.
func (tx *Tx) Rollback() error {
	if tx.managed {
		panic("folio: Rollback inside View or Update: return an error instead")
	}
	if tx.db == nil {
		return ErrTxClosed
	}
	tx.close()
	return tx.err
}

// close ends the transaction without a commit and gives back what it holds.
func (tx *Tx) close() {
	switch {
	case tx.db == nil:
	case tx.writable:
		// Whatever becomes of the others, this one is rolled back.
		_ = tx.abandon()
	default:
		db := tx.db
		tx.db = nil
		db.readers.leave(tx.slot)
	}
}

// flush brings every opened bucket's header into its parent's leaf, so that the
// tree of the root bucket says everything.
func (tx *Tx) flush() error {
	if err := tx.root.flushChildren(); err != nil {
		return err
	}
	if h := tx.root.tree.Header(); h.Root != 0 || h.Count == 0 {
		return nil
	}
	// The root bucket has no parent whose leaf could hold it.
	_, err := tx.root.tree.Pack(0)
	return err
}
