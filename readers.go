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

// enter claims a free slot for txid.
func (t *readerTable) enter(txid page.TxID) (*sidecar.Slot, error) {
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

func leave(s *sidecar.Slot) { s.TxID.Store(0) }

// live returns the snapshots that are being read, ascending, each once.
func (t *readerTable) live() []page.TxID {
	var live []page.TxID
	for _, b := range *t.blocks.Load() {
		for i := range b {
			if id := b[i].TxID.Load(); id != 0 {
				live = append(live, page.TxID(id))
			}
		}
	}
	slices.Sort(live)
	return slices.Compact(live)
}

// counts returns how many readers there are, and how many there have been.
func (t *readerTable) counts() (open int, begun uint64) {
	for _, b := range *t.blocks.Load() {
		for i := range b {
			if b[i].TxID.Load() != 0 {
				open++
			}
			begun += b[i].Begun.Load()
		}
	}
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
