package meta_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// Goal: Choose gives the right answer for every pair of slots. Method: a slot is in
// one of the states below, as transaction 5, 6 or (same) both 6; for each of the
// pairs an oracle that is written from the point of view of the outcomes, not of
// the steps, says what has to come out.

var (
	errSlotIO   = errors.New("slot: input/output error")
	errRecordIO = errors.New("record: input/output error")
)

type slotState int

const (
	complete slotState = iota // one flush, and its record is on disk
	incomplete
	recordIO // one flush, and its record cannot be read
	synced
	clean
	damaged
	blank
	foreign
	newer
	slotIO
	numStates
)

func (s slotState) String() string {
	return [...]string{"complete", "incomplete", "recordIO", "synced", "clean",
		"damaged", "blank", "foreign", "newer", "slotIO"}[s]
}

func (s slotState) whole() bool  { return s <= clean }
func (s slotState) proven() bool { return s == synced || s == clean }

func (s slotState) slot(i int, txid page.TxID) meta.Slot {
	if s == slotIO {
		return meta.Slot{Err: errSlotIO}
	}
	m := sample()
	m.TxID = txid
	m.Root.Birth, m.Freelist.HeadBirth = 1, 1
	if s.proven() {
		m.Record, m.Synced, m.Clean = nil, s == synced, s == clean
	} else {
		m.Record = []meta.Unit{{ID: page.ID(10 + i)}} // tells complete which slot it is
	}
	b := encode(m, i)
	switch s {
	case damaged:
		b[1000] ^= 1
	case blank:
		clear(b)
	case foreign:
		b[0] = 'x'
	case newer:
		b = newerVersion(i)
	}
	got, err := meta.Decode(b, i)
	return meta.Slot{Meta: got, Err: err}
}

// outcome is a slot, or errors that the error has to wrap.
type outcome struct {
	slot     int
	reported bool // why is not empty
	errs     []error
}

func oracle(s [2]slotState, txids [2]page.TxID) outcome {
	fails := func(errs ...error) outcome { return outcome{errs: errs} }
	has := func(x slotState) bool { return s[0] == x || s[1] == x }
	same := txids[0] == txids[1]
	switch {
	case has(newer):
		return fails(meta.ErrVersion)
	case s[0] == blank && s[1] == blank:
		return fails(meta.ErrBlank)
	case (s[0] == blank || s[0] == foreign) && (s[1] == blank || s[1] == foreign):
		return fails(meta.ErrNotFolio)
	case !s[0].whole() && !s[1].whole():
		var errs []error
		if has(damaged) {
			errs = append(errs, page.ErrCorrupt)
		}
		if has(slotIO) {
			errs = append(errs, errSlotIO)
		}
		return fails(errs...)
	}
	// There is a commit that a crash can have left, and at most one fallback.
	first := 0
	switch {
	case !s[0].whole():
		first = 1
	case s[1].whole() && same:
		for _, preferred := range []slotState{synced, clean} {
			if s[1] == preferred && s[0] != preferred {
				first = 1
			}
			if s[0] == preferred {
				first = 0
			}
		}
	case s[1].whole() && txids[1] > txids[0]:
		first = 1
	}
	second := 1 - first
	switch {
	case s[first] == recordIO:
		return fails(errRecordIO)
	case s[first] != incomplete:
		return outcome{slot: first, reported: !s[second].whole()}
	case s[second].whole() && !same:
		return outcome{slot: second, reported: true}
	case s[second] == slotIO:
		return fails(page.ErrCorrupt, errSlotIO)
	}
	return fails(page.ErrCorrupt)
}

func TestChooseEveryPair(t *testing.T) { // M9 to M14
	for _, txids := range [][2]page.TxID{{5, 6}, {6, 5}, {6, 6}} {
		for s0 := range numStates {
			for s1 := range numStates {
				states := [2]slotState{s0, s1}
				t.Run(fmt.Sprintf("%v %d, %v %d", s0, txids[0], s1, txids[1]), func(t *testing.T) {
					testChoose(t, states, txids)
				})
			}
		}
	}
}

func testChoose(t *testing.T, states [2]slotState, txids [2]page.TxID) {
	slots := [2]meta.Slot{states[0].slot(0, txids[0]), states[1].slot(1, txids[1])}
	checked := 0
	m, slot, why, err := meta.Choose(slots, func(m meta.Meta) error {
		checked++
		switch s := states[m.Record[0].ID-10]; s {
		case incomplete:
			return page.Corrupt(m.Record[0].ID, page.KindLeaf, "wrong checksum")
		case recordIO:
			return errRecordIO
		case complete:
			return nil
		default:
			t.Errorf("a %v meta was checked", s)
			return nil
		}
	})
	require.LessOrEqual(t, checked, 1)
	want := oracle(states, txids)
	if want.errs == nil {
		require.NoError(t, err)
		require.Equal(t, want.slot, slot)
		require.Equal(t, slots[slot].Meta, m)
		require.Equal(t, want.reported, why != "", why)
		return
	}
	require.Zero(t, m)
	require.Empty(t, why)
	for _, e := range []error{meta.ErrVersion, meta.ErrBlank, meta.ErrNotFolio, page.ErrCorrupt, errSlotIO, errRecordIO} {
		wrapped := false
		for _, w := range want.errs {
			wrapped = wrapped || errors.Is(w, e)
		}
		require.Equal(t, wrapped, errors.Is(err, e), "%v wraps %v", err, e)
	}
}

func TestChooseRefusesTwoFiles(t *testing.T) { // M14
	for name, breakIt := range map[string]func(*meta.Meta){
		"file id":   func(m *meta.Meta) { m.FileID++; m.TxID++ },
		"page size": func(m *meta.Meta) { m.PageSize = 4096; m.TxID++ },
		"one transaction, two roots": func(m *meta.Meta) {
			m.Root.ID++
		},
		"one transaction, two tails": func(m *meta.Meta) {
			m.Freelist.Tail = []byte("list")
		},
		"one transaction, two high-water marks": func(m *meta.Meta) {
			m.HighWater++
		},
	} {
		t.Run(name, func(t *testing.T) {
			a, b := sample(), sample()
			breakIt(&b)
			_, _, _, err := meta.Choose([2]meta.Slot{{Meta: a}, {Meta: b}}, func(meta.Meta) error { return nil })
			require.ErrorIs(t, err, page.ErrCorrupt)
		})
	}
}

func TestChooseAfterCreation(t *testing.T) {
	created := meta.Meta{PageSize: 4096, FileID: 9, TxID: 1, Synced: true, HighWater: 2}
	zeroth := created
	zeroth.TxID = 0
	first := created
	first.TxID, first.Synced, first.Record, first.HighWater = 2, false, []meta.Unit{{ID: 2}}, 3
	noCheck := func(meta.Meta) error { t.Error("checked"); return nil }

	m, slot, why, err := meta.Choose([2]meta.Slot{{Meta: created}, {Meta: zeroth}}, noCheck)
	require.NoError(t, err)
	require.Equal(t, created, m)
	require.Zero(t, slot)
	require.Empty(t, why)

	_, slot, why, err = meta.Choose([2]meta.Slot{{Meta: created}, {Meta: first}}, func(m meta.Meta) error {
		return fmt.Errorf("unit %d: %w", m.Record[0].ID, page.ErrCorrupt)
	})
	require.NoError(t, err)
	require.Zero(t, slot)
	require.Contains(t, why, "transaction 2 in slot 1 was in flight")
}
