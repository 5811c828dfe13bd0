package pager

// This file is responsible for telling faults on the mapping from others.

import "reflect"

// Offset returns where in the file the address at lies; false if it is outside
// the mapping.
func (v *View) Offset(at uintptr) (int64, bool) {
	if len(v.data) == 0 {
		return 0, false
	}
	// reflect gives the address without package unsafe. Mappings do not move.
	start := reflect.ValueOf(v.data).Pointer()
	if at < start || at-start >= uintptr(len(v.data)) {
		return 0, false
	}
	return int64(at - start), true
}
