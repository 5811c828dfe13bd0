package folio

// This file is responsible for the database as a whole: what is shared by its
// transactions, and how they begin.
//
// Locks, in the order in which they are taken: DB.writer, then those inside pager.
// Readers take none.

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// DB is an open database. All its methods may be called concurrently.
type DB struct {
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
	file     vfs.File
	pager    *pager.Pager
	pageSize int
	fallback string // why Open took an older commit than the newest, or ""

	current atomic.Pointer[snapshot] // the newest durable one; nil: closed
	readers readerTable
	stats   counters

	writer   sync.Mutex // held by the write transaction; guards what follows
	nextTxID page.TxID  // of the next commit; never used twice
	space    *space     // nil until the first write transaction
	secured  bool       // what Open found is durable (see secure)
	buffers  bufferPool
	output   []byte                         // pages on their way to the file
	commits  uint64                         // since Open
	metas    [page.NumMetas][meta.Size]byte // as they are in the file

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
	if writable {
		return db.beginWrite()
	}
	return db.beginRead()
}

// beginRead enters the reader table (readers.go) and takes the newest snapshot.
func (db *DB) beginRead() (*Tx, error) {
	snap := db.current.Load()
	if snap == nil {
		return nil, ErrDatabaseNotOpen
	}
	tx := &Tx{}
	tx.slot = db.readers.enter(snap.meta.TxID)
	for {
		now := db.current.Load()
		if now == snap {
			break
		}
		if now == nil {
			tx.slot.leave()
			return nil, ErrDatabaseNotOpen
		}
		snap = now
		tx.slot.txid.Store(uint64(snap.meta.TxID))
	}
	tx.begin(db, snap)
	tx.root.tree.Init(&tx.read, rootHeader(&snap.meta), nil)
	return tx, nil
}

// beginWrite takes the writer lock, and makes the pages reusable that no reader
// needs any more.
func (db *DB) beginWrite() (*Tx, error) {
	if db.opts.ReadOnly {
		return nil, ErrDatabaseReadOnly
	}
	db.writer.Lock()
	snap := db.current.Load()
	if snap == nil {
		db.writer.Unlock()
		return nil, ErrDatabaseNotOpen
	}
	if err := db.pager.Err(); err != nil {
		db.writer.Unlock()
		return nil, fmt.Errorf("folio: %w: reopen the database to write again", err)
	}
	if err := db.loadSpace(snap); err != nil {
		db.writer.Unlock()
		return nil, err
	}
	db.space.list.Release(db.readers.live(), snap.meta.TxID)
	db.stats.space(db.space.list)

	tx := &Tx{writable: true}
	tx.begin(db, snap)
	tx.store = &store{reader: tx.read, buffers: &db.buffers, pager: db.pager}
	tx.trees = btree.NewWriter(tx.store)
	tx.root.tree.InitWritable(tx.trees, rootHeader(&snap.meta), nil)
	return tx, nil
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
func (db *DB) Update(fn func(*Tx) error) error {
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

// Sync makes everything committed durable. Commits do so themselves, so there is
// no need to call it; it costs a flush.
func (db *DB) Sync() error {
	if db.current.Load() == nil {
		return ErrDatabaseNotOpen
	}
	return db.pager.Sync()
}

// Close waits until all transactions have ended and closes the database. After
// commits, it notes in the file that nothing is in flight, which costs a flush.
// Closing a closed database does nothing.
func (db *DB) Close() error {
	db.writer.Lock()
	defer db.writer.Unlock()
	snap := db.current.Swap(nil)
	if snap == nil {
		return nil
	}
	for wait := 10 * time.Microsecond; len(db.readers.live()) > 0; wait = min(2*wait, 5*time.Millisecond) {
		time.Sleep(wait)
	}
	var err error
	if db.commits > 0 && db.pager.Err() == nil {
		err = db.writeClean(snap)
	}
	return errors.Join(err, db.release())
}

// release gives back everything that the operating system knows of.
func (db *DB) release() error {
	var errs []error
	if db.file != nil {
		errs = append(errs, db.file.Unlock())
	}
	if db.pager != nil {
		errs = append(errs, db.pager.Close()) // closes the file
	} else if db.file != nil {
		errs = append(errs, db.file.Close())
	}
	return errors.Join(errs...)
}

// writeClean rewrites the newest meta as one with nothing to recover, into the
// other slot.
func (db *DB) writeClean(snap *snapshot) error {
	m := snap.meta
	m.TxID = db.nextTxID
	m.Clean, m.Synced, m.Record = true, true, nil
	return db.writeMeta(&m, 1-snap.slot)
}
