package main

// This file is responsible for the outlines of a file of bbolt: that every page that
// is referred to is in the file, of the kind that it should be, and referred to once,
// and that its cells lie in it. bbolt takes that for granted, and where it is not so, it
// reads outside of the file, or for ever. What is in the cells is left to bbolt.

import (
	enc "encoding/binary"
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
	bolt "go.etcd.io/bbolt"
)

// The layout of bbolt's pages; integers are in the byte order of the machine.
const (
	boltHeader = 16 // id, flags, count, overflow
	boltCell   = 16 // of a branch: position, key size, child; of a leaf: flags, position, key size, value size
	boltBucket = 16 // root, sequence: the value of a bucket, with its only leaf behind it if root is 0

	boltIsBranch = 1
	boltIsLeaf   = 2
	boltNested   = 1 // flag of a cell
)

// boltPages is one check of the outlines.
type boltPages struct {
	file     *os.File
	pageSize int64
	pages    uint64 // in the file
	seen     []uint64
	bar      *progressbar.ProgressBar
}

// checkBoltPages checks what can be reached from the root of tx.
func checkBoltPages(path string, tx *bolt.Tx, bar *progressbar.ProgressBar) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	ps := int64(tx.DB().Info().PageSize)
	p := boltPages{file: f, pageSize: ps, pages: uint64(tx.Size() / ps), bar: bar}
	p.seen = make([]uint64, p.pages/64+1)
	err = p.page(uint64(tx.Cursor().Bucket().Root()))
	_ = bar.Finish() // only looks
	return err
}

// take notes that pages [id, id+n) are in use.
func (p *boltPages) take(id, n uint64) error {
	if id < 2 || id >= p.pages || n > p.pages-id {
		return fmt.Errorf("page %d: it is referred to, and not in the file", id)
	}
	for i := id; i < id+n; i++ {
		if p.seen[i/64]&(1<<(i%64)) != 0 {
			return fmt.Errorf("page %d: it is referred to twice", i)
		}
		p.seen[i/64] |= 1 << (i % 64)
	}
	_ = p.bar.Add64(int64(n) * p.pageSize) // only looks
	return nil
}

// page checks page id and those below it.
func (p *boltPages) page(id uint64) error {
	if err := p.take(id, 1); err != nil {
		return err
	}
	var h [boltHeader]byte
	at := int64(id) * p.pageSize
	if _, err := p.file.ReadAt(h[:], at); err != nil {
		return err
	}
	n := boltNode{at: at}
	n.decode(h[:])
	if err := p.take(id+1, uint64(n.overflow)); n.overflow > 0 && err != nil {
		return err
	}
	if n.id != id {
		return fmt.Errorf("page %d: it says that it is page %d", id, n.id)
	}
	n.size = p.pageSize * (1 + int64(n.overflow))
	if err := p.node(&n); err != nil {
		return fmt.Errorf("page %d: %w", id, err)
	}
	return nil
}

// boltNode is the header of a node, in a page or inline.
type boltNode struct {
	id       uint64
	flags    uint16
	count    uint16
	overflow uint32
	at, size int64 // where its bytes are in the file
}

func (n *boltNode) decode(h []byte) {
	n.id = enc.NativeEndian.Uint64(h)
	n.flags, n.count = enc.NativeEndian.Uint16(h[8:]), enc.NativeEndian.Uint16(h[10:])
	n.overflow = enc.NativeEndian.Uint32(h[12:])
}

// node checks the cells of n and what they refer to.
func (p *boltPages) node(n *boltNode) error {
	if n.flags != boltIsBranch && n.flags != boltIsLeaf || n.flags == boltIsBranch && n.count == 0 {
		return fmt.Errorf("it is no node: flags %#x, %d cells", n.flags, n.count)
	}
	cells := make([]byte, boltCell*int64(n.count))
	if boltHeader+int64(len(cells)) > n.size {
		return fmt.Errorf("%d cells cannot be in it", n.count)
	}
	if _, err := p.file.ReadAt(cells, n.at+boltHeader); err != nil {
		return err
	}
	for i := int64(0); i < int64(n.count); i++ {
		c := cells[i*boltCell : (i+1)*boltCell]
		if err := p.cell(n, i*boltCell+boltHeader, c); err != nil {
			return err
		}
	}
	return nil
}

// cell checks cell c of n, which is at byte off of it.
func (p *boltPages) cell(n *boltNode, off int64, c []byte) error {
	word := func(i int) int64 { return int64(enc.NativeEndian.Uint32(c[4*i:])) }
	if n.flags == boltIsBranch {
		if off+word(0)+word(1) > n.size {
			return fmt.Errorf("a key is outside of it")
		}
		return p.page(enc.NativeEndian.Uint64(c[8:]))
	}
	value := off + word(1) + word(2)
	if value+word(3) > n.size {
		return fmt.Errorf("a value is outside of it")
	}
	if word(0)&boltNested == 0 {
		return nil
	}
	return p.bucket(n.at+value, word(3))
}

// bucket checks the bucket whose size bytes are at byte at of the file.
func (p *boltPages) bucket(at, size int64) error {
	var b [boltBucket + boltHeader]byte
	if size < boltBucket {
		return fmt.Errorf("a bucket of %d bytes", size)
	}
	if _, err := p.file.ReadAt(b[:min(size, int64(len(b)))], at); err != nil {
		return err
	}
	if root := enc.NativeEndian.Uint64(b[:]); root != 0 {
		return p.page(root)
	}
	if size < int64(len(b)) {
		return fmt.Errorf("a bucket without a page, of %d bytes", size)
	}
	n := boltNode{at: at + boltBucket, size: size - boltBucket}
	n.decode(b[boltBucket:])
	if n.flags != boltIsLeaf {
		return fmt.Errorf("a bucket with a page of flags %#x in it", n.flags)
	}
	return p.node(&n)
}
