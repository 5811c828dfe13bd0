package folio

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Goal: the token waits for those who come back from a flush, and for nobody else.
// Method: the calls that transactions make, one after the other; the timer is set to an
// hour, and what it would do is called by hand.

func newMember() *member { return &member{signal: make(chan signal, 2)} }

func endFlush(f *flushToken, members int) {
	f.begun()
	f.flushed(members, time.Hour)
	f.release()
}

func TestGatherAll(t *testing.T) {
	var f flushToken
	require.True(t, f.join(newMember()), "the first one leads")
	f.begun()
	b, c := newMember(), newMember()
	require.False(t, f.join(b))
	require.False(t, f.join(c))
	f.flushed(1, time.Hour)
	f.release()
	require.Empty(t, b.signal, "two wait for the one that was let go")
	require.True(t, f.join(newMember()), "which completes the group")
	endFlush(&f, 3)
	require.False(t, f.join(newMember()))
	require.False(t, f.join(newMember()))
	require.True(t, f.join(newMember()))
	endFlush(&f, 0)
	require.True(t, f.join(newMember()), "nothing was flushed: nobody is awaited")
}

func TestGatherAlone(t *testing.T) {
	var f flushToken
	for range 3 {
		require.True(t, f.join(newMember()))
		endFlush(&f, 1)
	}
}

func TestGatherLate(t *testing.T) {
	var f flushToken
	require.True(t, f.join(newMember()))
	endFlush(&f, 2)
	a := newMember()
	require.False(t, f.join(a))
	f.gathered()
	require.Equal(t, lead, <-a.signal)
	require.True(t, f.accept(a))
	f.gathered() // a timer that was stopped too late
	endFlush(&f, 2)
	require.True(t, f.join(newMember()), "not awaited again at once")
	endFlush(&f, 2)
	require.False(t, f.join(newMember()), "but the next time")
	f.take(true)
	endFlush(&f, 2)
	f.gathered()
	require.True(t, f.join(newMember()), "nobody came")
}

func TestGatherTaken(t *testing.T) {
	var f flushToken
	require.True(t, f.join(newMember()))
	endFlush(&f, 5)
	f.take(false) // at once
	f.release()
	require.True(t, f.join(newMember()))
}
