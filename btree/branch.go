package btree

// This file is responsible for changing a branch. Small changes are made in
// place; whatever moves a separator between nodes or changes the prefix goes
// through a list of entries. Nobody outside holds slices of a branch.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// entry is a decoded branch entry. The first entry of a branch keeps its
// separator in the list, for the parent, and loses it in the node.
type entry struct {
	sep   []byte // as far as the node holds it
	ref   []byte // key reference of a long separator, or nil
	id    page.ID
	birth page.TxID
	tally uint64
}

// branchArrays are the element sizes of a branch's arrays, in their order.
var branchArrays = [...]int{headSize, 8, slotSize, 8, 8}

func (n node) setChildID(i int, id page.ID) {
	le.PutUint64(n[branchIDs(n.base(), n.count())+8*i:], uint64(id))
}

func (n node) setChildBirth(i int, birth page.TxID) {
	le.PutUint64(n[branchBirths(n.base(), n.count())+8*i:], uint64(birth))
}

func (n node) setChildTally(i int, count uint64, flags byte) {
	le.PutUint64(n[branchCounts(n.base(), n.count())+8*i:], count|uint64(flags)<<countBits)
}

// addTally adds delta to the count of child i and flags to its flags.
func (n node) addTally(i int, delta uint64, flags byte) {
	o := branchCounts(n.base(), n.count()) + 8*i
	t := le.Uint64(n[o:])
	le.PutUint64(n[o:], (t+delta)&countMask|t&^countMask|uint64(flags)<<countBits)
}

// tidy tells whether branch n is as it may be in the file, but for what its children are.
// Of most branches that a commit writes nothing else has changed. One that came from the
// file is taken for tidy: what Verify lets pass, but Layout would not have written, bytes
// that nothing refers to, stays as it is.
func (n node) tidy() bool { return n[page.OffRunLen+2] == 0 }

func (n node) setTidy(tidy bool) {
	n[page.OffRunLen+2] = 1
	if tidy {
		n[page.OffRunLen+2] = 0
	}
}

// insertEntry inserts e at i >= 1 in place; false if it does not fit like that.
func (n node) insertEntry(i int, e entry) bool {
	pl := n.prefixLen()
	if commonPrefix(e.sep, n.prefix()) < pl || e.ref != nil && len(e.sep) < pl+headSize {
		return false
	}
	suffix := e.sep[pl:]
	size := max(len(suffix)-headSize, 0) + len(e.ref)
	if n.gap() < size+branchEntrySize {
		return false
	}
	b, c := n.base(), n.count()
	// The arrays move up, the last one first.
	end := branchEnd(b, c)
	for a := len(branchArrays) - 1; a >= 0; a-- {
		s := branchArrays[a]
		old := end - s*c
		to := old
		for _, lower := range branchArrays[:a] {
			to += lower
		}
		copy(n[to+s*(i+1):], n[old+s*i:old+s*c])
		copy(n[to:], n[old:old+s*i])
		end = old
	}
	n.setTidy(false)
	n.header().SetCount(c + 1)
	n.putSep(i, e, b, c+1)
	n.setChildID(i, e.id)
	n.setChildBirth(i, e.birth)
	n.setChildTally(i, e.tally&countMask, byte(e.tally>>countBits))
	return true
}

// putSep writes the separator of entry i, with the arrays already in place.
func (n node) putSep(i int, e entry, b, c int) {
	suffix := e.sep[n.prefixLen():]
	length := len(suffix)
	le.PutUint32(n[b+headSize*i:], head(suffix))
	rest := suffix[min(headSize, len(suffix)):]
	off := 0
	if size := len(rest) + len(e.ref); size > 0 {
		cells := n.header().CellBytes() + size
		n.header().SetCellBytes(cells)
		off = len(n) - cells
		copy(n[off:], rest)
		copy(n[off+len(rest):], e.ref)
	}
	if e.ref != nil {
		length |= sepRunBit
	}
	le.PutUint32(n[branchSlots(b, c)+slotSize*i:], uint32(off)|uint32(length)<<16)
}

// removeEntries drops the entries [from, to). When the first is among them, the one
// that becomes first loses its separator; the caller has freed their runs.
func (n node) removeEntries(from, to int) {
	b, c := n.base(), n.count()
	left := c - (to - from)
	old, dst := b, b
	for _, s := range branchArrays {
		copy(n[dst:], n[old:old+s*from])
		copy(n[dst+s*from:], n[old+s*to:old+s*c])
		old += s * c
		dst += s * left
	}
	n.setTidy(false)
	n.header().SetCount(left)
	if from == 0 && to > 0 && left > 0 {
		le.PutUint32(n[b:], 0)
		le.PutUint32(n[branchSlots(b, left):], 0)
	}
}

