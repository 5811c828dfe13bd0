package folio

// This file is responsible for the database as a whole: what is shared by its
// transactions, and how they begin.
//
// Locks, in the order in which they are taken: DB.writer, DB.token (pipeline.go has the
// one exception), then those inside pager. Readers take none.

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// DB is an open database. All its methods may be called concurrently.
type DB struct {
	compatDB

	// MaxBatchSize and MaxBatchDelay are how many calls of Batch share a
	// transaction, and how long the first of them waits for others. Set them
	// before the first Batch.
	MaxBatchSize  int
	MaxBatchDelay time.Duration

	// StrictMode checks the whole database after each commit and panics if
	// anything is wrong. It is slow, and meant for tests. Set it right after
	// Open.
	StrictMode bool

	path     string
	opts     Options
	fs       vfs.FS
	copyFS   vfs.FS // of CopyFile
	file     vfs.File
	pager    *pager.Pager
	pageSize int
	fallback string // why Open took an older commit than the newest, or ""
	parallel bool   // several goroutines may write a commit: into a file of the system, or in tests

	side    *sidecar.Sidecar // what other processes see; nil: the file is not shared
	turns   *turns           // with writers of other processes; nil: there are none
	follows bool             // others may commit
	seen    follower         // what they have

	current atomic.Pointer[snapshot] // the newest published here; nil: closed
	readers readerTable
	stats   counters
	slow    slowReaders

	writer   writerLock // held by the write transaction; guards what follows
	head     *snapshot  // the newest in the file, published or not
	group    *group     // the transactions since; nil: none
	nextTxID page.TxID  // of the next transaction; never used twice once it is in the file
	drawn    page.TxID  // numbers from it on are this session's only; 0: none (durability.go, R6)
	space    *space     // nil until the first write transaction
	secured  bool       // what Open found is durable (see secure)
	believed *snapshot  // what Open found after an unclean end; nil: nothing, or it is written again
	buffers  bufferPool
	trees    *btree.Writer           // of the newest group
	output   [workersMost + 1][]byte // pages on their way to the file, of each worker and of early.go
	// cleanFrom is how many pages around one must be free for it to be moved (clean.go).
	cleanFrom int
	commits   uint64 // since Open
	reported  uint64 // flushes that other processes know of

	token     flushToken // held by who writes metas or flushes; guards what follows
	durable   *snapshot  // the newest that a crash does not take back
	durableTx atomic.Uint64
	unsynced  unsynced                       // what was written since
	metas     [page.NumMetas][meta.Size]byte // as they are in the file
	encoded   [meta.Size]byte                // on its way there
	torn      error                          // the meta of what was committed and not flushed is lost
	flusher   flusher

	batchMu sync.Mutex
	batch   *batch
}

// Path returns the path that the database was opened with.
func (db *DB) Path() string { return db.path }

// String returns the path in a form for logs.
func (db *DB) String() string { return fmt.Sprintf("DB<%q>", db.path) }

// GoString returns the Go string representation of the database.
func (db *DB) GoString() string { return fmt.Sprintf("folio.DB{path:%q}", db.path) }

// IsReadOnly tells whether the database was opened with Options.ReadOnly.
func (db *DB) IsReadOnly() bool { return db.opts.ReadOnly }

// Begin begins a transaction: a read-only one at once, a writable one as soon as
// no other is open. It must be ended with Commit or Rollback. A goroutine that has
// a writable transaction open must not begin another one: it would wait for ever.
// Read-only transactions may be open beside, in the same goroutine too.
//
// Errors are ErrDatabaseNotOpen, ErrDatabaseReadOnly, ErrLatched and ErrCorrupt.
func (db *DB) Begin(writable bool) (*Tx, error) {
	return db.BeginContext(context.Background(), writable)
}

