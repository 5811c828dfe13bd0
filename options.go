package folio

import (
	"fmt"
	"os"
	"time"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// Limits of keys, values and buckets.
const (
	// MaxKeySize is the longest key in bytes: 32,768.
	MaxKeySize = btree.MaxKeySize
	// MaxValueSize is the longest value in bytes: 2,147,483,647, one less than 2 GiB.
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
	// checked by Tx.Check and Tx.Scrub, and until then damage in them is read as it is.
	VerifyFirst VerifyMode = iota
	// VerifyFirstFull checks long values of any length as well, which reads all
	// of a value when any of it is asked for.
	VerifyFirstFull
	// VerifyAlways checks everything at every read. It is slow, and meant for
	// machines that are not to be trusted.
	VerifyAlways
)

// Options are the options of Open. The zero value, or nil, means the defaults. Values
// that make no sense, negative sizes among them, are errors of Open.
type Options struct {
	// Timeout is how long to wait in Open for handles that have the file open and
	// that this one does not go with (Sharing): zero waits for ever, and less does not
	// wait.
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
	//
	// A value that takes more than half of a page with its key, 2 KiB of 4, lies in
	// pages of its own, and so does a key of more than an eighth. Many values a
	// little longer than that make the file large: 20,000 of 2100 bytes take 83 MB with
	// pages of 4 KiB, and 52 MB with pages of 16 KiB.
	PageSize int

	// InitialSize is the size in bytes that a created file gets at once, so that
	// it need not grow in the first commits. While it is open with this option it is not
	// cut below that, unless the disk is full.
	InitialSize int64

	// MaxSize is the size in bytes beyond which the file does not grow; commits
	// that need more fail with ErrMaxSizeReached. Zero is no limit. Less than two
	// pages, which an empty database has, is an error.
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
	//
	// In a transaction that has written pages early, Get copies what it returns. Once it has
	// used a cursor or an iterator, what it has written early stays as it is to its end, and
	// each page that it changes again takes new room in the file.
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

// check returns what is wrong with the options, whatever the file is like. A number that
// nobody can have meant is an error and no default: it comes of a slip, or of a sum.
func (o *Options) check() error {
	ps := o.pageSize()
	if ps < page.MinSize || ps > page.MaxSize || ps&(ps-1) != 0 {
		return fmt.Errorf("folio: page size %d: it must be a power of two from %d to %d", ps, page.MinSize, page.MaxSize)
	}
	for _, n := range []struct {
		name  string
		value int64
	}{
		{"InitialSize", o.InitialSize}, {"MaxSize", o.MaxSize}, {"MaxDirty", o.MaxDirty},
		{"FlushInterval", int64(o.FlushInterval)}, {"FlushBytes", o.FlushBytes},
		{"SlowReaderAge", int64(o.SlowReaderAge)}, {"SlowReaderBytes", o.SlowReaderBytes},
	} {
		if n.value < 0 {
			return fmt.Errorf("folio: Options.%s is negative: %d", n.name, n.value)
		}
	}
	if least := int64(ps) * page.NumMetas; o.MaxSize > 0 && o.MaxSize < least {
		return fmt.Errorf("folio: maximum size %d: an empty database has %d bytes", o.MaxSize, least)
	}
	if o.MaxSize > 0 && o.InitialSize > o.MaxSize {
		return fmt.Errorf("folio: initial size %d, maximum size %d: they do not go together", o.InitialSize, o.MaxSize)
	}
	if o.Sharing < ShareReaders || o.Sharing > ShareNothing {
		return fmt.Errorf("folio: there is no sharing %d", o.Sharing)
	}
	if o.Verify < VerifyFirst || o.Verify > VerifyAlways {
		return fmt.Errorf("folio: there is no verify mode %d", o.Verify)
	}
	return o.Durability.check()
}

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
