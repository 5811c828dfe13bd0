package bbolt

// This file is responsible for the database: bbolt's fields, which programs set after
// Open, and how transactions run.

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio"
)

// DB is an open database. Its fields are those of bbolt; "no effect" is said of those
// that are about something that folio does not have.
type DB struct {
	// StrictMode checks the whole database after each commit and panics if anything
	// is wrong.
	StrictMode bool

	// NoSync makes commits return before they are durable: a crash of the machine
	// takes back those since the last Sync, Close or commit without NoSync. Other
	// than with bbolt, it does not damage the file. A commit looks at it when its
	// function has returned.
	NoSync bool

	NoFreelistSync  bool         // no effect
	FreelistType    FreelistType // no effect
	NoGrowSync      bool         // no effect
	PreLoadFreelist bool         // no effect
	MmapFlags       int          // no effect after Open
	AllocSize       int          // no effect
	MaxSize         int          // no effect after Open
	Mlock           bool         // no effect after Open

	// MaxBatchSize and MaxBatchDelay are how many calls of Batch share a
	// transaction, and how long the first of them waits for others. They must not
	// be changed while Batch runs.
	MaxBatchSize  int
	MaxBatchDelay time.Duration

	db      *folio.DB
	logger  Logger
	noStats bool
	batch   sync.Mutex // held while the two fields above are passed on

	firstID int          // of the commit that Open found
	skipped atomic.Int64 // numbers between it and that of the first write transaction

	cursors   atomic.Int64 // opened in transactions that have ended
	writeTime atomic.Int64
}

// Info describes the file.
type Info struct {
	Data     uintptr // always 0: there is no address at which all of the file is
	PageSize int
}

// closed stands for the database of a DB that no Open has returned.
var closed folio.DB

// Folio returns folio's own database, for what bbolt does not have.
func (db *DB) Folio() *folio.DB {
	if db.db == nil {
		return &closed
	}
	return db.db
}

// Path returns the path of the file.
func (db *DB) Path() string { return db.Folio().Path() }

// String returns the path in a form for logs.
func (db *DB) String() string { return fmt.Sprintf("DB<%q>", db.Path()) }

// GoString returns the Go representation of the database.
func (db *DB) GoString() string { return fmt.Sprintf("bolt.DB{path:%q}", db.Path()) }

// IsReadOnly tells whether the database was opened with Options.ReadOnly.
func (db *DB) IsReadOnly() bool { return db.Folio().IsReadOnly() }

// Info returns the page size.
func (db *DB) Info() *Info {
	in := db.Folio().Info()
	if in == nil {
		return &Info{}
	}
	return &Info{PageSize: in.PageSize}
}

// Sync makes everything committed durable. It is for databases with NoSync.
func (db *DB) Sync() error {
	err := db.Folio().Sync()
	db.logResult(err, "Syncing %s", db.Path())
	return err
}

// Close waits until all transactions have ended and closes the database. Closing a
// closed one does nothing.
func (db *DB) Close() error { return db.Folio().Close() }

// Begin begins a transaction, which must be ended with Commit or Rollback. A writable
// one waits until no other is open.
func (db *DB) Begin(writable bool) (*Tx, error) {
	ftx, err := db.Folio().Begin(writable)
	if err != nil {
		db.logResult(err, "Beginning a transaction")
		return nil, err
	}
	return db.begun(ftx), nil
}

// View calls fn with a read-only transaction, which ends when fn returns.
func (db *DB) View(fn func(*Tx) error) error {
	return db.Folio().View(func(ftx *folio.Tx) error {
		err := fn((*Tx)(ftx))
		db.ended((*Tx)(ftx))
		return err
	})
}

// Update calls fn with a writable transaction and commits it if fn returns nil.
// Otherwise nothing is changed.
//
// Updates of several goroutines share flushes. Functions run one after the other, but
// fn must not wait for the end of another Update.
func (db *DB) Update(fn func(*Tx) error) error {
	var sealed time.Time
	err := db.Folio().Update(func(ftx *folio.Tx) error { return db.run(ftx, fn, &sealed) })
	return db.settled(sealed, err)
}

// Batch calls fn as part of a transaction that it shares with other calls of Batch
// made at the same time. fn may be called more than once.
func (db *DB) Batch(fn func(*Tx) error) error {
	to := db.Folio()
	db.batch.Lock()
	if to.MaxBatchSize != db.MaxBatchSize || to.MaxBatchDelay != db.MaxBatchDelay {
		to.MaxBatchSize, to.MaxBatchDelay = db.MaxBatchSize, db.MaxBatchDelay
	}
	db.batch.Unlock()
	var sealed time.Time
	err := to.Batch(func(ftx *folio.Tx) error { return db.run(ftx, fn, &sealed) })
	return db.settled(sealed, err)
}

// run calls fn with a writable transaction that is committed if it returns nil. It
// notes when that was.
func (db *DB) run(ftx *folio.Tx, fn func(*Tx) error, sealed *time.Time) error {
	tx := db.begun(ftx)
	defer db.ended(tx)
	if err := fn(tx); err != nil {
		return err
	}
	*sealed = time.Now()
	return db.relax(tx)
}

// settled is committed for a commit that began at sealed, if there was one.
func (db *DB) settled(sealed time.Time, err error) error {
	if sealed.IsZero() { // fn failed, or nothing was begun
		return err
	}
	return db.committed(err, time.Since(sealed))
}

// committed takes note of a commit that took d and ended with err.
func (db *DB) committed(err error, d time.Duration) error {
	db.writeTime.Add(int64(d))
	db.logResult(err, "Committing a transaction")
	if err == nil && db.StrictMode {
		db.mustCheck()
	}
	return err
}

// mustCheck is what StrictMode is for.
func (db *DB) mustCheck() {
	var errs []string
	err := db.Folio().View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			errs = append(errs, err.Error())
		}
		return nil
	})
	if err != nil {
		errs = append(errs, err.Error())
	}
	if len(errs) > 0 {
		panic("check fail: " + strings.Join(errs, "\n"))
	}
}
