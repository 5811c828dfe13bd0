package foliotest

import (
	"math/rand/v2"
)

// This file is responsible for what is left of a disk after a crash. Rules:
//
//	D3  What a sync covers is there: what was done before it began, once it has
//	    ended. Of all else any subset of the sectors can be there; sectors are not
//	    torn.
//	D4  The length of a file is what it was at the last sync, or any that it had
//	    since. Bytes behind it are gone, and bytes that it uncovers and that
//	    nobody wrote are zero.
//	D5  The name of a file means what it meant at the last sync of the directory,
//	    or anything that it meant since; a rename is there as a whole or not.

// sector is what a disk writes as a whole.
const sector = 512

// How much of what was not synced survives a crash.
const (
	keepNone = iota
	keepAll
	keepHalf
	keepMost
	keepFew
	keepFirst // what was written before some instant
	keepMetas // the first 128 KiB, where the metas are, and not the rest
	keepData  // the rest, and not the metas
	numKeeps
)

// keeper decides what survives.
type keeper struct {
	rnd   *rand.Rand
	mode  int
	until int // event, for keepFirst
	metas int64
}

func (k *keeper) keeps(event int, off int64) bool {
	switch k.mode {
	case keepNone:
		return false
	case keepAll:
		return true
	case keepMost:
		return k.rnd.IntN(16) != 0
	case keepFew:
		return k.rnd.IntN(16) == 0
	case keepFirst:
		return event < k.until
	case keepMetas:
		return off < k.metas
	case keepData:
		return off >= k.metas
	}
	return k.rnd.IntN(2) == 0
}

// Crash returns a disk as the power failure after the first cut events can leave
// it. metas is where the meta pages end.
func (d *Disk) Crash(cut int, metas int64, rnd *rand.Rand) *Disk {
	k := &keeper{rnd: rnd, mode: rnd.IntN(numKeeps), metas: metas}
	out := &Disk{Controls: d.Controls, base: map[string]*inode{}, names: map[string]*inode{}}
	files := map[*inode]*inode{}
	names := d.crashNames(cut, k)
	for name, n := range names {
		if files[n] == nil {
			content := d.crashFile(n, cut, k)
			files[n] = &inode{base: content, b: append([]byte(nil), content...)}
		}
		out.base[name], out.names[name] = files[n], files[n]
	}
	return out
}

// Kill returns the disk as the death of the process after the first cut events
// leaves it: everything is there, and nothing more is durable than before.
func (d *Disk) Kill(cut int) *Disk {
	out := &Disk{Controls: d.Controls, CacheUnit: d.CacheUnit, NoDropCache: d.NoDropCache, base: map[string]*inode{}, names: map[string]*inode{}}
	files := map[*inode]*inode{}
	file := func(n *inode) *inode {
		if n == nil {
			return nil
		}
		if files[n] == nil {
			files[n] = &inode{base: n.base, b: append([]byte(nil), n.base...)}
		}
		return files[n]
	}
	for name, n := range d.base {
		out.base[name], out.names[name] = file(n), file(n)
	}
	for _, e := range d.events[:cut] {
		e.inode = file(e.inode)
		e.names = append([]nameChange(nil), e.names...)
		for i := range e.names {
			e.names[i].inode = file(e.names[i].inode)
			setName(out.names, e.names[i])
		}
		switch e.kind {
		case evWrite:
			copy(e.inode.b[e.off:], e.data)
		case evLength:
			e.inode.resize(e.off)
		case evDrop:
			out.showDevice(e.inode, e.off, e.until)
		}
		out.lossy = out.lossy || e.kind == evLost
		out.events = append(out.events, e)
	}
	return out
}

