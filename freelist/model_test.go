package freelist_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// Goal: the list and the obvious program agree. Method: both run the same random
// transactions, step for step; the model is a map of pages and looks at each of
// them for every answer. Replay a failure with -seed or FOLIO_SEED.

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

type state uint8

const (
	inUse state = iota // by the tree; birth counts
	free
	pending
)

type pageState struct {
	state        state
	birth, death page.TxID
}

// model is the slow list. Pages at or above hwm do not exist, those before first are
// in use by others.
type model struct {
	pages map[page.ID]pageState
	first page.ID
	hwm   page.ID
	zone  page.ID // its end
	head  page.ID // see AllocateHead
}

func (m *model) count(s state) (n uint64) {
	for _, p := range m.pages {
		if p.state == s {
			n++
		}
	}
	return n
}

// extents returns the stretches of pages in any of the given states.
func (m *model) extents(states ...state) (es []freelist.Extent) {
	for id := m.first; id < m.hwm; id++ {
		if !slices.Contains(states, m.pages[id].state) {
			continue
		}
		if n := len(es); n > 0 && es[n-1].End() == id {
			es[n-1].Len++
		} else {
			es = append(es, freelist.Extent{Start: id, Len: 1})
		}
	}
	return es
}

// cut returns the free extents in the zone and those behind it.
func (m *model) cut() (zone, behind []freelist.Extent) {
	for _, e := range m.extents(free) {
		if n := uint64(min(max(m.zone, e.Start), e.End()) - e.Start); n > 0 {
			zone = append(zone, freelist.Extent{Start: e.Start, Len: n})
			e.Start, e.Len = e.Start+page.ID(n), e.Len-n
		}
		if e.Len > 0 {
			behind = append(behind, e)
		}
	}
	return zone, behind
}

func (m *model) bestFit(n uint64) (best freelist.Extent, ok bool) {
	_, behind := m.cut()
	for _, e := range behind {
		if e.Len >= n && (!ok || e.Len < best.Len) {
			best, ok = e, true
		}
	}
	return best, ok
}

func (m *model) longest() (longest freelist.Extent) {
	_, behind := m.cut()
	for _, e := range behind {
		if e.Len > longest.Len {
			longest = e
		}
	}
	return longest
}

// atHead returns what is free from the head on.
func (m *model) atHead() freelist.Extent {
	_, behind := m.cut()
	for _, e := range behind {
		if e.Start <= m.head && m.head < e.End() {
			return freelist.Extent{Start: m.head, Len: uint64(e.End() - m.head)}
		}
	}
	return freelist.Extent{}
}

func (m *model) set(e freelist.Extent, p pageState) {
	for id := e.Start; id < e.End(); id++ {
		m.pages[id] = p
	}
}

func (m *model) release(live []page.TxID, durable, published page.TxID) {
	for id, p := range m.pages {
		needed := p.death > published
		for _, s := range append(slices.Clone(live), durable, published) {
			needed = needed || p.birth <= s && s < p.death
		}
		if p.state == pending && !needed {
			m.pages[id] = pageState{state: free}
		}
	}
}

// run is one random history of a file.
type run struct {
	t         *testing.T
	r         *rand.Rand
	l         *freelist.List
	m         model
	txid      page.TxID
	durable   page.TxID
	published page.TxID
	live      []page.TxID

	checkpoint   []byte
	checkpointed page.TxID // by whom
	deltas       [][]byte
	delta        freelist.Delta
	taken        []freelist.Extent // by the transaction, allocated or grown
}

func TestListAgainstModel(t *testing.T) {
	r := newRand(t)
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for i := range rounds {
		h := &run{t: t, r: r, l: freelist.New(), txid: 1, durable: 1, published: 1,
			m: model{pages: map[page.ID]pageState{}, first: page.FirstID}}
		if i%2 == 1 { // across the end of the bits that are kept together
			h.m.first = 1<<12 - page.ID(r.IntN(200))
		}
		h.m.hwm = h.m.first
		for step := range 120 {
			h.step()
			h.compare(fmt.Sprintf("round %d, step %d", i, step))
		}
	}
}

