package foliotest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

var errLost = errors.New("the disk has failed")

// TestFailedSyncLoses: two pages are written, the sync of which fails and loses the
// first of each's sectors. D6 says what is seen of them when.
func TestFailedSyncLoses(t *testing.T) {
	d := NewDisk()
	d.Put("f", make([]byte, 8192))
	f, err := d.OpenFile("f", os.O_RDWR, 0)
	require.NoError(t, err)
	page := func(first, rest byte) []byte {
		return append(bytes.Repeat([]byte{first}, sector), bytes.Repeat([]byte{rest}, 4096-sector)...)
	}
	has := func(want []byte) {
		t.Helper()
		got := make([]byte, len(want))
		_, err := f.ReadAt(got, 0)
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got))
	}
	left := func(cut int) []byte {
		at := d.At(cut, 4096)
		return at.Left(Sectors, func(int) bool { return true }).Content("f")
	}
	both, lost := append(page(1, 1), page(2, 2)...), append(page(0, 1), page(0, 2)...)
	_, err = f.WriteAt(both, 0)
	require.NoError(t, err)
	d.OnSync = func() error { return errLost }
	d.Lose = func(off int64) bool { return off%4096 == 0 }
	require.ErrorIs(t, f.Sync(), errLost)
	failed := d.Events()
	has(both) // the cache
	require.Equal(t, lost, left(failed))
	require.Equal(t, both, left(failed-1), "before the sync nothing is lost")

	d.OnSync = nil
	require.NoError(t, f.Sync())
	has(both)
	require.Equal(t, lost, d.At(d.Events(), 4096).Left(Sectors, func(int) bool { return false }).Content("f"), "the rest is durable")
	require.Equal(t, lost, d.Crash(d.Events(), 4096, rand.New(rand.NewPCG(1, 1))).Content("f"))
	require.Zero(t, d.Settle())

	d.CacheUnit = 8192
	require.NoError(t, f.DropCache(0, 4096))
	has(both) // it keeps both pages together
	d.CacheUnit = 0
	require.NoError(t, f.DropCache(0, 4096))
	has(append(page(0, 1), page(2, 2)...))
	dropped := d.Events()
	d.Evict("f")
	has(lost)
	require.Equal(t, both, d.Kill(failed).Content("f"))
	require.Equal(t, append(page(0, 1), page(2, 2)...), d.Kill(dropped).Content("f"))
	require.Equal(t, lost, d.Kill(d.Events()).Content("f"))

	// What is written again is to be written, and there after the next sync.
	_, err = f.WriteAt(page(3, 3), 4096)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	d.Evict("f")
	has(append(page(0, 1), page(3, 3)...))
}
