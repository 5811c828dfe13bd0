package foliotest

// This file is responsible for what is left after a sync that failed. Rule:
//
//	D7  The system tells once that a write has failed. It takes the page for clean
//	    from then on: it shows the new bytes as long as they are in its cache, it
//	    never writes them, and the next sync succeeds. When the cache is dropped, the
//	    bytes of before are back.

// syncFailed forgets that writes to n before event until were to become durable, as
// Drop says.
func (d *Disk) syncFailed(n *inode, until int) {
	if d.Drop == nil {
		return
	}
	synced := d.synced(n, len(d.events))
	for i := synced + 1; i < until; i++ {
		if e := &d.events[i]; e.kind == evWrite && e.inode == n && d.Drop() {
			e.lost = true
		}
	}
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

// dropCache shows what the device will have when all that is to be written has been:
// length bytes from off on, or all from there if length is zero.
func (d *Disk) dropCache(n *inode, off, length int64) {
	img := image{b: append([]byte(nil), n.base...)}
	for _, e := range d.events {
		switch {
		case e.inode != n || e.lost:
		case e.kind == evLength:
			img.b = img.b[:min(int64(len(img.b)), e.off)]
			img.grow(e.off)
		case e.kind == evWrite:
			img.write(e.data, e.off)
		}
	}
	end := int64(len(n.b))
	if length > 0 {
		end = min(end, off+length)
	}
	if off >= end {
		return
	}
	n.unshare()
	img.grow(end)
	copy(n.b[off:end], img.b[off:end])
	if stored := int64(len(n.stored)); off < stored {
		copy(n.stored[off:], n.b[off:min(end, stored)])
		copy(n.seen[off:], n.b[off:min(end, stored)])
	}
}
