package folio

// This file is responsible for what boltcompat keeps inside of folio's objects, so that
// its own need no memory: they are these by another name. The fields are exported
// because that is another module; they are embedded because they are nobody else's.

import (
	"sync/atomic"
	"time"
)

// compatDB is how boltcompat finds its database from a transaction.
type compatDB struct {
	Compat any
}

// compatTx is what bbolt's Tx has and folio's does not. With more than these two fields
// a Tx would take the next larger piece of memory, and a View more time.
type compatTx struct {
	// WriteFlag has no effect: copies are read by system calls, through the file
	// that is open.
	WriteFlag int

	Cursors atomic.Int64 // opened through boltcompat
}

// compatWriting is what only a writable one has.
type compatWriting struct {
	WriteTime time.Duration // of the commit
}

// compatBucket is what bbolt's Bucket has and folio's does not.
type compatBucket struct {
	// FillPercent has no effect: pages fill by themselves.
	FillPercent float64
}

// compatFillPercent is what bbolt's is at first.
const compatFillPercent = 0.5

// compatCursor is what bbolt's Cursor has and folio's does not.
type compatCursor struct {
	Placed bool // by a move other than Next and Prev
}