// beginRead enters the reader table (readers.go) and takes the newest snapshot.
func (db *DB) beginRead() (*Tx, error) {
	snap, err := db.newest()
	if err != nil {
		return nil, err
	}
	bugs.Pause()
	tx := &Tx{writing: &notWriting}
	if tx.slot, err = db.readers.enter(snap.meta.TxID); err != nil {
		return nil, err
	}
	for {
		now, err := db.newest()
		if err != nil {
			db.readers.leave(tx.slot)
			return nil, err
		}
		if now == snap || bugs.On(bugs.LookedOnce) {
			break
		}
		snap = now
		if err := db.readers.move(tx.slot, snap.meta.TxID); err != nil {
			return nil, err
		}
	}
	tx.begin(db, snap)
	tx.root.sequence = snap.meta.Root.Sequence
	tx.root.tree.Init(&tx.read, rootHeader(&snap.meta), nil)
	return tx, nil
}

// reader returns what transactions on snap read through.
func (db *DB) reader(snap *snapshot) reader {
	return reader{
		view:      snap.view,
		highWater: snap.meta.HighWater,
		fileID:    snap.meta.FileID,
		pageSize:  db.pageSize,
		verify:    db.opts.Verify,
	}
}

// BeginContext is Begin that gives up waiting for another write transaction when ctx
// is done, and returns the cause. If ctx is done already, nothing is begun, a read-only
// transaction neither. Once the transaction has begun, ctx means nothing to it.
func (db *DB) BeginContext(ctx context.Context, writable bool) (*Tx, error) {
	if !writable {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return db.beginRead()
	}
	if err := db.lockWriter(ctx); err != nil {
		return nil, err
	}
	return db.beginByHand()
}

// TryBegin begins a writable transaction if none is open, and returns ErrWriterBusy
// if one is. It may have to wait for the flush of a transaction before it.
func (db *DB) TryBegin() (*Tx, error) {
	if db.opts.ReadOnly {
		return nil, ErrDatabaseReadOnly
	}
	switch ok, err := db.turns.tryEnter(); {
	case err != nil:
		return nil, err
	case !ok:
		return nil, ErrWriterBusy
	}
	if !db.writer.tryLock() {
		db.turns.leave()
		return nil, ErrWriterBusy
	}
	return db.beginByHand()
}

// lockWriter takes the writer lock, and the turn before it, unless ctx is done: a lock
// that is free would not look at it.
func (db *DB) lockWriter(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if db.opts.ReadOnly {
		return ErrDatabaseReadOnly
	}
	if err := db.turns.enter(ctx); err != nil {
		return err
	}
	err := db.writer.lock(ctx)
	if err != nil {
		db.turns.leave()
	}
	return err
}

// beginByHand is beginWrite for a transaction that may stay open for long: nobody
// waits for it (G5).
func (db *DB) beginByHand() (*Tx, error) {
	if g := db.group; g != nil {
		db.settleAll()
	}
	return db.beginWrite()
}

// beginWrite begins a write transaction. It needs the writer lock, which belongs to
// the transaction then, or is let go if there is an error.
func (db *DB) beginWrite() (*Tx, error) {
	if err := db.readyToWrite(); err != nil {
		db.writer.unlock()
		db.turns.leave()
		return nil, err
	}
	g := db.openGroup()
	tx := &Tx{writable: true, writing: &writing{group: g, store: g.store, trees: g.trees, id: db.nextTxID}}
	tx.durability = db.opts.Durability
	tx.begin(db, g.base)
	tx.root.sequence = g.sequence
	tx.root.tree.InitWritable(g.trees, g.root, nil)
	tx.start = tx.mark()
	return tx, nil
}

// readyToWrite returns why no write transaction can begin.
func (db *DB) readyToWrite() error {
	if db.current.Load() == nil {
		return ErrDatabaseNotOpen
	}
	if err := db.pager.Err(); err != nil {
		return fmt.Errorf("folio: %w: reopen the database to write again", err)
	}
	if err := db.turns.begin(); err != nil {
		return err
	}
	return db.loadSpace()
}

