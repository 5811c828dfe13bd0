package main

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// newMeter returns a meter for the device that path is on.
func newMeter(path string) meter {
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return meter{}
	}
	return meter{fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(st.Dev), unix.Minor(st.Dev))}
}

// dropCache makes the system forget the pages of a file.
func dropCache(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Sync(); err != nil {
		return err
	}
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}

// flush makes durable what was written to f.
func flush(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }

// cpuTime returns the nanoseconds of processor that this process has used.
func cpuTime() float64 {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return float64(u.Utime.Nano() + u.Stime.Nano())
}
