// Package vfs is the seam between folio and the operating system: the handful
// of file operations that a database needs, as interfaces, so that a simulated
// disk can stand in for the kernel.
//
// OS returns the real thing; NewMem returns a file system on the heap, where
// the race detector and checkptr see every byte that a mapping hands out. The
// suite in vfstest holds all implementations to the same behaviour, so that a
// fake cannot be kinder than the system; faultfs makes calls fail on demand.
//
// Mappings of real files need a page cache that is shared with positioned
// writes. Linux, macOS, FreeBSD, NetBSD, DragonFly and Windows have one; on
// every other system the package builds, and Map returns errors.ErrUnsupported.
package vfs
