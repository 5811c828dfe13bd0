package btree

// This file is responsible for changing a leaf: inserting and removing cells in
// place, and laying cells out afresh in another buffer. Rule B2 lives here: no
// function writes to a byte that is part of a cell.

import (
	"bytes"

	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
)

// hint is the insertion pattern of a node, kept in its header so that it
// outlives the transaction: where the last cell was inserted, and how many
// insertions in a row went right behind (ascending) or right before (descending)
// the one before them. Splits follow it.
type hint struct {
	last      uint16
	asc, desc uint8
}

// seqStreak insertions in a row make a pattern. Random keys reach it about once
// in count^3 insertions, and then it costs one uneven split.
const seqStreak = 3

func (n node) hint() hint {
	h := n.header().Hint()
	return hint{last: uint16(h), asc: uint8(h >> 16), desc: uint8(h >> 24)}
}

func (n node) setHint(h hint) {
	n.header().SetHint(uint32(h.last) | uint32(h.asc)<<16 | uint32(h.desc)<<24)
}

// inserted returns the hint after an insertion at slot i.
func (h hint) inserted(i int) hint {
	switch {
	case i == int(h.last)+1:
		h.asc, h.desc = min(h.asc, 254)+1, 0
	case i == int(h.last):
		h.asc, h.desc = 0, min(h.desc, 254)+1
	default:
		h.asc, h.desc = 0, 0
	}
	h.last = uint16(i)
	return h
}

// replaced returns the hint after the cell of slot i got another size. Cells that
// grow one after the other are a pattern as well: a transaction brings its changed
// buckets home in the order of their names.
func (h hint) replaced(i int) hint {
	if i == int(h.last) {
		return h
	}
	if i == int(h.last)+1 {
		return h.inserted(i)
	}
	return hint{last: uint16(i)}
}

// usedLeaf returns the bytes that the cells of n take with their entries.
func (n node) usedLeaf() int {
	size, _ := cells{n, 0, n.count()}.measure()
	return size + n.count()*leafEntrySize
}

// waste is how many bytes of the cell area of leaf n, a page, belong to no slot any
// more. A leaf in the file has none; while it is in memory, the upper half of its run
// length, which is 1, counts them.
func (n node) waste() int { return int(le.Uint16(n[page.OffRunLen+2:])) }

func (n node) setWaste(size int) { le.PutUint16(n[page.OffRunLen+2:], uint16(size)) }

// usedLeafPage is usedLeaf for a page, without a look at the cells.
func (n node) usedLeafPage() int {
	return n.header().CellBytes() - n.waste() + n.count()*leafEntrySize
}

// addLeafCell makes place for a cell at slot i and returns it, its header
// written; nil if the gap is too small. stub is what the node holds of the key.
func (n node) addLeafCell(i int, stub []byte, flags byte, payload int) []byte {
	size := leafCellHeader + len(stub) + payload
	if flags&FlagKeyRun != 0 {
		size += keyRefSize
	}
	if !n.sharesPrefix(stub, flags) {
		n.shortenPrefix(n.prefixFor(stub, flags))
	}
	if n.gap() < size+leafEntrySize {
		return nil
	}
	b, c := n.base(), n.count()
	heads, slots, end := b, leafSlots(b, c), leafEnd(b, c)
	copy(n[slots+headSize+slotSize*(i+1):], n[slots+slotSize*i:end])
	copy(n[slots+headSize:], n[slots:slots+slotSize*i])
	copy(n[heads+headSize*(i+1):], n[heads+headSize*i:slots])
	n.header().SetCount(c + 1)
	le.PutUint32(n[heads+headSize*i:], head(stub[n.prefixLen():]))
	return n.putLeafCell(i, stub, flags, payload, size)
}

// putLeafCell writes a cell of size bytes into the gap, points slot i to it and
// returns it.
func (n node) putLeafCell(i int, stub []byte, flags byte, payload, size int) []byte {
	p := n.header()
	cells := p.CellBytes() + size
	p.SetCellBytes(cells)
	off := len(n) - cells
	s := leafSlots(n.base(), n.count()) + slotSize*i
	le.PutUint32(n[s:], uint32(off)|uint32(len(stub))<<16)
	cell := n[off : off+size : off+size]
	cell[0] = flags
	le.PutUint16(cell[1:], uint16(payload))
	copy(cell[leafCellHeader:], stub)
	return cell
}

