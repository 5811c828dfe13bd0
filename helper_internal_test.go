package folio

import (
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestHelper: a job is done once or, if the helper comes too late, never; when it has
// been ended nothing of it happens any more. The pauses are such that the helper is
// there, is leaving, and is gone.
func TestHelper(t *testing.T) {
	var h helper
	done := 0
	for i := range 5000 {
		calls, ended := 0, atomic.Bool{}
		j := h.offer(func() {
			calls++
			if i%3 == 0 {
				runtime.Gosched()
			}
			if ended.Load() {
				panic("done when it had ended")
			}
		})
		for range i % 200 * 20 {
			if j.ended() {
				break
			}
		}
		h.end(j)
		ended.Store(true)
		require.LessOrEqual(t, calls, 1)
		require.Equal(t, calls == 1, j.ended())
		done += calls
		if i%50 == 0 {
			time.Sleep(time.Duration(i%3) * linger)
		}
	}
	t.Logf("%d of 5000 were done", done)
}

// TestHelperComes: what is offered to a helper that is leaving is done.
func TestHelperComes(t *testing.T) {
	var h helper
	for i := range 500 {
		j := h.offer(func() {})
		<-j.done
		for start := time.Now(); time.Since(start) < linger-10*time.Microsecond+time.Duration(i%20)*time.Microsecond; {
			runtime.Gosched()
		}
	}
}
