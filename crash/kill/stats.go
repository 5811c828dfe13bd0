//go:build unix

package main

import (
	"fmt"
	"sync/atomic"
	"time"
)

// stats is what has been done.
type stats struct {
	series, kills, checks, frozen, readers, outOfMemory atomic.Int64
	transactions                                        atomic.Int64 // most in one file
	checking                                            atomic.Int64 // nanoseconds
}

func (s *stats) max(v *atomic.Int64, n int64) {
	for old := v.Load(); n > old && !v.CompareAndSwap(old, n); old = v.Load() {
	}
}

func (s *stats) report(took time.Duration) string {
	kills, checks := s.kills.Load(), s.checks.Load()
	return fmt.Sprintf("%d kills in %.1f s, %.0f a second, in %d series; %d checks of %.1f ms; %d workers stopped first, %d out of memory; "+
		"%d rounds of readers; up to %d transactions in a file",
		kills, took.Seconds(), float64(kills)/took.Seconds(), s.series.Load(), checks,
		float64(s.checking.Load())/float64(max(1, checks))/1e6, s.frozen.Load(), s.outOfMemory.Load(), s.readers.Load(), s.transactions.Load())
}
