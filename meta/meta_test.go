package meta_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

var seedFlag = flag.Uint64("seed", 0, "seed of the random tests; 0: FOLIO_SEED, or else the clock")

func newRand(t testing.TB) *rand.Rand {
	seed := *seedFlag
	if s := os.Getenv("FOLIO_SEED"); seed == 0 && s != "" {
		n, err := strconv.ParseUint(s, 10, 64)
		require.NoError(t, err, "FOLIO_SEED")
		seed = n
	}
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("replay with -seed=%d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// sample returns a meta in which every field says something.
func sample() meta.Meta {
	return meta.Meta{
		PageSize:  8192,
		FileID:    0x0123456789abcdef,
		TxID:      1000,
		Root:      meta.Root{ID: 7, Birth: 999, Count: 5000, Sequence: 3},
		HighWater: 400,
		Freelist:  meta.Freelist{Head: 50, HeadBirth: 900, HeadPages: 2, FreePages: 17, Tail: []byte("tail")},
		Record:    []meta.Unit{{ID: 2, Sum: 11}, {ID: 3, Sum: 22}, {ID: 5, Sum: 33}, {ID: 399, Sum: 44}},
	}
}

func encode(m meta.Meta, slot int) []byte {
	b := make([]byte, meta.Size)
	meta.Encode(b, &m, slot)
	return b
}

// reseal makes the checksum right again after b was changed.
func reseal(b []byte, slot int) {
	fileID := binary.LittleEndian.Uint64(b[16:])
	sum := page.Sum(b[:meta.Size-8], page.Seed(page.ID(slot), fileID))
	binary.LittleEndian.PutUint64(b[meta.Size-8:], sum)
}

// randomMeta returns a meta that Decode has to accept, and that fits.
func randomMeta(r *rand.Rand) meta.Meta {
	m := meta.Meta{
		PageSize:  4096 << r.IntN(5),
		FileID:    r.Uint64(),
		TxID:      page.TxID(r.Uint64() >> (2 + r.IntN(62))),
		HighWater: page.FirstID + page.ID(r.Uint64()>>(18+r.IntN(46))),
		Clean:     r.IntN(4) == 0,
		Synced:    r.IntN(4) == 0,
	}
	inFile := func() page.ID { return page.FirstID + page.ID(r.Uint64N(uint64(m.HighWater-page.FirstID))) }
	birth := func() page.TxID { return page.TxID(r.Uint64N(uint64(m.TxID) + 1)) }
	m.Root.Sequence = r.Uint64()
	if m.HighWater == page.FirstID {
		return m
	}
	if r.IntN(4) > 0 {
		m.Root.ID, m.Root.Birth = inFile(), birth()
		m.Root.Count = r.Uint64N(uint64(m.HighWater) * uint64(m.PageSize))
	}
	m.Freelist.FreePages = r.Uint64N(uint64(m.HighWater - 1))
	if r.IntN(4) > 0 {
		m.Freelist.Head, m.Freelist.HeadBirth = inFile(), birth()
		m.Freelist.HeadPages = 1 + uint32(r.Uint64N(min(1<<20, uint64(m.HighWater-m.Freelist.Head))))
	}
	if n := r.IntN(500); n > 0 {
		m.Freelist.Tail = make([]byte, n)
		for i := range m.Freelist.Tail {
			m.Freelist.Tail[i] = byte(r.Uint32())
		}
	}
	if !m.Synced {
		m.Record = randomRecord(r, r.IntN(500), m.HighWater)
		for !m.Fits() {
			m.Record = m.Record[:len(m.Record)*7/8]
		}
	}
	return m
}

// randomRecord returns at most n units in ascending order, in stretches or not.
func randomRecord(r *rand.Rand, n int, end page.ID) (units []meta.Unit) {
	spread := max(1, uint64(end)/uint64(n+1)>>r.IntN(20))
	id := page.FirstID
	for range n {
		if r.IntN(3) == 0 {
			id += page.ID(r.Uint64N(spread))
		}
		if id >= end {
			break
		}
		units = append(units, meta.Unit{ID: id, Sum: r.Uint64()})
		id++
	}
	return units
}

func TestEncodeRoundTrip(t *testing.T) { // M6, M7
	r := newRand(t)
	metas := []meta.Meta{sample()}
	for range 2000 {
		metas = append(metas, randomMeta(r))
	}
	for _, m := range metas {
		require.NoError(t, m.Check())
		slot := r.IntN(2)
		b := encode(m, slot)
		got, err := meta.Decode(b, slot)
		require.NoError(t, err)
		require.Equal(t, m, got)
		require.Equal(t, b, encode(got, slot))
		_, err = meta.Decode(b, 1-slot)
		require.ErrorIs(t, err, page.ErrCorrupt, "in the other slot") // M4
		used := meta.Used(b)
		require.Equal(t, m.Room(), meta.Size-8-used)
		require.Empty(t, bytes.Trim(b[used:meta.Size-8], "\x00")) // M5
	}
}

func TestEncodeSortsRecord(t *testing.T) {
	m := sample()
	want := encode(m, 0)
	r := m.Record
	r[0], r[1], r[2], r[3] = r[2], r[3], r[0], r[1]
	require.Equal(t, want, encode(m, 0))
}

func TestEncodePanicsOnBrokenPromise(t *testing.T) {
	for name, breakIt := range map[string]func(*meta.Meta){
		"page twice":      func(m *meta.Meta) { m.Record[1].ID = 2 },
		"meta page":       func(m *meta.Meta) { m.Record[0].ID = 1 },
		"beyond the file": func(m *meta.Meta) { m.Record[3].ID = 400 },
		"too long":        func(m *meta.Meta) { m.Freelist.Tail = make([]byte, meta.Size) },
		"synced":          func(m *meta.Meta) { m.Synced = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := sample()
			breakIt(&m)
			require.Panics(t, func() { encode(m, 0) })
		})
	}
	m := sample()
	require.Panics(t, func() { meta.Encode(make([]byte, meta.Size-1), &m, 0) })
}

func TestMetaRoomIsExact(t *testing.T) {
	r := newRand(t)
	for range 300 {
		m := randomMeta(r)
		room := m.Room()
		require.True(t, m.Fits())
		m.Freelist.Tail = append(m.Freelist.Tail, make([]byte, room)...)
		require.Zero(t, m.Room())
		got, err := meta.Decode(encode(m, 1), 1)
		require.NoError(t, err)
		require.Equal(t, m.Record, got.Record)
		m.Freelist.Tail = append(m.Freelist.Tail, 0)
		require.False(t, m.Fits())
	}
}

// TestRecordInAnyOrder: Encode sorts the record, of which any part may be in order.
func TestRecordInAnyOrder(t *testing.T) {
	r := newRand(t)
	const end = 1 << 12
	m := sample()
	m.HighWater = end
	for range 300 {
		m.Record = randomRecord(r, 1+r.IntN(300), end)
		want := encode(m, 0)
		for range r.IntN(5) { // some of them are behind the others
			i := r.IntN(len(m.Record))
			u := m.Record[i]
			m.Record = append(slices.Delete(m.Record, i, i+1), u)
		}
		require.Equal(t, want, encode(m, 0))
		tail := m.Record[r.IntN(len(m.Record)):]
		r.Shuffle(len(tail), func(i, j int) { tail[i], tail[j] = tail[j], tail[i] })
		require.Equal(t, want, encode(m, 0))
	}
}

// TestRecordRoom: 370 units fit beside the deltas wherever they lie in a file of 1 GiB.
func TestRecordRoom(t *testing.T) {
	r := newRand(t)
	const end = 1 << 18
	m := meta.Meta{HighWater: end, Freelist: meta.Freelist{Tail: make([]byte, 100)}}
	for range 300 {
		for _, m.Record = range [][]meta.Unit{randomRecord(r, 370, end), spreadRecord(370, end)} {
			require.True(t, m.Fits(), "%d units", len(m.Record))
		}
	}
}

// spreadRecord returns n units as far apart as can be.
func spreadRecord(n int, end page.ID) (units []meta.Unit) {
	step := max(1, (end-page.FirstID)/page.ID(n+1))
	for id := page.FirstID; len(units) < n && id < end; id += step {
		units = append(units, meta.Unit{ID: id})
	}
	return units
}

// A commit of adjacent pages, some of them runs, has 400 units and more in its
// record.
func TestRecordOfAdjacentPagesIsSmall(t *testing.T) {
	m := sample()
	m.HighWater = 1 << 24
	m.Freelist.Tail = make([]byte, 100)
	m.Record = nil
	for i := range page.ID(470) {
		id := 1<<20 + i
		if i >= 300 {
			id += 5000
		}
		m.Record = append(m.Record, meta.Unit{ID: id + i/50*3})
	}
	require.True(t, m.Fits(), "%d bytes are missing", -m.Room())
}

func TestMetaCheck(t *testing.T) {
	for name, breakIt := range impossible {
		m := sample()
		breakIt(&m)
		require.ErrorIs(t, m.Check(), page.ErrCorrupt, name)
	}
	m := sample()
	m.Record[0].ID = m.Record[1].ID
	require.ErrorIs(t, m.Check(), page.ErrCorrupt)
	m = sample()
	m.Synced = true
	require.ErrorIs(t, m.Check(), page.ErrCorrupt)
}
