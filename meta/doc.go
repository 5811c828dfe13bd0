// Package meta turns meta pages into values and back, and decides which of the
// two meta pages of a file holds.
//
// It is part of folio and carries no compatibility promise: only the root
// package should import it. Its functions are pure: no I/O, no state.
//
// A file starts with two meta pages, slots 0 and 1. Each describes a whole
// commit. A commit overwrites the slot that does not hold the newest durable
// one, so that there is always a commit to fall back to. [Layout] lists the
// fields and choose.go has the rules of recovery.
package meta
