package vfs

import (
	"errors"
	"io/fs"
	"math"
	"os"
)

// This file holds what is the same on every operating system; the os_*.go files
// hold the rest: publish, syncDir, isNoSpace, osLock, and the methods of osFile
// that are missing here.

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm fs.FileMode) (File, error) {
	// Before it is opened: with a pipe, that would wait for its other end.
	if info, err := os.Stat(name); err == nil {
		if err := CheckMode(name, info.Mode()); err != nil {
			return nil, err
		}
	}
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &osFile{f: f}, nil
}

// errNotRegular is for what has a name, but cannot be read and written like a file.
var errNotRegular = errors.New("not a regular file: copy what is in it into one first")

// CheckMode returns an error if a file of that mode is a pipe, a socket or a device.
// Of directories the system says so itself; and what Windows calls irregular, such as
// files that are kept elsewhere, can be a file all the same.
func CheckMode(name string, mode fs.FileMode) error {
	if mode&(fs.ModeNamedPipe|fs.ModeSocket|fs.ModeDevice|fs.ModeCharDevice) != 0 {
		return &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	return nil
}

func (osFS) Publish(tmp, name string) error {
	if err := publish(tmp, name); err != nil {
		return &os.LinkError{Op: "publish", Old: tmp, New: name, Err: err}
	}
	return nil
}

func (osFS) Remove(name string) error { return os.Remove(name) }

func (osFS) SyncDir(dir string) error { return syncDir(dir) }

// linkPublish publishes by a hard link, which never replaces a file.
func linkPublish(tmp, name string) error {
	if err := os.Link(tmp, name); err != nil {
		return err
	}
	return os.Remove(tmp)
}

// IsOS tells whether f is a file of OS, not one that is wrapped around it.
func IsOS(f File) bool {
	_, ok := f.(*osFile)
	return ok
}

// osFile is a File of the operating system.
type osFile struct {
	f *os.File
	//lint:ignore U1000 Windows keeps a state here.
	lock osLock
}

func (f *osFile) ReadAt(b []byte, off int64) (int, error)  { return f.f.ReadAt(b, off) }
func (f *osFile) WriteAt(b []byte, off int64) (int, error) { return f.f.WriteAt(b, off) }
func (f *osFile) Truncate(size int64) error                { return f.f.Truncate(size) }
func (f *osFile) Name() string                             { return f.f.Name() }
func (f *osFile) Close() error                             { return f.f.Close() }

func (f *osFile) Size() (int64, error) {
	info, err := f.f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// control calls fn with the descriptor, which stays open for that long even if
// another goroutine closes the file.
func (f *osFile) control(op string, fn func(fd uintptr) error) error {
	raw, err := f.f.SyscallConn()
	if err == nil {
		var fnErr error
		if err = raw.Control(func(fd uintptr) { fnErr = fn(fd) }); err == nil {
			err = fnErr
		}
	}
	if err != nil {
		return &fs.PathError{Op: op, Path: f.f.Name(), Err: err}
	}
	return nil
}

// checkMapLength returns an error for lengths that cannot be the length of a
// slice, before they are turned into an int.
func (f *osFile) checkMapLength(length int64) error {
	switch {
	case length <= 0:
		return &fs.PathError{Op: "map", Path: f.f.Name(), Err: errRange}
	case length > math.MaxInt:
		return &fs.PathError{Op: "map", Path: f.f.Name(), Err: errTooLong}
	}
	return nil
}
