package folio

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// TestClock: the time of day is looked at again when the last look is long ago.
func TestClock(t *testing.T) {
	var c clock
	before := c.now()
	require.NotZero(t, before)
	old := time.Now().Add(-time.Hour)
	c.base.Store(&old)
	c.now()
	require.NotSame(t, &old, c.base.Load())
	soon := time.Now().Add(time.Hour)
	c.base.Store(&soon)
	require.Less(t, c.now(), soon.UnixNano())
	require.Same(t, &soon, c.base.Load())
}
