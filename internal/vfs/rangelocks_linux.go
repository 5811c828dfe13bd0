package vfs

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// This file holds RangeLocks by the kernel's locks of open file descriptions. The
// older locks of fcntl belong to a process: it loses them when it closes any
// handle of the file, and is never in its own way.

func (f *osFile) TryLockRange(off, n int64, exclusive bool) (bool, error) {
	_, err := f.rangeLock(unix.F_OFD_SETLK, off, n, lockType(exclusive))
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return false, nil
	}
	return err == nil, err
}

func (f *osFile) LockRange(off, n int64, exclusive bool) error {
	_, err := f.rangeLock(unix.F_OFD_SETLKW, off, n, lockType(exclusive))
	return err
}

func (f *osFile) UnlockRange(off, n int64) error {
	_, err := f.rangeLock(unix.F_OFD_SETLK, off, n, unix.F_UNLCK)
	return err
}

func (f *osFile) RangeHeld(off, n int64, exclusive bool) (at int64, held bool, err error) {
	lk, err := f.rangeLock(unix.F_OFD_GETLK, off, n, lockType(exclusive))
	if err != nil || lk.Type == unix.F_UNLCK {
		return 0, false, err
	}
	return lk.Start, true, nil
}

func lockType(exclusive bool) int16 {
	if exclusive {
		return unix.F_WRLCK
	}
	return unix.F_RDLCK
}

// rangeLock makes the system call, and returns what it has written into its
// argument.
func (f *osFile) rangeLock(cmd int, off, n int64, typ int16) (lk unix.Flock_t, err error) {
	err = f.control("fcntl", func(fd uintptr) error {
		return retryEINTR(func() error {
			lk = unix.Flock_t{Type: typ, Whence: io.SeekStart, Start: off, Len: n}
			return unix.FcntlFlock(fd, cmd, &lk)
		})
	})
	return lk, err
}
