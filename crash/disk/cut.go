//go:build linux

package disk

// This file is responsible for what a power cut leaves: all that was written before
// the last flush, and of what was written since any part. Disks may write in any
// order, so any subset of the sectors can be there. That a sector which was written
// twice may have its older bytes is one of them.

import (
	"fmt"
	"math/rand/v2"
)

const sectorSize = 512

// superblock is where ext4 has its superblock, of two sectors. It relies on its being
// written as a whole; with half of it, it cannot be mounted.
const superblock = 4096

// Cutter rebuilds the states of a recording, from the oldest cut to the newest.
type Cutter struct {
	events  []Event
	durable []byte // with all events before at
	at      int
	last    *Overlay // that At has returned

	// LoseWrite drops a random write that a flush had covered: what no disk may do.
	LoseWrite bool
}

// NewCutter returns a cutter of a recording that began with base.
func NewCutter(base []byte, events []Event) *Cutter {
	return &Cutter{events: events, durable: append([]byte(nil), base...)}
}

// Whole returns the disk with all that was written.
func Whole(base []byte, events []Event) []byte {
	c := NewCutter(base, events)
	c.advance(len(events), nil)
	return c.durable
}

// At returns the disk when the power is cut before event cut, and says what was done
// to it. Cuts must not go back. The disk is valid until the next call.
func (c *Cutter) At(cut int, rnd *rand.Rand) (*Overlay, string) {
	flushed := cut
	for flushed > c.at && c.events[flushed-1].Kind != Flush {
		flushed--
	}
	if c.last != nil {
		c.last.mu.Lock() // the kernel can read late from a disk that is detached
	}
	c.advance(flushed, rnd)
	if c.last != nil {
		c.last.mu.Unlock()
	}
	disk := NewOverlay(c.durable)
	c.last = disk
	var pending []Event
	for _, e := range c.events[c.at:cut] {
		if e.Kind == Write {
			pending = append(pending, e)
		}
	}
	how := newLoss(rnd)
	kept := how.apply(disk, pending, rnd)
	return disk, fmt.Sprintf("cut before event %d of %d, %d writes since the last flush: %s, %d bytes kept",
		cut, len(c.events), len(pending), how.name, kept)
}

// advance makes all events before to durable.
func (c *Cutter) advance(to int, rnd *rand.Rand) {
	var writes []int
	for i := c.at; i < to; i++ {
		if c.events[i].Kind == Write {
			writes = append(writes, i)
		}
	}
	lost := -1
	if c.LoseWrite && len(writes) > 0 {
		lost = writes[rnd.IntN(len(writes))]
	}
	for _, i := range writes {
		if i != lost {
			copy(c.durable[c.events[i].Off:], c.events[i].Data)
		}
	}
	c.at = max(c.at, to)
}

// loss is a way of losing writes.
type loss struct {
	name string
	unit int     // bytes that are kept or lost together; 0: a write
	keep float64 // part that is kept
	tail bool    // all writes up to one are kept, and none behind it
}

func newLoss(rnd *rand.Rand) loss {
	keep := []float64{0.05, 0.5, 0.5, 0.95}[rnd.IntN(4)]
	switch rnd.IntN(8) {
	case 0:
		return loss{name: "none kept"}
	case 1:
		return loss{name: "all kept", keep: 1}
	case 2, 3:
		return loss{name: "writes", keep: keep}
	case 4:
		return loss{name: "pages", unit: 4096, keep: keep}
	case 5:
		return loss{name: "in order, the last one torn", unit: sectorSize, keep: 0.5, tail: true}
	}
	return loss{name: "sectors", unit: sectorSize, keep: keep}
}

// apply writes what is kept and returns how much that is.
func (l loss) apply(disk *Overlay, pending []Event, rnd *rand.Rand) (kept int) {
	last := len(pending)
	if l.tail && last > 0 {
		last = rnd.IntN(len(pending))
	}
	for i, e := range pending {
		unit, keep := l.unit, l.keep
		if l.tail && i < last {
			unit, keep = 0, 1
		} else if l.tail && i > last {
			break
		}
		if unit == 0 || e.Off < superblock {
			unit = len(e.Data)
		}
		for at := 0; at < len(e.Data); at += unit {
			if rnd.Float64() < keep {
				piece := e.Data[at:min(at+unit, len(e.Data))]
				_ = disk.WriteAt(piece, e.Off+int64(at)) // an overlay has no errors
				kept += len(piece)
			}
		}
	}
	return kept
}
