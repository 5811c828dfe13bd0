package main

// This file is responsible for counting work: at the device, at the border to the
// kernel, and in the heap.

import (
	"encoding/binary"
	"os"
	"runtime"
	"strconv"
	"strings"
)

var le = binary.LittleEndian

// counts are counters at one time, or the difference of two times.
type counts struct {
	flushes  float64 // of the device
	requests float64 // writes that the device was sent
	kib      float64 // that these wrote
	calls    float64 // system calls that wrote
	allocs   float64 // on the heap
	bytes    float64 // of these
	cpu      float64 // nanoseconds of processor, all threads
}

// meter reads the counters. The device's are those of all processes.
type meter struct{ stat string } // the file with them, or ""

func (m meter) read() counts {
	var c counts
	// See Documentation/block/stat.rst: the 5th field is writes, the 7th sectors
	// written, the 16th flushes.
	if b, err := os.ReadFile(m.stat); err == nil {
		if f := strings.Fields(string(b)); len(f) > 15 {
			c.requests, c.kib, c.flushes = number(f[4]), number(f[6])/2, number(f[15])
		}
	}
	if b, err := os.ReadFile("/proc/self/io"); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "syscw: "); ok {
				c.calls = number(strings.TrimSpace(v))
			}
		}
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	c.cpu = cpuTime()
	c.allocs, c.bytes = float64(ms.Mallocs), float64(ms.TotalAlloc)
	return c
}

func number(s string) float64 {
	v, _ := strconv.ParseFloat(s, 64)
	return v
}

// since returns what happened between old and c, by n.
func (c counts) since(old counts, n int) counts {
	f := 1 / float64(n)
	return counts{
		(c.flushes - old.flushes) * f, (c.requests - old.requests) * f, (c.kib - old.kib) * f,
		(c.calls - old.calls) * f, (c.allocs - old.allocs) * f, (c.bytes - old.bytes) * f,
		(c.cpu - old.cpu) * f,
	}
}