// step runs one transaction.
func (h *run) step() {
	h.txid += 1 + page.TxID(h.r.IntN(2))
	h.delta, h.taken = freelist.Delta{TxID: h.txid}, nil
	hwm := h.m.hwm
	if h.r.IntN(6) == 0 {
		h.m.zone = h.m.first - page.FirstID + page.ID(h.r.Uint64N(uint64(h.m.hwm-h.m.first)+20))
		h.l.SetZone(h.m.zone)
	}
	for range h.r.IntN(8) {
		h.allocate()
	}
	if h.r.IntN(5) == 0 { // the commit fails
		for _, e := range h.taken {
			if e.Start < hwm {
				h.returnPages(e)
			} else {
				for id := e.Start; id < e.End(); id++ {
					delete(h.m.pages, id)
				}
			}
		}
		h.m.hwm = hwm
		return
	}
	for range h.r.IntN(8) {
		h.free()
	}
	if h.r.IntN(3) == 0 {
		h.trim()
	}
	h.deltas = append(h.deltas, h.delta.Append(nil))
	h.readersAndFlushes()
	if h.r.IntN(20) == 0 {
		bound := h.l.CheckpointBound()
		h.checkpoint, h.deltas = h.l.AppendCheckpoint(nil), nil
		h.checkpointed = h.txid
		require.LessOrEqual(h.t, len(h.checkpoint), bound)
	}
}

func (h *run) allocate() {
	n := 1 + h.r.Uint64N(1+h.r.Uint64N(12))
	if h.r.IntN(10) == 0 {
		n += h.r.Uint64N(150)
	}
	var got freelist.Extent
	if zone, _ := h.m.cut(); h.r.IntN(4) == 0 && len(zone) > 0 {
		got = h.allocateZone(zone, n)
	} else if h.r.IntN(5) == 0 {
		got = h.allocateLongest(n)
	} else if h.r.IntN(4) == 0 {
		got = h.allocateHead(n)
	} else {
		want, wantOK := h.m.bestFit(n)
		allocate := h.l.Allocate
		if h.r.IntN(4) == 0 {
			allocate = h.l.AllocateLow
			if x := h.m.longest(); x.Len >= n && x.Start < want.Start {
				want = x
			}
			_, behind := h.m.cut()
			behind = behind[:min(len(behind), freelist.LowLook)]
			if i := slices.IndexFunc(behind, func(e freelist.Extent) bool { return e.Len >= n }); i >= 0 {
				want = behind[i]
			}
		}
		id, ok := allocate(n)
		require.Equal(h.t, wantOK, ok, "allocate %d", n)
		require.Equal(h.t, want.Start, id, "allocate %d", n)
		if ok {
			got = freelist.Extent{Start: id, Len: n}
		}
	}
	if got.Len == 0 {
		got = freelist.Extent{Start: h.m.hwm, Len: n}
		h.m.hwm = got.End()
	} else {
		h.delta.Taken = append(h.delta.Taken, got)
	}
	h.taken = append(h.taken, got)
	h.m.set(got, pageState{birth: h.txid})
}

// allocateLongest takes pages at the head if there are enough, or else out of the longest
// extent.
func (h *run) allocateLongest(n uint64) freelist.Extent {
	least := h.r.Uint64N(10)
	want := h.m.atHead()
	if want.Len == 0 || want.Len < least {
		want = h.m.longest()
	}
	want.Len = min(want.Len, n)
	e, ok := h.l.AllocateLongest(n, least)
	require.Equal(h.t, want.Len > 0, ok)
	require.Equal(h.t, want, e)
	if ok {
		h.m.head = e.End()
	}
	return e
}