// usedBranch returns the bytes that the entries of n take.
func (n node) usedBranch() int {
	c := n.count()
	used := c * branchEntrySize
	slots := n[branchSlots(n.base(), c):][:c*slotSize]
	for i := 1; i < c; i++ {
		length := int(le.Uint16(slots[i*slotSize+2:]))
		if length&sepRunBit != 0 {
			used += keyRefSize
		}
		used += max(length&^sepRunBit-headSize, 0)
	}
	return used
}

// entries appends the entries of n to list. Separators are copied to the arena,
// because their nodes are about to be overwritten.
func (n node) entries(list []entry, arena *[]byte) []entry {
	for i := range n.count() {
		e := entry{id: n.childID(i), birth: n.childBirth(i), tally: n.childTally(i)}
		if i > 0 {
			from := len(*arena)
			*arena = n.appendSep(*arena, i)
			e.sep = (*arena)[from:len(*arena):len(*arena)]
			if _, ref, long := n.sepRest(i); long {
				from := len(*arena)
				*arena = append(*arena, ref...)
				e.ref = (*arena)[from:len(*arena):len(*arena)]
			}
		}
		list = append(list, e)
	}
	return list
}

// branchPrefix returns the length of the prefix of the separators of list, the
// first one's aside.
func branchPrefix(list []entry) int {
	if len(list) < 3 {
		return 0 // one separator: a prefix would save nothing
	}
	prefix := list[1].sep
	pl := len(prefix)
	for _, e := range list[1:] {
		if !bytes.HasPrefix(e.sep, prefix[:pl]) {
			pl = commonPrefix(e.sep, prefix[:pl])
		}
		if e.ref != nil {
			pl = min(pl, len(e.sep)-headSize)
		}
	}
	return pl
}

// branchSize returns the bytes that a branch of list takes with a prefix of pl.
func branchSize(list []entry, pl int) int {
	size := base(pl) + len(list)*branchEntrySize
	for _, e := range list[1:] {
		size += max(len(e.sep)-pl-headSize, 0) + len(e.ref)
	}
	return size
}

// fitPrefix returns the longest prefix with which a branch of list fits into room
// bytes: the longer it is, the more the heads tell. It returns false if there is
// none.
func fitPrefix(list []entry, room int) (int, bool) {
	longest := branchPrefix(list)
	// The last headSize bytes may save nothing, for a separator always has a head.
	// To give up more than these makes every separator longer.
	for pl := longest; pl >= max(0, longest-headSize); pl-- {
		if branchSize(list, pl) <= room {
			return pl, true
		}
	}
	return 0, false
}

// layoutBranch fills dst, a buffer that nobody else uses, with a branch of list,
// its cells ascending in memory. It returns false, with dst untouched, if that
// does not fit. Whatever entries were in one branch fit into one again.
func layoutBranch(dst node, level int, list []entry) bool {
	pl, ok := fitPrefix(list, len(dst))
	if !ok {
		return false
	}
	clear(dst)
	p := dst.header()
	p.Init(page.KindBranch, level, 1)
	p.SetPrefixLen(pl)
	p.SetCount(len(list))
	if pl > 0 {
		copy(dst[page.HeaderSize:], list[1].sep[:pl])
	}
	b, c := base(pl), len(list)
	for i := len(list) - 1; i >= 0; i-- {
		e := &list[i]
		if i > 0 {
			dst.putSep(i, *e, b, c)
		}
		dst.setChildID(i, e.id)
		dst.setChildBirth(i, e.birth)
		le.PutUint64(dst[branchCounts(b, c)+8*i:], e.tally)
	}
	return true
}

// copyBranch fills dst, a buffer that nobody else uses, with branch n as it is,
// but its cells without holes and ascending in memory.
func copyBranch(dst, n node) {
	b, c := n.base(), n.count()
	size := n.usedBranch() - c*branchEntrySize
	end, off := branchEnd(b, c), len(dst)-size
	copy(dst, n[:end])
	clear(dst[end:off])
	dst.header().SetCellBytes(size)
	dst.setTidy(true)
	slots := branchSlots(b, c)
	for i := 1; i < c && off < len(dst); i++ {
		rest, ref, _ := n.sepRest(i)
		size := len(rest) + len(ref)
		if size == 0 {
			continue
		}
		copy(dst[off:], rest)
		copy(dst[off+len(rest):], ref)
		s := slots + slotSize*i
		le.PutUint16(dst[s:], uint16(off))
		off += size
	}
}

// bestPrefix tells whether the prefix of branch n is the longest possible.
func (n node) bestPrefix() bool {
	c := n.count()
	if c < 3 {
		return n.prefixLen() == 0
	}
	if le.Uint32(n[n.base()+headSize:])>>24 != le.Uint32(n[n.base()+headSize*(c-1):])>>24 {
		return true // the first byte behind the prefix differs
	}
	for i := 1; i < c; i++ {
		_, length, long := n.branchSlot(i)
		if length == 0 || long && length == headSize {
			return true
		}
	}
	return false
}
