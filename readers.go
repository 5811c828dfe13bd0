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
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/foliodb/folio/internal/page"
)

// readerSlot is one reader's entry, alone on its cache line.
type readerSlot struct {
	txid  atomic.Uint64 // of the snapshot being read; 0: free
	begun atomic.Uint64 // transactions that have used the slot
	_     [48]byte
}

const slotsPerBlock = 64

type slotBlock [slotsPerBlock]readerSlot

// readerTable grows by blocks and never shrinks, so that a slot stays where it
// is.
type readerTable struct {
	blocks atomic.Pointer[[]*slotBlock]
	grow   sync.Mutex
}

func (t *readerTable) init() { t.blocks.Store(&[]*slotBlock{new(slotBlock)}) }

// enter claims a free slot for txid.
func (t *readerTable) enter(txid page.TxID) *readerSlot {
	for {
		blocks := *t.blocks.Load()
		for _, b := range slices.Backward(blocks) {
			start := rand.Uint32()
			for i := range uint32(slotsPerBlock) {
				s := &b[(start+i)%slotsPerBlock]
				if s.txid.Load() == 0 && s.txid.CompareAndSwap(0, uint64(txid)) {
					s.begun.Add(1)
					return s
				}
			}
		}
		t.grow.Lock()
		if now := *t.blocks.Load(); len(now) == len(blocks) {
			now = append(slices.Clip(now), new(slotBlock))
			t.blocks.Store(&now)
		}
		t.grow.Unlock()
	}
}

func (s *readerSlot) leave() { s.txid.Store(0) }

// live returns the snapshots that are being read, ascending, each once.
func (t *readerTable) live() []page.TxID {
	var live []page.TxID
	for _, b := range *t.blocks.Load() {
		for i := range b {
			if id := b[i].txid.Load(); id != 0 {
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
			if b[i].txid.Load() != 0 {
				open++
			}
			begun += b[i].begun.Load()
		}
	}
	return open, begun
}