// allocateHead takes all pages at the head, or else out of the longest extent, or none.
func (h *run) allocateHead(n uint64) freelist.Extent {
	want := h.m.atHead()
	if want.Len < n {
		want = h.m.longest()
	}
	id, ok := h.l.AllocateHead(n)
	require.Equal(h.t, want.Len >= n, ok, "allocate %d", n)
	if !ok {
		return freelist.Extent{}
	}
	require.Equal(h.t, want.Start, id, "allocate %d", n)
	h.m.head = id + page.ID(n)
	return freelist.Extent{Start: id, Len: n}
}

// allocateZone takes pages out of the zone, whose free extents are given: out of the
// first that is long enough of those that a search looks at.
func (h *run) allocateZone(zone []freelist.Extent, n uint64) (want freelist.Extent) {
	least := 1 + h.r.Uint64N(4)
	var look []freelist.Extent
	for _, z := range zone {
		if at := max(z.Start, h.l.ZoneNext()); at < z.End() {
			look = append(look, freelist.Extent{Start: at, Len: uint64(z.End() - at)})
		}
	}
	look = append(look, zone...)
	look = look[:min(len(look), freelist.ZoneLook)]
	i := slices.IndexFunc(look, func(z freelist.Extent) bool { return z.Len >= min(n, least) })
	if i >= 0 {
		want = freelist.Extent{Start: look[i].Start, Len: min(n, look[i].Len)}
	}
	e, ok := h.l.AllocateZone(n, least)
	require.Equal(h.t, i >= 0, ok)
	require.Equal(h.t, want, e)
	if ok {
		require.Equal(h.t, e.End(), h.l.ZoneNext())
	}
	return e
}

// returnPages gives e back in two parts.
func (h *run) returnPages(e freelist.Extent) {
	n := h.r.Uint64N(e.Len + 1)
	for _, part := range [...]freelist.Extent{
		{Start: e.Start + page.ID(n), Len: e.Len - n},
		{Start: e.Start, Len: n},
	} {
		h.l.Return(part)
		if part.Len > 0 && h.m.head == part.End() {
			h.m.head = part.Start
		}
	}
	h.m.set(e, pageState{state: free})
}

// free frees a stretch of pages with one birth, or fails to free anything else.
func (h *run) free() {
	if h.m.hwm == h.m.first {
		return
	}
	e := freelist.Extent{Start: h.m.first + page.ID(h.r.Uint64N(uint64(h.m.hwm-h.m.first))), Len: 1}
	p := h.m.pages[e.Start]
	for h.r.IntN(3) > 0 && e.End() < h.m.hwm && h.m.pages[e.End()] == p {
		e.Len++
	}
	before := slices.Collect(h.l.All())
	if p.state != inUse || p.birth == h.txid {
		birth := min(p.birth, h.txid-1)
		if p.state == inUse {
			birth = h.txid // died before it was born
		}
		err := h.l.FreePages(freelist.Extent{Start: e.Start, Len: 1 + h.r.Uint64N(5)}, birth, h.txid)
		require.ErrorIs(h.t, err, page.ErrCorrupt)
		require.Equal(h.t, before, slices.Collect(h.l.All()), "a failed FreePages changed the list")
		return
	}
	require.NoError(h.t, h.l.FreePages(e, p.birth, h.txid))
	h.m.set(e, pageState{state: pending, birth: p.birth, death: h.txid})
	h.delta.Freed = append(h.delta.Freed, e)
}

func (h *run) trim() {
	least := 1 + h.r.Uint64N(4)
	hwm, e, ok := h.l.TrimTail(h.m.hwm, least)
	var want freelist.Extent
	if _, es := h.m.cut(); len(es) > 0 {
		if x := es[len(es)-1]; x.End() == h.m.hwm && x.Len >= least {
			want = x
		}
	}
	require.Equal(h.t, want.Len > 0, ok)
	require.Equal(h.t, want, e)
	require.Equal(h.t, h.m.hwm-page.ID(want.Len), hwm)
	if ok {
		h.m.hwm = hwm
		for id := e.Start; id < e.End(); id++ {
			delete(h.m.pages, id)
		}
		h.delta.Taken = append(h.delta.Taken, e)
	}
}

