package vfs

import "runtime"

// FaultAddr returns the address that was touched in vain if r, which was recovered, is the
// panic of that: the system could not supply a page of a mapping, and
// debug.SetPanicOnFault was on.
func FaultAddr(r any) (addr uintptr, ok bool) {
	fault, ok := r.(interface {
		runtime.Error
		Addr() uintptr
	})
	if !ok {
		return 0, false
	}
	return fault.Addr(), true
}
