package sidecar_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
)

// benchPair opens a writer and a reader that has a slot in use.
func benchPair(b *testing.B) (w, r *handle) {
	path := b.TempDir() + "/db"
	var pair [2]*handle
	for i, role := range []sidecar.Role{sidecar.Writer, sidecar.Reader} {
		h, err := openWith(path, role, patient())
		require.NoError(b, err)
		b.Cleanup(func() { _ = h.close() })
		require.NoError(b, h.Ready())
		pair[i] = h
	}
	slots, err := pair[1].Claim()
	require.NoError(b, err)
	slots[0].TxID.Store(1)
	return pair[0], pair[1]
}

func BenchmarkPublish(b *testing.B) {
	w, _ := benchPair(b)
	meta := make([]byte, sidecar.MetaSize)
	for i := 0; b.Loop(); i++ {
		meta[8*(i%16)]++
		w.Publish(meta, len(meta))
	}
}

func BenchmarkRead(b *testing.B) {
	w, r := benchPair(b)
	meta := make([]byte, sidecar.MetaSize)
	w.Publish(meta, len(meta))
	for b.Loop() {
		r.Read(meta)
	}
}

func BenchmarkLive(b *testing.B) {
	w, _ := benchPair(b)
	for b.Loop() {
		w.Live()
	}
}

func BenchmarkWritten(b *testing.B) {
	w, _ := benchPair(b)
	for b.Loop() {
		w.Written(1, 10)
	}
}

func BenchmarkTryLockTx(b *testing.B) {
	path := b.TempDir() + "/db"
	h, err := openWith(path, sidecar.SharedWriter, patient())
	require.NoError(b, err)
	defer h.close()
	for b.Loop() {
		if ok, err := h.TryLockTx(); !ok || err != nil {
			b.Fatal(ok, err)
		}
		if err := h.UnlockTx(); err != nil {
			b.Fatal(err)
		}
	}
}
