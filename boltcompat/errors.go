package bbolt

import "go.etcd.io/bbolt/errors"

// Errors of opening a database.
//
// Deprecated: use those of the package errors.
var (
	ErrDatabaseNotOpen = errors.ErrDatabaseNotOpen
	ErrInvalid         = errors.ErrInvalid
	ErrInvalidMapping  = errors.ErrInvalidMapping
	ErrVersionMismatch = errors.ErrVersionMismatch
	ErrChecksum        = errors.ErrChecksum
	ErrTimeout         = errors.ErrTimeout
)

// Errors of transactions.
//
// Deprecated: use those of the package errors.
var (
	ErrTxNotWritable      = errors.ErrTxNotWritable
	ErrTxClosed           = errors.ErrTxClosed
	ErrDatabaseReadOnly   = errors.ErrDatabaseReadOnly
	ErrFreePagesNotLoaded = errors.ErrFreePagesNotLoaded
)

// Errors of keys, values and buckets.
//
// Deprecated: use those of the package errors.
var (
	ErrBucketNotFound     = errors.ErrBucketNotFound
	ErrBucketExists       = errors.ErrBucketExists
	ErrBucketNameRequired = errors.ErrBucketNameRequired
	ErrKeyRequired        = errors.ErrKeyRequired
	ErrKeyTooLarge        = errors.ErrKeyTooLarge
	ErrValueTooLarge      = errors.ErrValueTooLarge
	ErrIncompatibleValue  = errors.ErrIncompatibleValue
)
