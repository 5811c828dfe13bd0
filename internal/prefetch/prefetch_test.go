package prefetch

import "testing"

// TestLines: any slice will do, and nothing is changed.
func TestLines(t *testing.T) {
	Lines(nil)
	b := make([]byte, 4096)
	for _, n := range []int{0, 1, 63, 64, 65, 4095, 4096} {
		Lines(b[:n])
		Lines(b[len(b)-n:])
	}
	for i, c := range b {
		if c != 0 {
			t.Fatalf("byte %d has changed", i)
		}
	}
}
