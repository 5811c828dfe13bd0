package sidecar

// This file is responsible for loads and stores of the mapping that the system cannot
// serve. The disk fails; the file system has shut itself down, or is a copy-on-write
// one and full; somebody cuts the file off. Then the processor faults, which must not
// end the process.
//
// H1  Whatever touches the mapping runs in Guard. The caller gets what a lock file says
//     that knows nothing, and Err tells why.
// H2  From then on this handle has failed, as after SetFailed, and OnFault has been told
//     before the call returns: who has not seen all readers, or could not say what it
//     has published, must not write.
// H3  A slot that could not be freed stays taken as long as the handle lives. Its block
//     is freed by the others afterwards, for its lock is gone (B3).

import (
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/foliodb/folio/internal/vfs"
)

// ErrFault is what Err returns, wrapped.
var ErrFault = errors.New("a page of the lock file cannot be read or written: the disk is failing or full, its " +
	"file system has shut down, or the file was cut off: close the database in all processes")

// Guard runs fn, which uses slots, and tells whether it came to its end.
func (s *Sidecar) Guard(fn func()) (ok bool) {
	old := debug.SetPanicOnFault(true)
	defer func() {
		debug.SetPanicOnFault(old)
		if ok {
			return
		}
		if r := recover(); r != nil {
			if !s.faulted(r) {
				panic(r)
			}
			s.fault()
		}
	}()
	fn()
	return true
}

// faulted tells whether the recovered panic r is a fault on the mapping.
func (s *Sidecar) faulted(r any) bool {
	at, ok := vfs.FaultAddr(r)
	return ok && at-address(s.bytes) < uintptr(len(s.bytes))
}

// fault is H2.
func (s *Sidecar) fault() {
	if !s.broken.Swap(true) && s.onFault != nil {
		s.onFault(s.Err())
	}
}

// Err returns why the handle can no longer be relied on, or nil.
func (s *Sidecar) Err() error {
	if s.broken.Load() {
		return fmt.Errorf("%s: %w", s.name, ErrFault)
	}
	return nil
}