// View calls fn with a read-only transaction, which ends when fn returns. The
// error is fn's, or what made a lookup fail. If fn panics, so does View. It waits
// for nobody and writes nothing.
func (db *DB) View(fn func(*Tx) error) error {
	tx, err := db.beginRead()
	if err != nil {
		return err
	}
	err = tx.run(fn)
	tx.close()
	return err
}

// Update calls fn with a writable transaction and commits it when fn returns nil;
// see Tx.Commit for what that promises. If fn returns an error or panics, nothing
// is changed, and Update does the same. It waits until no other writable
// transaction is open.
//
// Updates of several goroutines run one after the other and share flushes: while
// one is being flushed, the next ones run. Each function is called once. It must
// not wait for the end of another Update that has begun before.
func (db *DB) Update(fn func(*Tx) error) error {
	return db.UpdateContext(context.Background(), fn)
}

// UpdateContext is Update that gives up waiting for another write transaction when
// ctx is done, and returns the cause; if it is done already, fn is not called. Once fn
// has been called, ctx means nothing: the commit waits for its flush.
func (db *DB) UpdateContext(ctx context.Context, fn func(*Tx) error) error {
	if err := db.lockWriter(ctx); err != nil {
		return err
	}
	if g := db.group; g != nil && g.full() {
		db.settleAll()
	}
	tx, err := db.beginWrite()
	if err != nil {
		return err
	}
	if err := tx.run(fn); err != nil {
		tx.close()
		return err
	}
	return tx.Commit()
}

// Close waits until all transactions have ended and closes the database. After
// commits, it notes in the file that nothing is in flight, which costs a flush, and
// makes what was committed with less than DurabilityFull durable. If it cannot, it
// returns an error, and the database is closed. Closing a closed database does nothing.
//
// Inside View, Update or Batch, and in a goroutine that has a transaction open, Close
// waits for ever: for a transaction that ends when Close has returned.
func (db *DB) Close() error {
	db.turns.close()
	_ = db.writer.lock(context.Background()) // no error: this context is never done
	defer db.writer.unlock()
	if db.current.Load() == nil {
		return nil
	}
	db.settleAll()
	db.flusher.stop()
	db.token.take(true)
	defer db.token.release()
	db.seen.close()
	snap := db.current.Swap(nil)
	for wait := 10 * time.Microsecond; db.readers.known() && len(db.readers.live()) > 0; wait = min(2*wait, 5*time.Millisecond) {
		time.Sleep(wait)
	}
	var err error
	switch latched := db.pager.Err() != nil; {
	case latched && db.turns == nil:
		err = db.makeDurable(snap) // what was committed before the failure
	case !latched && db.commits > 0 && db.turns.alone(snap):
		db.shrink(snap.meta.HighWater) // what could not be cut at a rollback
		err = db.writeClean(snap)
	}
	return errors.Join(err, db.release())
}

// release gives back everything that the operating system knows of.
func (db *DB) release() error {
	var errs []error
	if db.side != nil {
		errs = append(errs, db.side.Close())
	}
	if db.file != nil {
		errs = append(errs, db.file.Unlock())
	}
	if db.pager != nil && db.readers.known() {
		errs = append(errs, db.pager.Close()) // closes the file
	} else if db.file != nil {
		errs = append(errs, db.file.Close())
	}
	return errors.Join(errs...)
}

// writeClean writes the newest meta again, as one with nothing to recover, into the
// slot beside the durable one. Where every write takes room, as on btrfs, there may be none
// for that. Then it is left out: all is durable, and the next Open looks at the last commit.
func (db *DB) writeClean(snap *snapshot) error {
	if err := db.makeDurable(snap); err != nil {
		return err
	}
	m := snap.meta
	m.TxID = db.nextTxID
	m.Clean, m.Synced, m.Weak, m.Since, m.Record = true, true, false, 0, nil
	switch err := db.storeMeta(&m, 1-snap.slot); {
	case errors.Is(err, ErrNoSpace):
		return nil
	case err != nil:
		return err
	}
	return db.flushMeta(1 - snap.slot)
}
