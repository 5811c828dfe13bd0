package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// This file holds the contract; implementations do not repeat it.

// errTooLong is returned for a mapping that no address space can hold.
var errTooLong = errors.New("cannot allocate memory: the mapping is too long")

// errRange is returned for offsets and lengths outside a mapping or below zero.
var errRange = errors.New("offset or length out of range")

// FS opens and names files. All methods may be called concurrently.
type FS interface {
	// OpenFile opens a file as os.OpenFile does. O_APPEND is not supported, nor is
	// what CheckMode refuses.
	OpenFile(name string, flag int, perm fs.FileMode) (File, error)
	// Publish gives the file tmp the name name, atomically, and takes the name
	// tmp away. It returns an error that is fs.ErrExist, and changes nothing,
	// when name exists already. Nothing is durable before SyncDir. After any
	// other error both names can exist. Windows refuses to rename open files:
	// close tmp first where that matters.
	Publish(tmp, name string) error
	// Remove removes the name of a file; handles that are open stay usable,
	// except on Windows, where it fails while there are any.
	Remove(name string) error
	// SyncDir makes the names in a directory durable. It does nothing where
	// directories cannot be synced (Windows).
	SyncDir(dir string) error
}

// File is an open file. All methods may be called concurrently, but the bytes
// that concurrent writes touch must not overlap, and Close must come last.
// Nothing but Sync makes anything durable.
type File interface {
	// ReadAt returns io.EOF with the bytes there are when the file ends early.
	io.ReaderAt
	// WriteAt makes the file longer when needed; a gap reads as zeros.
	io.WriterAt
	// WriteVecAt writes the buffers one behind the other, the first byte at
	// off. It returns nil when everything is written. After an error any part
	// can be. It does not change or keep bufs.
	WriteVecAt(bufs [][]byte, off int64) error
	// Truncate sets the length of the file. New bytes read as zeros.
	Truncate(size int64) error
	// Size returns the length of the file in bytes.
	Size() (int64, error)
	// Sync makes the file's data durable, with the metadata needed to read it
	// (its length), stores through MapWritable included. After an error the
	// state of everything written since the last success is unknown, and a
	// second call can return nil without having repaired anything.
	Sync() error
	// ReadCached reads all of b if that needs no look at the device, and tells
	// whether it has. Where the system cannot tell, it may look.
	ReadCached(b []byte, off int64) bool
	// StartWrite asks the system to begin writing what is dirty in the range to
	// the device, and does not wait. Only Sync makes it durable, and reports what goes
	// wrong on the device; but where the file system cannot even begin, as ext4 without a
	// place for the bytes, it may throw them away, tell only who has asked it to begin,
	// and let a later Sync succeed. So after an error the range has to be taken for lost.
	StartWrite(off, length int64) error
	// DropCache asks that later reads of the range come from the device. It is
	// advice: dirty bytes and bytes that some process has mapped and touched
	// stay cached. A length of zero means to the end of the file.
	DropCache(off, length int64) error
	// TryLock takes an advisory lock on the whole file and does not wait; ok is
	// false when another handle, in this process or elsewhere, is in the way.
	// The lock dies with the handle. Asking again changes the kind of lock, not
	// atomically; when that fails, the first lock may be lost.
	TryLock(exclusive bool) (ok bool, err error)
	// Unlock releases the lock, if there is one.
	Unlock() error
	// Map returns a read-only view of the first length bytes, shared with the
	// file: what is written there shows. Whether length can exceed the file is
	// up to the system; see Mapping.MayExceedFile. A length that the system
	// refuses is an error; a shorter one may do. Reading a byte of the view
	// that the file does not hold is a fault (SIGBUS).
	Map(length int64) (Mapping, error)
	// MapWritable returns a writable view of the first length bytes, which the
	// file must hold. Stores are seen by ReadAt at once and made durable by
	// Sync. A store that the file system cannot back (a full copy-on-write
	// disk) is a fault. It returns errors.ErrUnsupported where stores are not
	// coherent with ReadAt and Sync, which is everywhere but on Linux.
	MapWritable(length int64) (Mapping, error)
	// Name returns the name the file was opened with.
	Name() string
	// Close closes the handle and releases its lock. Mappings stay valid.
	Close() error
}

// Mapping is a view of a file in memory. All methods but Close may be called
// concurrently.
type Mapping interface {
	// Bytes returns the mapped bytes, the same slice at each call, valid until
	// Close. Its length is what was asked for.
	Bytes() []byte
	// MayExceedFile tells whether a view longer than the file is legal and
	// follows the file's growth for as long as it lives (mmap). If not, the
	// owner maps again after growth: later writes may be missing from the view
	// then, while bytes that were not written since stay as they were.
	MayExceedFile() bool
	// Populate pulls the range into memory by a system call, so that touching
	// it later neither waits for the device nor faults. It returns an error
	// where a load would fault: the file is shorter, or the device cannot read.
	// Where the system has no such call it does nothing.
	Populate(off, n int64) error
	// Fetch is Populate for a range of which hardly anything around it will be needed. The
	// system reads around what is populated, megabytes on some devices; here it does not.
	Fetch(off, n int64) error
	// Lock pins the range in memory. It returns errors.ErrUnsupported where
	// the system cannot.
	Lock(off, n int64) error
	// Close unmaps the view. Any later use of its bytes is fatal. It may be
	// called twice, not concurrently.
	Close() error
}

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

// FromOSFile adopts an open file, which must not be in append mode. Closing the
// result closes f.
func FromOSFile(f *os.File) File { return &osFile{f: f} }

// IsNoSpace reports whether err says that the disk, a quota or a limit on the
// size of files leaves no room: conditions that can pass, unlike a device that
// fails.
func IsNoSpace(err error) bool { return isNoSpace(err) }

// writeEach is WriteVecAt for systems without a vectored positioned write.
func writeEach(w io.WriterAt, bufs [][]byte, off int64) error {
	for _, b := range bufs {
		n, err := w.WriteAt(b, off)
		if err != nil {
			return err
		}
		if n < len(b) {
			return io.ErrShortWrite
		}
		off += int64(n)
	}
	return nil
}

// readCached is ReadCached for systems that cannot tell what is cached.
func readCached(r io.ReaderAt, b []byte, off int64) bool {
	n, _ := r.ReadAt(b, off)
	return n == len(b)
}

// subrange returns b[off:off+n], or false when that is outside b.
func subrange(b []byte, off, n int64) ([]byte, bool) {
	size := int64(len(b))
	if off < 0 || n < 0 || off > size || n > size-off {
		return nil, false
	}
	return b[off : off+n], true
}
