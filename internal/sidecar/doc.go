// Package sidecar is the file beside a database (FILE-lock) by which those who
// have the database open know of each other: which snapshots they read, what the
// newest one is, and whose turn it is to write. Two handles in one process are two
// of them, as if they were in two processes.
//
// The file is shared memory with a name. All map it, and change it by atomic
// operations and under locks of single bytes, of the file itself and of the
// database; the kernel drops the locks of who dies. Nothing in it outlives the last
// one to be attached, who removes it. Nothing of it is ever synced.
//
// It needs locks of open file handles and a mapping that is written to and follows
// the file's growth: on other systems than Linux Open returns errors.ErrUnsupported.
package sidecar
