package sidecar

// This file is responsible for looking at mapped bytes as structs of atomics, which
// is what needs package unsafe, and nothing else here does. It is sound because
//
//	U1  the structs consist of atomic words of 64 bits and padding: every pattern of
//	    bits is a value, and there are no pointers that the collector should see;
//	U2  a mapping begins at a page of the kernel and all offsets are multiples of
//	    the struct's alignment, so the words are aligned, on 32-bit processors too;
//	U3  the bounds are checked against the mapping, which is outside the heap, does
//	    not move, and lives as long as the Sidecar;
//	U4  the atomics of package sync/atomic are single instructions of the processor
//	    on words in memory, and mean the same to another process that has the memory
//	    mapped elsewhere, if its words are as wide and in the same order: mark sees
//	    to that.

import "unsafe"

// overlay returns the T that is at off in mapped bytes.
func overlay[T header | metaWords | block | [ringEntries]ringEntry](b []byte, off int) *T {
	b = b[off:]
	_ = b[unsafe.Sizeof(*new(T))-1]
	return (*T)(unsafe.Pointer(unsafe.SliceData(b)))
}

// address returns where mapped bytes are.
func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// The sizes that all of this rests on: a difference does not compile.
var (
	_ [0]byte = [unsafe.Sizeof(Slot{}) - 64]byte{}
	_ [0]byte = [unsafe.Sizeof(block{}) - pageSize]byte{}
	_ [0]byte = [unsafe.Sizeof(metaWords{}) - pageSize]byte{}
	_ [0]byte = [unsafe.Sizeof(ringEntry{}) - 16]byte{}
	_ [0]byte = [unsafe.Sizeof(label{}) - labelSize]byte{}
	_ [0]byte = [unsafe.Offsetof(header{}.ready) - labelSize]byte{}
	_ [0]byte = [unsafe.Offsetof(header{}.seq) - 64]byte{}
	_ [0]byte = [unsafe.Offsetof(header{}.ring) - 3*64]byte{}
	_ [0]byte = [unsafe.Offsetof(header{}.counters) - 4*64]byte{}
)
