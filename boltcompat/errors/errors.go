// Package errors holds the errors of go.etcd.io/bbolt/errors. Those that programs
// meet in transactions are folio's own, so they pass through without a translation.
package errors

import (
	"errors"

	"github.com/foliodb/folio"
)

// Errors of opening a database. Programs compare their text too, which is not always
// folio's; Open translates.
var (
	// ErrInvalid means that the file is no database. A file of bbolt is one of them;
	// the error then says how to convert it.
	ErrInvalid = errors.New("invalid database")
	// ErrInvalidMapping is never returned: folio's map of the file does not move.
	ErrInvalidMapping = errors.New("database isn't correctly mapped")
	// ErrVersionMismatch means that a newer version of folio wrote the file.
	ErrVersionMismatch = errors.New("version mismatch")
	// ErrChecksum means that what Open needs of the file is damaged.
	ErrChecksum = errors.New("checksum error")
	// ErrTimeout means that the file was locked for longer than Options.Timeout.
	ErrTimeout = errors.New("timeout")
)

// Errors of transactions.
var (
	// ErrDatabaseNotOpen means that the database has been closed.
	ErrDatabaseNotOpen = folio.ErrDatabaseNotOpen
	// ErrTxNotWritable means a change in a read-only transaction.
	ErrTxNotWritable = folio.ErrTxNotWritable
	// ErrTxClosed means that the transaction has been committed or rolled back.
	ErrTxClosed = folio.ErrTxClosed
	// ErrDatabaseReadOnly means that a database opened with Options.ReadOnly was to
	// be written.
	ErrDatabaseReadOnly = folio.ErrDatabaseReadOnly
	// ErrFreePagesNotLoaded is never returned: folio reads the free space when it
	// is needed.
	ErrFreePagesNotLoaded = errors.New("free pages are not pre-loaded")
	// ErrMaxSizeReached means that the file would grow beyond Options.MaxSize.
	ErrMaxSizeReached = folio.ErrMaxSizeReached
)

// Errors of keys, values and buckets.
var (
	// ErrBucketNotFound means that there is no such bucket.
	ErrBucketNotFound = folio.ErrBucketNotFound
	// ErrBucketExists means that there is such a bucket already.
	ErrBucketExists = folio.ErrBucketExists
	// ErrBucketNameRequired means an empty bucket name.
	ErrBucketNameRequired = folio.ErrBucketNameRequired
	// ErrKeyRequired means an empty key.
	ErrKeyRequired = folio.ErrKeyRequired
	// ErrKeyTooLarge means a key, or a bucket name, longer than MaxKeySize.
	ErrKeyTooLarge = folio.ErrKeyTooLarge
	// ErrValueTooLarge means a value longer than MaxValueSize.
	ErrValueTooLarge = folio.ErrValueTooLarge
	// ErrIncompatibleValue means a bucket where a value was expected, or the other
	// way round.
	ErrIncompatibleValue = folio.ErrIncompatibleValue
	// ErrSameBuckets means that a bucket was to be moved to where it is.
	ErrSameBuckets = folio.ErrSameBuckets
	// ErrDifferentDB means that a bucket was to be moved to another database.
	ErrDifferentDB = folio.ErrDifferentDB
)
