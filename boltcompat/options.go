package bbolt

import (
	"fmt"
	"math/bits"
	"os"
	"time"

	"github.com/foliodb/folio"
)

// Limits of keys and values.
const (
	MaxKeySize   = folio.MaxKeySize
	MaxValueSize = folio.MaxValueSize - 1 // folio takes a byte more
)

// DefaultFillPercent is what Bucket.FillPercent is at first. It means nothing: folio
// finds out by itself how full pages should be.
const DefaultFillPercent = 0.5

// FreelistType is a kind of freelist. It means nothing: folio has one kind.
type FreelistType string

// The kinds of freelist that bbolt has.
const (
	FreelistArrayType = FreelistType("array")
	FreelistMapType   = FreelistType("hashmap")
)

// Options are the options of Open. Those marked "no effect" are about something that
// folio does not have, or does anyway; README.md says more.
type Options struct {
	// Timeout is how long to wait for another process to close the file: zero
	// waits for ever, and less does not wait.
	Timeout time.Duration

	NoGrowSync      bool         // no effect
	NoFreelistSync  bool         // no effect
	PreLoadFreelist bool         // no effect
	FreelistType    FreelistType // no effect
	InitialMmapSize int          // no effect

	// ReadOnly opens the file for reading. Others may read it at the same time.
	ReadOnly bool

	// MmapFlags with MAP_POPULATE reads all of the file at Open.
	MmapFlags int

	// PageSize is the page size of a file that is created. It becomes the next
	// power of two from 4096 to 65536.
	PageSize int

	// MaxSize is the size in bytes beyond which the file does not grow. A file that
	// is larger already does not grow at all.
	MaxSize int

	// NoSync is the first value of DB.NoSync.
	NoSync bool

	// OpenFile opens the file instead of os.OpenFile.
	OpenFile func(string, int, os.FileMode) (*os.File, error)

	// Mlock keeps the file in memory.
	Mlock bool

	// Logger is told what happens to the database.
	Logger Logger

	// NoStatistics makes DB.Stats return nothing.
	NoStatistics bool
}

// DefaultOptions is what Open uses for nil.
var DefaultOptions = &Options{FreelistType: FreelistArrayType}

// String lists the options that are about more than this process, for logs.
func (o *Options) String() string {
	if o == nil {
		return "{}"
	}
	return fmt.Sprintf("{Timeout: %s, NoGrowSync: %t, NoFreelistSync: %t, PreLoadFreelist: %t, FreelistType: %s, "+
		"ReadOnly: %t, MmapFlags: %x, InitialMmapSize: %d, PageSize: %d, MaxSize: %d, NoSync: %t, OpenFile: %p, "+
		"Mlock: %t, Logger: %p, NoStatistics: %t}",
		o.Timeout, o.NoGrowSync, o.NoFreelistSync, o.PreLoadFreelist, o.FreelistType, o.ReadOnly, o.MmapFlags,
		o.InitialMmapSize, o.PageSize, o.MaxSize, o.NoSync, o.OpenFile, o.Mlock, o.Logger, o.NoStatistics)
}

// Page sizes that folio's files can have.
const (
	minPageSize = 4096
	maxPageSize = 65536
)

// pageSize returns the page size for a new file when n was asked for; zero leaves it
// to folio.
func pageSize(n int) int {
	if n <= 0 {
		return 0
	}
	return min(max(1<<bits.Len(uint(n-1)), minPageSize), maxPageSize)
}
