//go:build !linux

package vfs

import "errors"

// This file says that there are no RangeLocks, and that nothing is known of the file
// system.

func (f *osFile) TryLockRange(off, n int64, exclusive bool) (bool, error) {
	return false, errors.ErrUnsupported
}

func (f *osFile) LockRange(off, n int64, exclusive bool) error { return errors.ErrUnsupported }
func (f *osFile) UnlockRange(off, n int64) error               { return errors.ErrUnsupported }

func (f *osFile) RangeHeld(off, n int64, exclusive bool) (int64, bool, error) {
	return 0, false, errors.ErrUnsupported
}

// OnNetwork is NetworkFile.
func (f *osFile) OnNetwork() bool   { return false }
func (f *osFile) overwriteInPlace() {}
