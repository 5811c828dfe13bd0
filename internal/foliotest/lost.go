package foliotest

import (
	"path/filepath"
	"slices"
)

// This file is responsible for what is left after a sync that failed. Rule:
//
//	D6  The system tells once that a write has failed. It takes what it could not
//	    write for clean from then on: it shows the new bytes for as long as they are in
//	    its cache, never writes them, and the next sync succeeds. When the cache lets go
//	    of them, the bytes of before are back. What the failed sync has not lost is
//	    still to be written, as if there had been no sync.
//
// So after a failed sync the cache and the device are two things: inode.b is the
// cache, and the device is base and all writes since that are not lost.

// lostSector is one that was to be written by an event, from an offset in its data on.
type lostSector struct{ event, from int }

// sectorEnd returns where the sector ends that byte from of a write is in, or the write.
func (e *event) sectorEnd(from int) int {
	return min(len(e.data), from+sector-int(e.off+int64(from))%sector)
}

// syncFailed forgets that sectors of n which were written before event until were to
// become durable, as Lose says.
func (d *Disk) syncFailed(n *inode, until int) {
	if d.Lose == nil {
		return
	}
	before := d.lostBefore(len(d.events))
	failed := event{kind: evLost, inode: n, off: int64(until)}
	for i := d.synced(n, len(d.events)) + 1; i < until; i++ {
		e := &d.events[i]
		if e.kind != evWrite || e.inode != n {
			continue
		}
		for from := 0; from < len(e.data); from = e.sectorEnd(from) {
			if s := (lostSector{i, from}); !before[s] && d.Lose(e.off+int64(from)) {
				failed.lost = append(failed.lost, s)
			}
		}
	}
	d.events = append(d.events, failed)
	d.lossy = true
}

// lostBefore returns what the first cut events have lost.
func (d *Disk) lostBefore(cut int) map[lostSector]bool {
	var lost map[lostSector]bool
	for _, e := range d.events[:cut] {
		for _, s := range e.lost {
			if lost == nil {
				lost = map[lostSector]bool{}
			}
			lost[s] = true
		}
	}
	return lost
}

// synced returns the last of the first cut events that a sync of n covers, or -1.
func (d *Disk) synced(n *inode, cut int) int {
	synced := -1
	for _, e := range d.events[:cut] {
		if e.kind == evSync && e.inode == n {
			synced = max(synced, int(e.off)-1)
		}
	}
	return synced
}

// dropCache lets go of length bytes from off on, or of all from there if length is
// zero: of the units of the cache that lie in there as a whole. What is still to be
// written stays.
func (d *Disk) dropCache(n *inode, off, length int64) {
	unit, size := max(4096, d.CacheUnit), int64(len(n.b))
	end := size
	if length > 0 && off+length < size {
		end = (off + length) / unit * unit
	}
	off = (off + unit - 1) / unit * unit
	if off >= end || !d.lossy {
		return // it shows what the device has, or will have
	}
	d.showDevice(n, off, end)
	d.events = append(d.events, event{kind: evDrop, inode: n, off: off, until: end})
}

// FailedAt returns how many events there were when the first failed sync had lost what
// it lost, or 0 if none has.
func (d *Disk) FailedAt() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return 1 + slices.IndexFunc(d.events, func(e event) bool { return e.kind == evLost })
}

// Evict lets go of everything in the cache that need not be written, as the system does
// when memory is short.
func (d *Disk) Evict(name string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := d.names[filepath.Clean(name)]; n != nil {
		d.dropCache(n, 0, 0)
	}
}

// showDevice makes bytes [off, end) of n in the cache what the device has when all has
// been written to it that is still to be.
func (d *Disk) showDevice(n *inode, off, end int64) {
	img := image{b: append([]byte(nil), n.base...)}
	lost := d.lostBefore(len(d.events))
	for i := range d.events {
		e := &d.events[i]
		switch {
		case e.inode != n:
		case e.kind == evLength:
			img.apply(e, 0, 0)
		case e.kind == evWrite:
			for from := 0; from < len(e.data); from = e.sectorEnd(from) {
				if !lost[lostSector{i, from}] {
					img.apply(e, from, e.sectorEnd(from))
				}
			}
		}
	}
	n.unshare()
	img.grow(end)
	copy(n.b[off:end], img.b[off:end])
}
