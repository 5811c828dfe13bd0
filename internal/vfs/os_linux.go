package vfs

import (
	"errors"
	"io"
	"strconv"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// maxIovecs is the most buffers that one pwritev takes (UIO_MAXIOV).
const maxIovecs = 1024

func publish(tmp, name string) error {
	err := retryEINTR(func() error {
		return unix.Renameat2(unix.AT_FDCWD, tmp, unix.AT_FDCWD, name, unix.RENAME_NOREPLACE)
	})
	if err == unix.EINVAL || err == unix.ENOSYS {
		// The file system or the kernel lacks the flag.
		return linkPublish(tmp, name)
	}
	return err
}

func (f *osFile) WriteVecAt(bufs [][]byte, off int64) error {
	return f.control("pwritev", func(fd uintptr) error {
		return writeVec(func(batch [][]byte, off int64) (int, error) {
			return unix.Pwritev(int(fd), batch, off)
		}, bufs, off)
	})
}

// writeVec calls pwritev until all is written. A call may write less than it is
// given; the next one starts in the middle of a buffer then.
func writeVec(pwritev func([][]byte, int64) (int, error), bufs [][]byte, off int64) error {
	done := 0 // bytes of bufs[0] that are written
	for {
		for len(bufs) > 0 && done >= len(bufs[0]) {
			done -= len(bufs[0])
			bufs = bufs[1:]
		}
		if len(bufs) == 0 {
			return nil
		}
		batch := bufs[:min(len(bufs), maxIovecs)]
		if done > 0 {
			batch = append([][]byte(nil), batch...)
			batch[0] = batch[0][done:]
		}
		n, err := pwritev(batch, off)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n <= 0 {
			return io.ErrShortWrite
		}
		off += int64(n)
		done += n
	}
}

// Sync is fdatasync, which spares the journal commit that fsync makes for the
// modification time. A call that a signal interrupts is made again, as
// os.File.Sync does: it has reported nothing yet.
func (f *osFile) Sync() error {
	return f.control("fdatasync", func(fd uintptr) error {
		return retryEINTR(func() error { return unix.Fdatasync(int(fd)) })
	})
}

func (f *osFile) ReadCached(b []byte, off int64) (ok bool) {
	err := f.control("preadv2", func(fd uintptr) error {
		n, err := unix.Preadv2(int(fd), [][]byte{b}, off, unix.RWF_NOWAIT)
		ok = n == len(b)
		return err
	})
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) {
		return readCached(f.f, b, off) // not on this file system (tmpfs), or kernel
	}
	return ok
}

func (f *osFile) StartWrite(off, length int64) error {
	return f.control("sync_file_range", func(fd uintptr) error {
		err := unix.SyncFileRange(int(fd), off, length, unix.SYNC_FILE_RANGE_WRITE)
		switch err {
		case unix.ENOSYS, unix.EOPNOTSUPP, unix.EINVAL, unix.ESPIPE, unix.EPERM, unix.EINTR, unix.EAGAIN:
			return nil // there is no such call here, or nothing has happened: Sync does it all
		}
		return err
	})
}

func (f *osFile) DropCache(off, length int64) error {
	return f.control("fadvise", func(fd uintptr) error {
		return retryEINTR(func() error {
			return unix.Fadvise(int(fd), off, length, unix.FADV_DONTNEED)
		})
	})
}

// reopen opens the file of fd once more, for reading only, whatever it is called by now.
// It returns false if that cannot be done, or fd is for reading only itself.
func reopen(fd int) (reader int, ok bool) {
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
		return 0, false
	}
	err = retryEINTR(func() error {
		reader, err = unix.Open("/proc/self/fd/"+strconv.Itoa(fd), unix.O_RDONLY|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return 0, false
	}
	var is, was unix.Stat_t // who knows what is mounted there
	if unix.Fstat(reader, &is) != nil || unix.Fstat(fd, &was) != nil || is.Dev != was.Dev || is.Ino != was.Ino {
		_ = unix.Close(reader)
		return 0, false
	}
	return reader, true
}

func (f *osFile) MapWritable(length int64) (Mapping, error) {
	return f.mmap(length, unix.PROT_READ|unix.PROT_WRITE)
}

// fetch has the system begin to read b and nothing else, if it has to. A fault, and populate,
// finds the pages on their way then, and has no cause to guess what will be needed besides. It
// is advice, unlike MADV_RANDOM without consequences for how long the pages stay.
func fetch(b []byte) { _ = unix.Madvise(b, unix.MADV_WILLNEED) }

// populateMissing remembers that the kernel is older than 5.14, which has no
// MADV_POPULATE_READ.
var populateMissing atomic.Bool

// populate returns EFAULT or EHWPOISON where a load would raise SIGBUS. Unlike a
// page fault, the call gives up its P while the device works.
func populate(b []byte) error {
	if populateMissing.Load() {
		return nil
	}
	err := retryEINTR(func() error { return unix.Madvise(b, unix.MADV_POPULATE_READ) })
	if err == unix.EINVAL {
		populateMissing.Store(true)
		return nil
	}
	return err
}