// crashNames returns the names after a crash (D5).
func (d *Disk) crashNames(cut int, k *keeper) map[string]*inode {
	synced := -1
	if !d.Controls.SyncDirNothing {
		for i, e := range d.events[:cut] {
			if e.kind == evSyncDir {
				synced = i // the tests have one directory
			}
		}
	}
	names := map[string]*inode{}
	for name, n := range d.base {
		names[name] = n
	}
	// Names survive in order up to some instant: one journal has them all.
	last := synced + k.rnd.IntN(cut-synced)
	switch k.mode {
	case keepNone:
		last = synced
	case keepAll:
		last = cut - 1
	}
	for _, e := range d.events[:last+1] {
		for _, c := range e.names {
			setName(names, c)
		}
	}
	return names
}

// crashFile returns the content of n after a crash (D3, D4).
func (d *Disk) crashFile(n *inode, cut int, k *keeper) []byte {
	synced := -1
	if !d.Controls.SyncNothing {
		synced = d.synced(n, cut)
	}
	k.until = synced + 1 + k.rnd.IntN(cut-synced)
	img := image{b: append([]byte(nil), n.base...)}
	length, lengths := int64(len(n.base)), []int64(nil)
	lost := d.lostBefore(cut)
	for i, e := range d.events[:cut] {
		if e.inode != n {
			continue
		}
		durable := i <= synced
		switch e.kind {
		case evLength:
			if durable && !d.Controls.SyncNoLength {
				length, lengths = e.off, nil
				img.b = img.b[:min(int64(len(img.b)), e.off)]
			} else {
				lengths = append(lengths, e.off)
			}
			img.grow(e.off)
		case evWrite:
			if d.Controls.SyncMetasOnly && e.off >= k.metas {
				durable = false
			}
			for o := 0; o < len(e.data); {
				end := e.sectorEnd(o)
				if !lost[lostSector{i, o}] && (durable || k.keeps(i, e.off+int64(o))) {
					img.write(e.data[o:end], e.off+int64(o))
				}
				o = end
			}
		}
	}
	return img.cut(k.length(length, lengths))
}

// length chooses between the durable length and those since.
func (k *keeper) length(durable int64, since []int64) int64 {
	switch {
	case k.mode == keepNone || len(since) == 0:
		return durable
	case k.mode == keepAll:
		return since[len(since)-1]
	}
	if i := k.rnd.IntN(len(since) + 1); i < len(since) {
		return since[i]
	}
	return durable
}

// image is the content of a file under construction. It keeps what a cut that is
// not durable takes away, for the cut may not survive.
type image struct{ b []byte }

func (m *image) grow(size int64) {
	if size > int64(len(m.b)) {
		m.b = append(m.b, make([]byte, size-int64(len(m.b)))...)
	}
}

func (m *image) write(b []byte, off int64) {
	m.grow(off + int64(len(b)))
	copy(m.b[off:], b)
}

func (m *image) cut(size int64) []byte {
	m.grow(size)
	return m.b[:size:size]
}

// Settle forgets how the disk came to its durable state, which makes Crash
// faster, and returns how many events it forgot. It does nothing if a name is not
// durable, or once a sync has failed that lost something.
func (d *Disk) Settle() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	until, pending := 0, false
	for i, e := range d.events {
		switch e.kind {
		case evSync:
			until = max(until, int(e.off)) // the tests have one file that is not finished
			if until == i {
				until++ // the sync itself has nothing to say any more
			}
		case evName:
			pending = true
		case evSyncDir:
			pending = false
		case evLost:
			return 0 // what the cache shows has another course than what is durable
		}
	}
	if pending || d.Controls != (Controls{}) {
		return 0
	}
	for _, e := range d.events[:until] {
		switch e.kind {
		case evName:
			for _, c := range e.names {
				setName(d.base, c)
			}
		case evWrite:
			copy(e.inode.base[e.off:], e.data)
		case evLength:
			n := e.inode
			n.base = append(n.base, make([]byte, max(0, e.off-int64(len(n.base))))...)[:e.off]
		}
	}
	d.events = append([]event(nil), d.events[until:]...)
	for i := range d.events {
		if e := &d.events[i]; e.kind == evSync {
			e.off = max(0, e.off-int64(until))
		}
	}
	return until
}
