package vfs

// RangeLocks is a File that can lock ranges of bytes for its handle, which all
// files of OS do. The bytes need not be in the file: these locks are advice, and
// stand for whatever their users agree on.
//
// They belong to the handle and die with it, so they conflict between two
// handles of one process as they do between processes; a handle never conflicts
// with itself. They have nothing to do with TryLock. All methods may be called
// concurrently; offsets are not negative, and n is more than zero. Systems other
// than Linux return errors.ErrUnsupported.
type RangeLocks interface {
	// TryLockRange locks n bytes from off and does not wait; ok is false when
	// another handle is in the way. It replaces what this handle holds there,
	// which makes a shared lock exclusive or an exclusive one shared; when it
	// fails, what was held stays. An exclusive lock needs a handle that is open
	// for writing, a shared one a handle that is open for reading.
	TryLockRange(off, n int64, exclusive bool) (ok bool, err error)
	// LockRange is TryLockRange that waits, for as long as it takes, in a system
	// call that Close does not interrupt.
	LockRange(off, n int64, exclusive bool) error
	// UnlockRange releases what the handle holds of the range.
	UnlockRange(off, n int64) error
	// RangeHeld tells whether another handle has a lock in the range that an
	// exclusive (or a shared) one would have to wait for, and the first byte of
	// that lock, which is one of possibly many. It needs no access of any kind.
	RangeHeld(off, n int64, exclusive bool) (at int64, held bool, err error)
}
