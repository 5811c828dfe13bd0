// Package disk makes block devices whose every write and flush is seen: a file that
// this process serves through FUSE, and a loop device on it, with a real file system
// of the kernel on top. What was written is logged (Recorder), and from the log the
// disk is rebuilt as a power cut at any instant may have left it (Cutter).
//
// The process that serves the file must not use the file system on it: it would wait
// for itself, at the latest when its garbage collector has to wait for a page fault.
// Workers and checkers are processes of their own.
package disk
