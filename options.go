package folio

import (
	"os"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// Limits of keys, values and buckets.
const (
	// MaxKeySize is the longest key in bytes.
	MaxKeySize = btree.MaxKeySize
	// MaxValueSize is the longest value in bytes.
	MaxValueSize = btree.MaxValueSize
	// MaxBucketDepth is how deep buckets may be nested.
	MaxBucketDepth = 4096
)

// Defaults of the fields of DB that concern Batch.
const (
	DefaultMaxBatchSize  = 1000
	DefaultMaxBatchDelay = 10 * time.Millisecond
)

// VerifyMode says how often the checksums of pages are checked. Whatever the
// mode, no content of a file can make folio read outside of it.
type VerifyMode int

const (
	// VerifyFirst checks a page when this process reads it for the first time,
	// and the data of a long value if it is at most 256 KiB; longer ones are
	// checked by Tx.Check.
	VerifyFirst VerifyMode = iota
	// VerifyFirstFull checks long values of any length as well, which reads all
	// of a value when any of it is asked for.
	VerifyFirstFull
	// VerifyAlways checks everything at every read. It is slow, and meant for
	// machines that are not to be trusted.
	VerifyAlways
)

// Options are the options of Open. The zero value, or nil, means the defaults.
type Options struct {
	// Timeout is how long to wait in Open for handles that have the file open and
	// that this one does not go with (Sharing): zero waits for ever.
	Timeout time.Duration

	// ReadOnly opens the file for reading: nothing is written to it. Others may
	// read it at the same time, and write it, if Sharing lets them; then every
	// transaction sees the newest commit. A missing file is an error.
	ReadOnly bool

	// Sharing says what other processes, and other handles in this one, may do with
	// the file meanwhile; the zero value is ShareReaders. With ReadOnly all but
	// ShareNothing are the same.
	Sharing Sharing

	// PageSize is the page size in bytes of a file that is created: a power of
	// two from 4096, the default, to 65536. An existing file has the size it was
	// created with; opening it with another PageSize is an error.
	PageSize int

	// InitialSize is the size in bytes that a created file gets at once, so that
	// it need not grow in the first commits.
	InitialSize int64

	// MaxSize is the size in bytes beyond which the file does not grow; commits
	// that need more fail with ErrMaxSizeReached. Zero is no limit.
	MaxSize int64

	// TwoFlushes makes every commit flush twice, first the data, then the meta
	// page, as small commits otherwise need not (docs/crash-safety.md).
	TwoFlushes bool

	// Durability says when commits are safe from a crash of the machine; the zero
	// value is DurabilityFull. Tx.SetDurability sets it for one transaction.
	Durability Durability

	// FlushInterval and FlushBytes bound what a crash can take back of the commits
	// with DurabilityRelaxed: a flush follows after that time, or when that much has
	// been written. Zero stands for 100 milliseconds and 64 MiB.
	FlushInterval time.Duration
	FlushBytes    int64

	// MaxDirty is how many bytes of changed pages a write transaction keeps in
	// memory. When there are more, they are written to the file early. Zero stands
	// for 64 MiB.
	MaxDirty int64

	// OnSlowReader, if it is set, is called after a commit while a read transaction
	// is open whose snapshot was replaced more than SlowReaderAge ago, or retains
	// SlowReaderBytes or more of freed pages: once for each such snapshot. It is
	// called in the goroutine of the commit, and no lock is held. Zero stands for a
	// minute and 64 MiB.
	OnSlowReader    func(SlowReader)
	SlowReaderAge   time.Duration
	SlowReaderBytes int64

	// InMemory keeps the database in memory. The path is only a name then, and
	// everything is gone after Close.
	InMemory bool

	// Populate reads all of the file at Open, and Mlock keeps it in memory; the
	// limit on locked memory must allow for it.
	Populate bool
	Mlock    bool

	// Verify says how often checksums are checked.
	Verify VerifyMode

	// OpenFile opens or creates the file instead of os.OpenFile. It may return a
	// file that was open before; an empty file becomes a new database.
	OpenFile func(name string, flag int, perm os.FileMode) (*os.File, error)
}

// DefaultOptions is what Open uses for nil.
var DefaultOptions = &Options{}

func (o *Options) pageSize() int {
	if o.PageSize == 0 {
		return page.DefaultSize
	}
	return o.PageSize
}

// or returns v, or what stands for zero.
func or[T int64 | time.Duration](v, zero T) T {
	if v == 0 {
		return zero
	}
	return v
}

func (o *Options) flushInterval() time.Duration { return or(o.FlushInterval, 100*time.Millisecond) }
func (o *Options) flushBytes() int64            { return or(o.FlushBytes, 64<<20) }
func (o *Options) maxDirty() int64              { return or(o.MaxDirty, 64<<20) }
