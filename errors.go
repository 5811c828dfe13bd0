package folio

import (
	"errors"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// Errors about the file. They come wrapped, with the page or the reason: use
// errors.Is.
var (
	// ErrInvalid means that the file is not a folio file.
	ErrInvalid = meta.ErrNotFolio
	// ErrVersionMismatch means that a newer version of folio wrote the file.
	ErrVersionMismatch = meta.ErrVersion
	// ErrCorrupt means that bytes in the file are damaged. The error names the
	// page.
	ErrCorrupt = page.ErrCorrupt
	// ErrLatched means that a write or a sync failed earlier, or the lock file. What
	// the disk holds can be unknown since, so the database refuses writes until it is
	// opened again.
	ErrLatched = pager.ErrLatched
	// ErrNoSpace means that the disk or the quota is full. The transaction was
	// rolled back; the next one may succeed.
	ErrNoSpace = pager.ErrNoSpace
	// ErrMaxSizeReached means that the file would grow beyond Options.MaxSize.
	// The transaction was rolled back.
	ErrMaxSizeReached = pager.ErrMaxSize
	// ErrLockReplaced means that others have the file open by way of another lock
	// file than the one beside it: that, or the database, was deleted, renamed or
	// replaced, or has a second name.
	ErrLockReplaced = sidecar.ErrReplaced
	// ErrLockVersion means that the lock file is in use by another version of folio, or
	// is something else.
	ErrLockVersion = sidecar.ErrVersion
	// ErrTooManyReaders means that the lock file has no room for another reader.
	ErrTooManyReaders = sidecar.ErrFull
	// ErrFault means that the operating system could not supply a page of the
	// file: it was truncated by someone else, or the disk failed.
	ErrFault = errors.New("a page of the file cannot be read")
)

// Errors of opening and of using a database. They are returned as they are and
// may be compared with ==, but for ErrTimeout.
var (
	// ErrTimeout means that another process, or another Open, had the file in a way
	// that does not go with Options.Sharing, for longer than Options.Timeout. It comes
	// wrapped, with the reason, where an open with ReadOnly had to wait because the
	// file cannot be shared: use errors.Is.
	ErrTimeout = errors.New("timeout: the file is in use by another process")
	// ErrDatabaseNotOpen means that the database has been closed.
	ErrDatabaseNotOpen = errors.New("database not open")
	// ErrDatabaseReadOnly means that a database opened with Options.ReadOnly was
	// to be written.
	ErrDatabaseReadOnly = errors.New("database is in read-only mode")
	// ErrTxNotWritable means a change in a read-only transaction.
	ErrTxNotWritable = errors.New("tx not writable")
	// ErrWriterBusy means that another write transaction is open (DB.TryBegin).
	ErrWriterBusy = errors.New("another write transaction is open")
	// ErrSavepointReleased means that a savepoint is gone: released, or made after
	// one that the transaction went back to.
	ErrSavepointReleased = errors.New("savepoint released")
	// ErrTxClosed means that the transaction has been committed or rolled back.
	ErrTxClosed = errors.New("tx closed")
)

// Errors of keys, values and buckets.
var (
	// ErrBucketNotFound means that there is no such bucket, or not any more.
	ErrBucketNotFound = errors.New("bucket not found")
	// ErrBucketExists means that there is such a bucket already.
	ErrBucketExists = errors.New("bucket already exists")
	// ErrBucketNameRequired means an empty bucket name.
	ErrBucketNameRequired = errors.New("bucket name required")
	// ErrBucketTooDeep means nesting beyond MaxBucketDepth.
	ErrBucketTooDeep = errors.New("buckets nested too deep")
	// ErrKeyRequired means an empty key.
	ErrKeyRequired = errors.New("key required")
	// ErrKeyTooLarge means a key longer than MaxKeySize.
	ErrKeyTooLarge = errors.New("key too large")
	// ErrValueTooLarge means a value longer than MaxValueSize.
	ErrValueTooLarge = errors.New("value too large")
	// ErrIncompatibleValue means a nested bucket where a plain value was expected,
	// or the other way round.
	ErrIncompatibleValue = errors.New("incompatible value")
	// ErrSameBuckets means that a bucket was to be moved to where it is.
	ErrSameBuckets = errors.New("the source and target are the same bucket")
	// ErrDifferentDB means that a bucket was to be moved to another database.
	ErrDifferentDB = errors.New("the source and target buckets are in different database files")
)
