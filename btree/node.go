package btree

// This file is responsible for reading a node in place. Nothing in it changes a
// byte, and nothing in it can leave the node: verify.go has looked at every
// offset and length before a node gets here.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// lowerBound returns the first of c heads, at b in n, that is >= h. Which way a
// search goes cannot be predicted, so it is computed: the compiler makes a branch
// of an if here, and that takes three times as long. It is not inlined because
// its callers have too few registers left for it.
//
//go:noinline
func (n node) lowerBound(b, c int, h uint32) int {
	if c == 0 {
		return 0
	}
	at := uint(b)
	for c > 1 {
		half := uint(c >> 1)
		end := at + half*headSize
		at += half * headSize & -below(le.Uint32(n[end-headSize:end]), h)
		c -= int(half)
	}
	return (int(at)-b)/headSize + int(below(le.Uint32(n[at:]), h))
}

// below returns 1 if x < h, else 0.
func below(x, h uint32) uint { return uint((uint64(x) - uint64(h)) >> 63) }

// comparePrefix tells where key lies relative to all keys with the node's
// prefix: -1 before, +1 behind, 0 among them.
func (n node) comparePrefix(key []byte) int {
	pre := n.prefix()
	if len(pre) == 0 {
		return 0
	}
	if len(key) >= len(pre) {
		return bytes.Compare(key[:len(pre)], pre)
	}
	if bytes.Compare(key, pre) < 0 {
		return -1
	}
	return 1
}

// leafCell is a decoded leaf cell. Its slices are parts of the node.
type leafCell struct {
	flags   byte
	key     []byte // in the node; only the stub of a key with FlagKeyRun
	keyRef  []byte // keyRefSize bytes, or empty
	payload []byte
}

// leafSlot returns where the cell of slot i begins and how many key bytes it has.
func (n node) leafSlot(i int) (off, keyLen int) {
	s := leafSlots(n.base(), n.count()) + i*slotSize
	v := le.Uint32(n[s:])
	return int(v & 0xffff), int(v >> 16)
}

func (n node) leafCell(i int) leafCell {
	off, kl := n.leafSlot(i)
	return n.leafCellAt(off, kl)
}

func (n node) leafCellAt(off, kl int) leafCell {
	var c leafCell
	c.flags = n[off]
	pl := int(le.Uint16(n[off+1:]))
	k := off + leafCellHeader
	p := k + kl
	c.key = n[k:p:p]
	if c.flags&FlagKeyRun != 0 {
		c.keyRef = n[p : p+keyRefSize]
		p += keyRefSize
	}
	c.payload = n[p : p+pl : p+pl]
	return c
}

// leafCellBytes returns all bytes of the cell of slot i, and its key length.
func (n node) leafCellBytes(i int) ([]byte, int) {
	off, kl := n.leafSlot(i)
	size, _ := n.leafCellSize(off, kl)
	return n[off : off+size], kl
}

// leafCellSize returns the size and the flags of the cell at off with kl key bytes.
// A key has a byte at least, so four can be read.
func (n node) leafCellSize(off, kl int) (int, byte) {
	v := le.Uint32(n[off:])
	size := leafCellHeader + kl + int(v>>8&0xffff)
	if v&FlagKeyRun != 0 {
		size += keyRefSize
	}
	return size, byte(v)
}

// leafKeyStub returns the key bytes of slot i that are in the node.
func (n node) leafKeyStub(i int) []byte {
	off, kl := n.leafSlot(i)
	k := off + leafCellHeader
	return n[k : k+kl : k+kl]
}

// compareLeafKey compares key with the key of slot i.
func (n node) compareLeafKey(r Reader, key []byte, i int) (int, error) {
	return n.compareCellKey(r, key, le.Uint32(n[leafSlots(n.base(), n.count())+i*slotSize:]))
}

// compareCellKey compares key with the key of the cell that slot leads to.
func (n node) compareCellKey(r Reader, key []byte, slot uint32) (int, error) {
	off := int(slot & 0xffff)
	k := off + leafCellHeader
	end := k + int(slot>>16)
	if n[off]&FlagKeyRun == 0 {
		return bytes.Compare(key, n[k:end]), nil
	}
	return compareLong(r, key, n[k:end], n[end:end+keyRefSize])
}

// compareLong compares key with a key that continues in a run.
func compareLong(r Reader, key, stub, ref []byte) (int, error) {
	if c := bytes.Compare(key[:min(len(key), len(stub))], stub); c != 0 {
		return c, nil
	}
	long, err := keyRun(r, ref, stub)
	if err != nil {
		return 0, err
	}
	return bytes.Compare(key, long), nil
}

// searchLeaf returns the first slot whose key is >= key, and whether it is key.
func (n node) searchLeaf(r Reader, key []byte) (int, bool, error) {
	c := n.count()
	if cmp := n.comparePrefix(key); cmp != 0 {
		if cmp < 0 {
			return 0, false, nil
		}
		return c, false, nil
	}
	pl := n.prefixLen()
	b := base(pl)
	h := head(key[pl:])
	lo := n.lowerBound(b, c, h)
	if lo == c || le.Uint32(n[b+lo*headSize:]) != h {
		return lo, false, nil
	}
	// Equal heads are mostly one; the first comparison decides then.
	slots := leafSlots(b, c)
	cmp, err := n.compareCellKey(r, key, le.Uint32(n[slots+lo*slotSize:]))
	if err != nil || cmp <= 0 {
		return lo, cmp == 0, err
	}
	lo++
	for hi := c; lo < hi; {
		mid := int(uint(lo+hi) >> 1)
		if le.Uint32(n[b+mid*headSize:]) != h {
			hi = mid
			continue
		}
		cmp, err := n.compareCellKey(r, key, le.Uint32(n[slots+mid*slotSize:]))
		if err != nil {
			return 0, false, err
		}
		switch {
		case cmp == 0:
			return mid, true, nil
		case cmp < 0:
			hi = mid
		default:
			lo = mid + 1
		}
	}
	return lo, false, nil
}

