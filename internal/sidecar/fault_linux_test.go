package sidecar_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

func skipEmulated(t *testing.T) {
	if os.Getenv("FOLIO_EMULATED") != "" {
		t.Skip("the emulator does not say which address has faulted")
	}
}

// TestFault cuts the file off, so that every page of the mapping faults, and calls
// everything: nothing may end the process, and the handle says what has become of it.
func TestFault(t *testing.T) { // H1, H2
	skipEmulated(t)
	path := dbPath(t)
	a := openReady(t, path, sidecar.Writer)
	slots, err := a.Claim()
	require.NoError(t, err)
	slots[0].TxID.Store(7)
	require.NoError(t, a.Err())
	require.NoError(t, os.Truncate(path+"-lock", 0))

	require.Zero(t, a.Publish([]byte("meta"), 4))
	require.ErrorIs(t, a.Err(), sidecar.ErrFault)
	require.True(t, a.Failed())
	require.Zero(t, a.Seq())
	require.Zero(t, a.Read(make([]byte, 10)))
	a.Written(1, 1)
	_, ok := a.Changes(0, func(uint64, uint64) {})
	require.False(t, ok)
	a.Count(func(n *sidecar.Counters) { n.Commits.Add(1) })
	a.SetFailed()
	a.Settle(1, 2)
	_, seq, own := a.Settled()
	require.Zero(t, seq)
	require.False(t, own)
	require.Empty(t, a.Live())
	require.Empty(t, a.Processes())
	a.Retain(7, 1)
	require.False(t, a.OthersWait())
	ok, err = a.TryLockTx()
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, a.UnlockTx())
	require.NoError(t, a.LockTx(context.Background()))
	require.NoError(t, a.UnlockTx())
	require.False(t, a.Guard(func() { slots[0].TxID.Store(8) }))
	require.Panics(t, func() { a.Guard(func() { panic("of another kind") }) })
	var elsewhere *int
	require.Panics(t, func() { a.Guard(func() { *elsewhere = 1 }) }, "a fault somewhere else")
	other, err := unix.Mmap(-1, 0, 4096, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE)
	require.NoError(t, err)
	require.Panics(t, func() { a.Guard(func() { other[0] = 1 }) }, "in another mapping")
	require.NoError(t, unix.Munmap(other))
	require.NoError(t, a.Close())
}

// TestFaultIsTold: whoever must not write any more hears of it before the call returns,
// and once.
func TestFaultIsTold(t *testing.T) { // H2
	skipEmulated(t)
	told := 0
	path := dbPath(t)
	data, err := vfs.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	defer data.Close()
	s, err := sidecar.Open(data, path, sidecar.Options{Role: sidecar.Writer, OnFault: func(err error) {
		require.ErrorIs(t, err, sidecar.ErrFault)
		told++
	}})
	require.NoError(t, err)
	require.NoError(t, s.Ready())
	require.NoError(t, os.Truncate(path+"-lock", 0))
	s.Live()
	require.Equal(t, 1, told)
	s.Live()
	require.Equal(t, 1, told)
	require.NoError(t, s.Close())
}