func (h *run) readersAndFlushes() {
	if h.r.IntN(3) > 0 {
		h.published = h.txid
	}
	if h.r.IntN(3) == 0 {
		h.durable = h.published
	}
	if h.r.IntN(3) == 0 {
		h.live = append(h.live, h.published)
		slices.Sort(h.live)
	}
	for len(h.live) > 0 && h.r.IntN(3) == 0 {
		i := h.r.IntN(len(h.live))
		h.live = slices.Delete(h.live, i, i+1)
	}
	for range 1 + h.r.IntN(2) {
		h.l.Release(h.live, h.durable, h.published)
	}
	h.m.release(h.live, h.durable, h.published)
}

func (h *run) compare(when string) {
	require.NoError(h.t, h.l.Verify(), when)
	require.Equal(h.t, h.m.count(free), h.l.Free(), when)
	require.Equal(h.t, h.m.count(pending), h.l.Pending(), when)
	zone, behind := h.m.cut()
	require.Equal(h.t, len(zone)+len(behind), h.l.Extents(), when)
	longest := []uint64{0, 0}
	for _, e := range behind {
		longest = append(longest, e.Len)
	}
	slices.Sort(longest)
	n := len(longest)
	require.Equal(h.t, longest[n-2]+longest[n-1], h.l.LongestTwo(), when)
	want := h.m.extents(free, pending)
	require.Equal(h.t, want, slices.Collect(h.l.All()), when)
	if len(h.live) > 0 && h.live[0] != h.durable && h.live[0] != h.published {
		require.Equal(h.t, h.retained(), h.l.Retained(h.live[0]), when)
	}
	if h.r.IntN(10) == 0 {
		l, err := freelist.Load(h.checkpoint, h.deltas, h.m.hwm)
		require.NoError(h.t, err, when)
		require.NoError(h.t, l.Verify(), when)
		require.Equal(h.t, want, slices.Collect(l.All()), when)
		require.Equal(h.t, h.l.Free()+h.l.Pending(), l.Free(), when)
		h.handOver(l, when)
	}
}

// handOver compares l, just loaded, with what readers need that were there before.
func (h *run) handOver(l *freelist.List, when string) {
	all := l.Free()
	oldest := h.txid
	if len(h.live) > 0 {
		oldest = h.live[0]
	}
	require.NoError(h.t, l.HoldSince(oldest, h.checkpointed, h.deltas), when)
	require.NoError(h.t, l.Verify(), when)
	l.Release(h.live, h.txid, h.txid)
	require.Equal(h.t, all, l.Free()+l.Pending(), when)
	if oldest == h.txid {
		require.Zero(h.t, l.Pending(), when)
	}
	reusable := map[page.ID]bool{}
	for {
		e, ok := l.AllocateLongest(1, 0)
		if !ok {
			break
		}
		reusable[e.Start] = true
	}
	for id, p := range h.m.pages {
		needed := slices.ContainsFunc(h.live, func(s page.TxID) bool { return p.birth <= s && s < p.death })
		if p.state == pending && needed {
			require.False(h.t, reusable[id], "%s: page %d can be reused", when, id)
		}
		if p.state == pending && p.death <= oldest && h.checkpointed <= oldest {
			require.True(h.t, reusable[id], "%s: page %d cannot be reused", when, id)
		}
	}
	l.Release(nil, h.txid, h.txid)
	require.Zero(h.t, l.Pending(), when)
}

// retained returns the pages that the oldest snapshot keeps, and none newer, among
// those that were released since they died.
func (h *run) retained() (n uint64) {
	i := 1
	for i < len(h.live) && h.live[i] == h.live[0] {
		i++
	}
	for _, p := range h.m.pages {
		needed := p.state != pending || p.death > h.published || h.live[0] < p.birth || h.live[0] >= p.death
		for _, s := range append([]page.TxID{h.durable, h.published}, h.live[i:]...) {
			needed = needed || s > h.live[0] && p.birth <= s && s < p.death
		}
		if !needed {
			n++
		}
	}
	return n
}