// Children of a branch.

func (n node) childID(i int) page.ID {
	return page.ID(le.Uint64(n[branchIDs(n.base(), n.count())+8*i:]))
}

func (n node) childBirth(i int) page.TxID {
	return page.TxID(le.Uint64(n[branchBirths(n.base(), n.count())+8*i:]))
}

func (n node) childTally(i int) uint64 {
	return le.Uint64(n[branchCounts(n.base(), n.count())+8*i:])
}

func (n node) childCount(i int) uint64 { return n.childTally(i) & countMask }
func (n node) childFlags(i int) byte   { return byte(n.childTally(i) >> countBits) }

// keys returns the number of leaf cells in and below n.
func (n node) keys() uint64 {
	if n.isLeaf() {
		return uint64(n.count())
	}
	return n.countBefore(n.count())
}

// tally returns the number of leaf cells in and below n, and their flags.
func (n node) tally() (uint64, byte) {
	var count uint64
	var flags byte
	if n.isLeaf() {
		for i := range n.count() {
			off, _ := n.leafSlot(i)
			flags |= n[off]
		}
		return uint64(n.count()), flags
	}
	for i := range n.count() {
		t := n.childTally(i)
		count += t & countMask
		flags |= byte(t >> countBits)
	}
	return count, flags
}

// countBefore returns the number of leaf cells below the children before i.
func (n node) countBefore(i int) uint64 {
	counts := n[branchCounts(n.base(), n.count()):]
	var sum uint64
	for j := range i {
		sum += le.Uint64(counts[8*j:]) & countMask
	}
	return sum
}

// branchSlot returns the offset of the cell of separator i, the length of the
// separator after the prefix as far as the node holds it, and whether a key
// reference follows.
func (n node) branchSlot(i int) (off, length int, long bool) {
	v := le.Uint32(n[branchSlots(n.base(), n.count())+i*slotSize:])
	length = int(v >> 16)
	return int(v & 0xffff), length &^ sepRunBit, length&sepRunBit != 0
}

// sepRest returns the bytes of separator i behind its head, and its key
// reference.
func (n node) sepRest(i int) (rest, ref []byte, long bool) {
	off, length, long := n.branchSlot(i)
	rest, ref = n.sepCell(off, length, long)
	return rest, ref, long
}

// sepCell is sepRest of what branchSlot has returned.
func (n node) sepCell(off, length int, long bool) (rest, ref []byte) {
	size := max(length-headSize, 0)
	if size > 0 {
		rest = n[off : off+size]
	}
	if long {
		ref = n[off+size : off+size+keyRefSize]
	}
	return rest, ref
}

// compareSep compares key, which has the node's prefix, with separator i. Their
// heads are equal.
func (n node) compareSep(r Reader, key []byte, i int) (int, error) {
	suffix := key[n.prefixLen():]
	off, length, long := n.branchSlot(i)
	rest, ref := n.sepCell(off, length, long)
	if long {
		if len(suffix) < headSize {
			return -1, nil // all of it, and zeroes, are in the separator's head
		}
		if c := bytes.Compare(suffix[headSize:min(len(suffix), headSize+len(rest))], rest); c != 0 {
			return c, nil
		}
		full, err := keyRun(r, ref, n.prefix())
		if err != nil {
			return 0, err
		}
		return bytes.Compare(key, full), nil
	}
	if length <= headSize || len(suffix) <= headSize {
		// Equal heads, so they differ at most in trailing zero bytes: the shorter
		// one is a prefix of the other.
		return min(len(suffix), headSize+1) - min(length, headSize+1), nil
	}
	return bytes.Compare(suffix[headSize:], rest), nil
}

// searchBranch returns the child that key belongs to.
func (n node) searchBranch(r Reader, key []byte) (int, error) {
	c := n.count()
	if cmp := n.comparePrefix(key); cmp != 0 {
		if cmp < 0 {
			return 0, nil
		}
		return c - 1, nil
	}
	pl := n.prefixLen()
	b := base(pl)
	h := head(key[pl:])
	// Separators 1.. are searched; the first with a head >= h:
	lo := 1 + n.lowerBound(b+headSize, c-1, h)
	if lo == c || le.Uint32(n[b+lo*headSize:]) != h {
		return lo - 1, nil
	}
	for hi := c; lo < hi; { // the first separator > key
		mid := int(uint(lo+hi) >> 1)
		if le.Uint32(n[b+mid*headSize:]) != h {
			hi = mid
			continue
		}
		cmp, err := n.compareSep(r, key, mid)
		if err != nil {
			return 0, err
		}
		if cmp < 0 {
			hi = mid
		} else {
			lo = mid + 1
		}
	}
	return lo - 1, nil
}

// appendSep appends separator i, prefix and all, as far as the node holds it.
func (n node) appendSep(dst []byte, i int) []byte {
	if i == 0 {
		return dst
	}
	return n.appendSuffix(append(dst, n.prefix()...), i)
}

// appendSuffix appends what separator i >= 1 has behind the prefix, as far as the
// node holds it.
func (n node) appendSuffix(dst []byte, i int) []byte {
	_, length, _ := n.branchSlot(i)
	h := le.Uint32(n[n.base()+i*headSize:])
	for j := range min(length, headSize) {
		dst = append(dst, byte(h>>(24-8*j)))
	}
	rest, _, _ := n.sepRest(i)
	return append(dst, rest...)
}
