package foliotest

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// This file is responsible for everything that a power failure at one instant can
// leave, to be tried one by one. It keeps to the rules of crash.go (D3 to D5), but that
// a length which shrinks and survives takes the bytes behind it away for good.

// Grain is how large the units are that survive or do not.
type Grain int

// The grains. Lengths and names are units of their own in each of them.
const (
	Sectors Grain = iota // of 512 bytes
	Pages                // what one write put into one page
	Writes               // neighbours that were written one after the other
	NumGrains
)

// Cut is a disk at the instant of a power failure.
type Cut struct {
	disk    *Disk
	names   map[string]*inode // durable
	files   map[*inode]*image // durable content
	pending []atom
	units   [NumGrains]int
}

// atom is the smallest part of an event that survives or does not.
type atom struct {
	event    *event
	from, to int // in its data
	unit     [NumGrains]int
}

// At returns the disk as it is cut off after so many events.
func (d *Disk) At(cut int, pageSize int64) *Cut {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := &Cut{disk: d, names: map[string]*inode{}, files: map[*inode]*image{}}
	for name, n := range d.base {
		c.names[name] = n
	}
	synced, dir := d.syncedAt(cut)
	lost := d.lostBefore(cut)
	for i := range d.events[:cut] {
		e := &d.events[i]
		switch e.kind {
		case evSync, evSyncDir, evLost, evDrop:
		case evName:
			if i < dir {
				c.keepNames(e)
			} else {
				c.add(atom{event: e}, true, true)
			}
		default:
			durable := i < synced[e.inode]
			switch {
			case e.kind == evLength && durable:
				c.file(e.inode).apply(e, 0, 0)
			case e.kind == evLength:
				c.add(atom{event: e}, true, true)
			case durable && len(lost) == 0:
				c.file(e.inode).apply(e, 0, len(e.data))
			default:
				c.addSectors(e, pageSize, durable, func(o int) bool { return lost[lostSector{i, o}] })
			}
		}
	}
	return c
}

// syncedAt returns the events before which everything is durable: of each file, and
// of the names.
func (d *Disk) syncedAt(cut int) (files map[*inode]int, names int) {
	files = map[*inode]int{}
	for i := range d.events[:cut] {
		switch e := &d.events[i]; e.kind {
		case evSync:
			files[e.inode] = max(files[e.inode], int(e.off))
		case evSyncDir:
			names = i
		}
	}
	return files, names
}

func (c *Cut) keepNames(e *event) {
	for _, n := range e.names {
		setName(c.names, n)
	}
}

// file returns the durable content of n so far.
func (c *Cut) file(n *inode) *image {
	if c.files[n] == nil {
		c.files[n] = &image{b: append([]byte(nil), n.base...)}
	}
	return c.files[n]
}

// apply does to the file what bytes [from, to) of a write did, or a change of length.
func (m *image) apply(e *event, from, to int) {
	if e.kind == evWrite {
		m.write(e.data[from:to], e.off+int64(from))
		return
	}
	m.b = m.b[:min(int64(len(m.b)), e.off)]
	m.grow(e.off)
}

// addSectors splits write e into atoms, and says which units they belong to. Sectors
// that are lost are none, and durable ones are applied. Nor are those of one page that
// change nothing, whatever is left: most of a meta is what its slot had before.
func (c *Cut) addSectors(e *event, pageSize int64, durable bool, lost func(from int) bool) {
	for from, to := 0, 0; from < len(e.data); from = to {
		to = e.sectorEnd(from)
		if lost(from) {
			continue
		}
		if durable {
			c.file(e.inode).apply(e, from, to)
			continue
		}
		off := e.off + int64(from)
		if len(e.data) <= int(pageSize) && c.unchanged(e.inode, off, e.data[from:to]) {
			continue
		}
		newPage, newWrite := true, true
		if n := len(c.pending); n > 0 {
			last := &c.pending[n-1]
			end := last.event.off + int64(last.to)
			if last.event.inode == e.inode && last.event.kind == evWrite && last.to > 0 && off >= end && off < end+pageSize {
				newWrite = off != end && off/pageSize != (end-1)/pageSize
				newPage = off/pageSize != (end-1)/pageSize
			}
		}
		c.add(atom{event: e, from: from, to: to}, newPage, newWrite)
	}
}

// unchanged tells whether n has b at off in every state that can be left so far.
func (c *Cut) unchanged(n *inode, off int64, b []byte) bool {
	end := off + int64(len(b))
	if durable := c.file(n).b; end > int64(len(durable)) || !bytes.Equal(b, durable[off:end]) {
		return false
	}
	return !slices.ContainsFunc(c.pending, func(a atom) bool {
		at := a.event.off
		return a.event.inode == n && (a.event.kind != evWrite || at+int64(a.from) < end && off < at+int64(a.to))
	})
}

func (c *Cut) add(a atom, newPage, newWrite bool) {
	for g, isNew := range [...]bool{true, newPage, newWrite} {
		if isNew {
			c.units[g]++
		}
		a.unit[g] = c.units[g] - 1
	}
	c.pending = append(c.pending, a)
}

// Units returns how many units of a grain survive or do not.
func (c *Cut) Units(g Grain) int { return c.units[g] }

// Left returns the disk on which the units of grain g survive that keep has.
func (c *Cut) Left(g Grain, keep func(unit int) bool) *Disk {
	names := map[string]*inode{}
	for name, n := range c.names {
		names[name] = n
	}
	files := map[*inode]*image{}
	lengths := map[*inode]int64{}
	file := func(n *inode) *image {
		if files[n] == nil {
			m := c.files[n]
			if m == nil {
				m = &image{b: n.base}
			}
			files[n] = &image{b: append(make([]byte, 0, mapLimit(int64(max(len(n.b), len(m.b))), true)), m.b...)}
			lengths[n] = int64(len(m.b))
		}
		return files[n]
	}
	inOrder := true
	for i := range c.pending {
		a := &c.pending[i]
		kept := keep(a.unit[g])
		switch a.event.kind {
		case evName: // one journal has all names
			if inOrder = inOrder && kept; inOrder {
				for _, n := range a.event.names {
					setName(names, n)
				}
			}
			continue
		case evLength:
			if kept {
				file(a.event.inode).apply(a.event, 0, 0)
				lengths[a.event.inode] = a.event.off
			}
		default:
			if kept {
				file(a.event.inode).apply(a.event, a.from, a.to)
			}
		}
	}
	out := &Disk{tight: true, base: map[string]*inode{}, names: map[string]*inode{}}
	made := map[*inode]*inode{}
	for name, n := range names {
		if made[n] == nil {
			m := file(n)
			m.grow(lengths[n])
			content := m.b[:lengths[n]]
			clear(content[len(content):cap(content)])
			made[n] = &inode{base: content, b: content, shared: true}
		}
		out.base[name], out.names[name] = made[n], made[n]
	}
	return out
}

// Sum tells disks apart by what a crash has left of a file.
func (d *Disk) Sum(seed maphash.Seed, name string) uint64 {
	var h maphash.Hash
	h.SetSeed(seed)
	if n := d.names[name]; n != nil {
		h.WriteByte(1)
		h.Write(n.base)
	}
	return h.Sum64()
}
