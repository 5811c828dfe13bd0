package folio

// This file is responsible for knowing which snapshots are being read.
//
// R1  A reader stores the txid of its snapshot into a slot, and then makes sure
//     that the snapshot is still the newest; if not, it takes the newer one.
// R2  The writer looks at the slots after it has published its snapshot, and
//     before it reuses a page that older ones need.
// R3  So whatever the order, either the writer sees the slot, or the reader sees
//     the new snapshot: both are sequentially consistent atomics.
//
// Slots are spread over cache lines so that readers do not disturb each other;
// nobody waits for anybody.

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/sidecar"
)

// readerTable grows by blocks and never shrinks, so that a slot stays where it
// is: in the sidecar, if other processes need to know of the readers.
type readerTable struct {
	blocks atomic.Pointer[[][]sidecar.Slot]
	grow   sync.Mutex
	side   *sidecar.Sidecar // nil: the slots are in the heap
	clock  clock
}

const slotsPerBlock = 64

func (t *readerTable) init() { t.blocks.Store(&[][]sidecar.Slot{make([]sidecar.Slot, slotsPerBlock)}) }

// useSidecar moves the table, in which nobody is, into the sidecar.
func (t *readerTable) useSidecar(side *sidecar.Sidecar, slots []sidecar.Slot) {
	t.side = side
	t.blocks.Store(&[][]sidecar.Slot{slots})
}

// guard runs fn, which uses slots, and returns an error if the system could not supply
// them.
func (t *readerTable) guard(fn func()) error {
	if t.side == nil {
		fn()
	} else if !t.side.Guard(fn) {
		return sideFault(t.side)
	}
	return nil
}

// enter claims a free slot for txid.
func (t *readerTable) enter(txid page.TxID) (s *sidecar.Slot, err error) {
	if t.side == nil {
		return t.claim(txid)
	}
	if fault := t.guard(func() { s, err = t.claim(txid) }); fault != nil {
		return nil, fault
	}
	return s, err
}

func (t *readerTable) claim(txid page.TxID) (*sidecar.Slot, error) {
	for {
		blocks := *t.blocks.Load()
		for _, b := range slices.Backward(blocks) {
			start, n := rand.Uint32(), uint32(len(b))
			for i := range n {
				s := &b[(start+i)%n]
				if s.TxID.Load() == 0 && s.TxID.CompareAndSwap(0, uint64(txid)) {
					s.Begun.Add(1)
					if t.side != nil {
						s.Since.Store(t.clock.now())
					}
					return s, nil
				}
			}
		}
		if err := t.more(len(blocks)); err != nil {
			return nil, err
		}
	}
}

// more adds a block to the table, unless it has more than n by now.
func (t *readerTable) more(n int) error {
	t.grow.Lock()
	defer t.grow.Unlock()
	now := *t.blocks.Load()
	if len(now) > n {
		return nil
	}
	b := []sidecar.Slot(nil)
	if t.side == nil {
		b = make([]sidecar.Slot, slotsPerBlock)
	} else {
		var err error
		if b, err = t.side.Claim(); err != nil {
			return fmt.Errorf("folio: no room for another reader: %w", err)
		}
	}
	now = append(slices.Clip(now), b)
	t.blocks.Store(&now)
	return nil
}

// move gives slot s, which has been claimed, to a newer snapshot; 0 frees it.
func (t *readerTable) move(s *sidecar.Slot, txid page.TxID) error {
	if t.side == nil {
		s.TxID.Store(uint64(txid))
		return nil
	}
	return t.guard(func() { s.TxID.Store(uint64(txid)) })
}

// leave frees slot s. If that is not possible, it stays taken.
func (t *readerTable) leave(s *sidecar.Slot) { _ = t.move(s, 0) }

// live returns the snapshots that are being read, ascending, each once.
func (t *readerTable) live() []page.TxID {
	var live []page.TxID
	_ = t.guard(func() {
		for _, b := range *t.blocks.Load() {
			for i := range b {
				if id := b[i].TxID.Load(); id != 0 {
					live = append(live, page.TxID(id))
				}
			}
		}
	})
	slices.Sort(live)
	return slices.Compact(live)
}

// known tells whether live returns all readers. If not, there may be some at any time,
// and what they read must stay mapped.
func (t *readerTable) known() bool { return t.side == nil || t.side.Err() == nil }

// counts returns how many readers there are, and how many there have been.
func (t *readerTable) counts() (open int, begun uint64) {
	_ = t.guard(func() {
		for _, b := range *t.blocks.Load() {
			for i := range b {
				if b[i].TxID.Load() != 0 {
					open++
				}
				begun += b[i].Begun.Load()
			}
		}
	})
	return open, begun
}

// clock tells the time of day for half of what time.Now costs, which reads two clocks:
// this is most of what it takes to begin to read beside other processes. For a second
// after the time of day was set, or the machine was asleep, it can be wrong by that.
type clock struct{ base atomic.Pointer[time.Time] }

// now returns the time in Unix nanoseconds.
func (c *clock) now() int64 {
	if base := c.base.Load(); base != nil {
		if gone := time.Since(*base); gone < time.Second {
			return base.UnixNano() + int64(gone)
		}
	}
	now := time.Now()
	c.base.Store(&now)
	return now.UnixNano()
}
