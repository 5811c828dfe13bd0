package sidecar_test

import (
	"encoding/binary"
	"errors"
	"hash/crc64"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
)

var (
	errMissed = errors.New("a slot in use was not seen, or a free one was")
	errTorn   = errors.New("a torn meta")
)

func contains(list []uint64, v uint64) bool { return slices.Contains(list, v) }

var table = crc64.MakeTable(crc64.ECMA)

// fillMeta makes a meta that holds n, noise, and their checksum.
func fillMeta(b []byte, n uint64) {
	binary.LittleEndian.PutUint64(b, n)
	for i := 8; i+8 < len(b); i += 8 {
		binary.LittleEndian.PutUint64(b[i:], n*uint64(i)*0x9e3779b97f4a7c15)
	}
	binary.LittleEndian.PutUint64(b[len(b)-8:], crc64.Checksum(b[:len(b)-8], table))
}

// checkMeta returns what fillMeta put in.
func checkMeta(b []byte) (n uint64, err error) {
	if crc64.Checksum(b[:len(b)-8], table) != binary.LittleEndian.Uint64(b[len(b)-8:]) {
		return 0, errTorn
	}
	return binary.LittleEndian.Uint64(b), nil
}

func TestPublish(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.Writer), openReady(t, path, sidecar.Reader)
	dst := []byte("as it was")
	require.Zero(t, b.Read(dst))
	require.Equal(t, "as it was", string(dst))
	for n := uint64(1); n < 100; n++ {
		meta := make([]byte, 1+rand.IntN(sidecar.MetaSize))
		for i := range meta {
			meta[i] = byte(rand.Uint32())
		}
		require.Equal(t, n, a.Publish(meta, len(meta)))
		got := make([]byte, len(meta))
		require.Equal(t, n, b.Read(got))
		require.Equal(t, meta, got)
		require.Equal(t, n, b.Seq())
	}
	long := make([]byte, 2*sidecar.MetaSize)
	a.Publish(slices.Repeat([]byte{7}, sidecar.MetaSize), sidecar.MetaSize)
	b.Read(long)
	require.Equal(t, slices.Repeat([]byte{7}, sidecar.MetaSize), long[:sidecar.MetaSize])
	require.Equal(t, make([]byte, sidecar.MetaSize), long[sidecar.MetaSize:])
	require.Panics(t, func() { a.Publish(long, len(long)) })
}

// TestNoTornMeta reads while another handle publishes as fast as it can.
func TestNoTornMeta(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.Writer), openReady(t, path, sidecar.Reader)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		meta := make([]byte, sidecar.MetaSize)
		for n := uint64(1); ; n++ {
			fillMeta(meta, n)
			a.Publish(meta, len(meta))
			select {
			case <-stop:
				return
			default:
			}
		}
	}()
	reads := 20000
	if testing.Short() {
		reads = 2000
	}
	meta := make([]byte, sidecar.MetaSize)
	var last uint64
	for i := 0; i < reads; {
		seq := b.Read(meta)
		if seq == 0 {
			continue
		}
		i++
		n, err := checkMeta(meta)
		require.NoError(t, err)
		require.Equal(t, seq, n)
		require.GreaterOrEqual(t, n, last)
		last = n
	}
	close(stop)
	<-stopped
}

func TestChanges(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.Writer), openReady(t, path, sidecar.Reader)
	pos, ok := b.Changes(math.MaxUint64, nil)
	require.False(t, ok)
	require.Zero(t, pos)
	var noted uint64
	for range 200 {
		count := rand.Uint64N(200)
		noteNumbered(a, noted, count)
		var got uint64
		pos, ok = b.Changes(pos, func(start, n uint64) {
			require.Equal(t, noted+got, start)
			require.Equal(t, ^start, n)
			got++
		})
		require.True(t, ok)
		require.Equal(t, count, got)
		noted += count
	}

	// Nearly a round is kept; what is more is lost, and said to be.
	noteNumbered(a, noted, 4000)
	now, ok := b.Changes(pos, func(_, _ uint64) {})
	require.True(t, ok)
	require.Equal(t, pos+4000, now)
	noteNumbered(a, 0, 4097-4000)
	now, ok = b.Changes(pos, func(_, _ uint64) {})
	require.False(t, ok)
	now, ok = b.Changes(now, func(_, _ uint64) { require.Fail(t, "nothing is new") })
	require.True(t, ok)
	noteNumbered(a, 0, 3*4096)
	_, ok = b.Changes(now, func(_, _ uint64) {})
	require.False(t, ok)
}

// TestChangesOfAProcess follows one that notes without waiting for anybody: what is
// visited is whole and in order, and what is missing is said to be lost.
func TestChangesOfAProcess(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	p := start(t)
	p.must("open %s %d", path, sidecar.Writer)
	const rounds, each = 400, 1000
	go func() {
		for i := range rounds {
			p.send("note %d %d", i*each, each)
		}
	}()
	answers := make(chan string)
	go func() {
		for range rounds {
			s, _ := p.out.ReadString('\n')
			answers <- s
		}
		close(answers)
	}()
	var pos uint64
	follow := func() (lost bool) {
		next := pos
		now, ok := a.Changes(pos, func(start, n uint64) {
			require.Equal(t, next, start)
			require.Equal(t, ^start, n)
			next++
		})
		pos = now
		return !ok
	}
	for range answers {
		follow()
	}
	require.False(t, follow())
	require.EqualValues(t, rounds*each, pos)
}

// TestKilledWhileNoting leaves reserve above head, and an extent there, as a writer that dies does.
func TestKilledWhileNoting(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	p := start(t)
	p.must("open %s %d", path, sidecar.Writer)
	p.must("note 0 10")
	p.kill()
	w := openReady(t, path, sidecar.Writer)
	w.DieNoting(1000, 0)
	noteNumbered(w, 10, 100)
	var next uint64
	pos, ok := a.Changes(0, func(start, n uint64) {
		require.Equal(t, next, start)
		require.Equal(t, ^start, n)
		next++
	})
	require.True(t, ok)
	require.EqualValues(t, 110, pos)
	require.EqualValues(t, 110, next)
}

func TestSlotSize(t *testing.T) { require.EqualValues(t, 64, unsafe.Sizeof(sidecar.Slot{})) }