// replaceLeafCell gives slot i a new cell with the same key; nil if the gap is
// too small. The old cell stays where it is, unreachable.
func (n node) replaceLeafCell(i int, stub []byte, flags byte, payload int) []byte {
	size := leafCellHeader + len(stub) + payload
	if flags&FlagKeyRun != 0 {
		size += keyRefSize
	}
	if n.gap() < size {
		return nil
	}
	n.wasteCell(i)
	return n.putLeafCell(i, stub, flags, payload, size)
}

// wasteCell counts the cell of slot i, which loses its slot.
func (n node) wasteCell(i int) {
	size, _ := n.leafCellSize(n.leafSlot(i))
	n.setWaste(n.waste() + size)
}

// removeLeafCell drops slot i.
func (n node) removeLeafCell(i int) {
	n.wasteCell(i)
	b, c := n.base(), n.count()
	heads, slots, end := b, leafSlots(b, c), leafEnd(b, c)
	copy(n[heads+headSize*i:], n[heads+headSize*(i+1):slots])
	copy(n[slots-headSize:], n[slots:slots+slotSize*i])
	copy(n[slots-headSize+slotSize*i:], n[slots+slotSize*(i+1):end])
	n.header().SetCount(c - 1)
}

// sharesPrefix tells whether a cell with stub can be in n as n's prefix is.
func (n node) sharesPrefix(stub []byte, flags byte) bool {
	return len(usableStub(stub, flags)) >= n.prefixLen() && bytes.HasPrefix(stub, n.prefix())
}

// usableStub is the part of a key's stub that may become part of a prefix: the
// head behind the prefix must come from the stub, even if the key goes on in a
// run.
func usableStub(stub []byte, flags byte) []byte {
	if flags&FlagKeyRun != 0 {
		return stub[:len(stub)-headSize]
	}
	return stub
}

// prefixFor returns how much of n's prefix stub leaves.
func (n node) prefixFor(stub []byte, flags byte) int {
	return commonPrefix(usableStub(stub, flags), n.prefix())
}

// shortenPrefix cuts the prefix of leaf n to pl bytes.
func (n node) shortenPrefix(pl int) {
	ob, nb, c := n.base(), base(pl), n.count()
	copy(n[leafSlots(nb, c):], n[leafSlots(ob, c):leafEnd(ob, c)])
	n.header().SetPrefixLen(pl)
	for i := range c {
		le.PutUint32(n[nb+headSize*i:], head(n.leafKeyStub(i)[pl:]))
	}
}

// cells is a stretch of slots of a leaf.
type cells struct {
	n        node
	from, to int
}

func (s cells) len() int { return s.to - s.from }

// slots returns the slots of s as they are in the node.
func (s cells) slots() []byte {
	a := leafSlots(s.n.base(), s.n.count())
	return s.n[a+slotSize*s.from : a+slotSize*s.to]
}

// measure returns how many bytes the cells of s have, and the union of their flags.
func (s cells) measure() (size int, flags byte) {
	slots := s.slots()
	for len(slots) >= slotSize {
		v := le.Uint32(slots)
		slots = slots[slotSize:]
		cs, f := s.n.leafCellSize(int(v&0xffff), int(v>>16))
		size += cs
		flags |= f
	}
	return size, flags
}

// layoutLeaf fills dst, a buffer that nobody else uses, with the cells of the
// parts in their order: the longest prefix, cells without holes and ascending in
// memory so that a scan reads forward. At least reserve bytes stay free. It
// returns false, with dst in no particular state, if that does not fit.
func layoutLeaf(dst node, reserve int, parts ...cells) bool {
	count, size, flags := 0, 0, byte(0)
	for _, s := range parts {
		cs, f := s.measure()
		size += cs
		flags |= f
		count += s.len()
	}
	room := len(dst) - page.HeaderSize - size - count*leafEntrySize - reserve
	if room < 0 {
		return false
	}
	dst.header().Init(page.KindLeaf, 0, 1)
	pl := min(prefixOf(parts, flags), room&^3)
	dst.header().SetPrefixLen(pl)
	dst.header().SetCount(count)
	dst.header().SetCellBytes(size)
	b, off := base(pl), len(dst)
	i := count
	for p := len(parts) - 1; p >= 0; p-- {
		i -= parts[p].len()
		parts[p].copyHeads(dst[b+headSize*i:], pl)
		off = parts[p].copyCells(dst, off, leafSlots(b, count)+slotSize*i)
	}
	clear(dst[leafEnd(b, count):off])
	clear(dst[page.HeaderSize:b])
	if count > 0 {
		copy(dst[page.HeaderSize:], dst.leafKeyStub(0)[:pl])
	}
	return true
}

