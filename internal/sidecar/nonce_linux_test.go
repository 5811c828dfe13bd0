package sidecar_test

// States that last for an instant only, made to last.

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
	"github.com/foliodb/folio/internal/vfs"
)

// The bytes of the data file that stand for nonces.
const (
	nonces    = 1<<62 + 1<<32
	noncesEnd = 1<<62 + 1<<61
)

// bystander has the database open and no sidecar, and locks what it likes.
type bystander struct {
	vfs.RangeLocks
	t *testing.T
}

func newBystander(t *testing.T, path string) *bystander {
	data, err := openData(path)
	require.NoError(t, err)
	t.Cleanup(func() { _ = data.Close() })
	return &bystander{data.(vfs.RangeLocks), t}
}

func (b *bystander) nonce() int64 {
	at, held, err := b.RangeHeld(nonces, noncesEnd-nonces, true)
	require.NoError(b.t, err)
	require.True(b.t, held)
	return at
}

func (b *bystander) lock(at int64) {
	ok, err := b.TryLockRange(at, 1, false)
	require.NoError(b.t, err)
	require.True(b.t, ok)
}

func (b *bystander) unlock(at int64) { require.NoError(b.t, b.UnlockRange(at, 1)) }

// TestDyingFirst finds the nonce of a First still locked whose mutex is free already,
// as when the kernel is about to end a process.
func TestDyingFirst(t *testing.T) {
	path := dbPath(t)
	b := newBystander(t, path)
	p := start(t)
	p.must("open %s %d", path, sidecar.Reader)
	at := b.nonce()
	b.lock(at)
	p.kill()
	_, err := openWith(path, sidecar.Reader, never)
	require.ErrorIs(t, err, errHeld, "it never was ready")
	b.unlock(at)
	require.True(t, open(t, path, sidecar.Reader).First())
}

// TestDying is the same with one that was ready, which is like one that dies a little
// later.
func TestDying(t *testing.T) {
	path := dbPath(t)
	b := newBystander(t, path)
	p := start(t)
	p.must("open %s %d", path, sidecar.Reader)
	p.must("ready")
	at := b.nonce()
	b.lock(at)
	p.kill()
	h := open(t, path, sidecar.Reader)
	require.False(t, h.First())
	require.NoError(t, h.close())
	require.FileExists(t, path+"-lock")
	b.unlock(at)
	require.True(t, open(t, path, sidecar.Reader).First())
}

// TestTwoNonces has a second nonce locked, by somebody who is about to see that the
// first one is: who attaches waits, wherever the kernel looks first.
func TestTwoNonces(t *testing.T) {
	for _, before := range []bool{false, true} {
		path := dbPath(t)
		b := newBystander(t, path)
		if before {
			// In the kernel's list it is in front of those that come later, once
			// they have been locked again.
			b.lock(0)
		}
		h := openReady(t, path, sidecar.Reader)
		at := b.nonce()
		for _, other := range []int64{nonces, at - 1, at + 1, noncesEnd - 1} {
			b.lock(other)
			_, err := openWith(path, sidecar.Reader, never)
			require.ErrorIs(t, err, errHeld)
			b.unlock(other)
			require.NoError(t, openReady(t, path, sidecar.Reader).close())
		}
		require.NoError(t, h.close())
	}
}

// TestLastLeavesTheFile has somebody attach by way of another sidecar at the instant
// when the last one leaves: the file stays, and serves again.
func TestLastLeavesTheFile(t *testing.T) {
	path := dbPath(t)
	b := newBystander(t, path)
	h := openReady(t, path, sidecar.Reader)
	b.lock(noncesEnd - 1)
	require.NoError(t, h.close())
	require.FileExists(t, path+"-lock")
	_, err := openWith(path, sidecar.Reader, never)
	require.ErrorIs(t, err, sidecar.ErrReplaced)
	require.FileExists(t, path+"-lock")
	b.unlock(noncesEnd - 1)
	h = open(t, path, sidecar.Reader)
	require.True(t, h.First())
	require.NoError(t, h.close())
	require.NoFileExists(t, path+"-lock")
}

// TestCloseBehindTheMutex leaves while somebody has the mutex and does not move.
func TestCloseBehindTheMutex(t *testing.T) {
	path := dbPath(t)
	h := openReady(t, path, sidecar.SharedWriter)
	slots, err := h.Claim()
	require.NoError(t, err)
	slots[0].TxID.Store(4)
	other := openReady(t, path, sidecar.Reader)
	f, err := openData(path + "-lock")
	require.NoError(t, err)
	defer f.Close()
	m := &bystander{f.(vfs.RangeLocks), t}
	ok, err := m.TryLockRange(0, 1, true)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, h.close())
	require.Empty(t, other.Live())
	m.unlock(0)
	w := openReady(t, path, sidecar.Writer)
	require.False(t, w.First())
	require.NoError(t, other.close())

	// The last one leaves the file: somebody may just be attaching to it.
	ok, err = m.TryLockRange(0, 1, true)
	require.NoError(t, err)
	require.True(t, ok)
	require.NoError(t, w.close())
	require.FileExists(t, path+"-lock")
	m.unlock(0)
	w = openReady(t, path, sidecar.Writer)
	require.True(t, w.First())
	require.NoError(t, w.close())
	require.NoFileExists(t, path+"-lock")
}