// copyHeads writes the heads of s behind a prefix of pl bytes to dst.
func (s cells) copyHeads(dst []byte, pl int) {
	n := s.n
	if pl == n.prefixLen() {
		b := n.base()
		copy(dst, n[b+headSize*s.from:b+headSize*s.to])
		return
	}
	for i := range s.len() {
		le.PutUint32(dst[headSize*i:], head(n.leafKeyStub(s.from + i)[pl:]))
	}
}

// copyCells copies the cells of s to dst, so that they end before end and ascend,
// and their slots to slots. It returns where the first one begins. Cells that lie
// one behind the other already, as most do, are copied together.
func (s cells) copyCells(dst node, end, slots int) int {
	n, src := s.n, s.slots()
	off := end       // of the cell that was seen last, in dst
	from, to := 0, 0 // what is to be copied next
	for i := s.len() - 1; i >= 0; i-- {
		v := le.Uint32(src[slotSize*i:])
		at := int(v & 0xffff)
		size, _ := n.leafCellSize(at, int(v>>16))
		if at+size != from {
			copy(dst[off:], n[from:to])
			to = at + size
		}
		from = at
		off -= size
		le.PutUint32(dst[slots+slotSize*i:], uint32(off)|v&^0xffff)
	}
	copy(dst[off:], n[from:to])
	return off
}

// copyLeaf fills dst, a buffer that nobody else uses, with leaf n as it is, but its
// cells without holes and ascending in memory.
func copyLeaf(dst, n node) {
	b, c := n.base(), n.count()
	slots := leafSlots(b, c)
	copy(dst, n[:slots])
	clear(dst[page.HeaderSize+n.prefixLen() : b])
	off := cells{n, 0, c}.copyCells(dst, len(dst), slots)
	clear(dst[leafEnd(b, c):off])
	dst.header().SetCellBytes(len(dst) - off)
	dst.setWaste(0)
	if invariants.Enabled {
		waste := n.header().CellBytes() - (len(dst) - off)
		invariants.Check(n.waste() == waste, "a leaf wastes %d bytes and counts %d", waste, n.waste())
	}
}

// bestLeafPrefix tells whether the prefix of leaf n, whose cells have no holes, cannot be
// longer: its first and its last key share no more, or there is no room for more. Or it has
// one key, whose prefix is a guess anyway.
func (n node) bestLeafPrefix() bool {
	c := n.count()
	if c < 2 {
		return true
	}
	pl, room := n.prefixLen(), n.base()-page.HeaderSize+n.gap()
	return room&^3 <= pl || commonPrefix(n.leafKeyStub(0), n.leafKeyStub(c-1)) == pl
}

// prefixOf returns the length of the prefix of all cells, flags being the union
// of theirs. It looks at every cell: in a damaged file, keys that only their runs
// could tell apart may be out of order.
func prefixOf(parts []cells, flags byte) int {
	var prefix []byte
	firstPL, count := 0, 0
	for _, s := range parts {
		for i := s.from; i < s.to; i++ {
			stub := s.n.leafKeyStub(i)
			if count == 0 {
				prefix, firstPL = stub, s.n.prefixLen()
			} else if !bytes.HasPrefix(stub, prefix) {
				prefix = prefix[:commonPrefix(stub, prefix)]
			}
			count++
		}
	}
	if count < 2 {
		// The prefix of a single key would be all of it, and the next key would
		// cut it: the one it had before is a better guess.
		return firstPL
	}
	pl := len(prefix)
	if flags&FlagKeyRun == 0 {
		return pl
	}
	// Every stub must reach behind the prefix by a head.
	for _, s := range parts {
		for i := s.from; i < s.to; i++ {
			if off, kl := s.n.leafSlot(i); s.n[off]&FlagKeyRun != 0 {
				pl = min(pl, kl-headSize)
			}
		}
	}
	return pl
}
