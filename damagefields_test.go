package folio_test

// What the bytes of a page are: the fields of every kind of page, so that damage can
// be done to each of them.

import (
	"encoding/binary"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// pageKind is what a page is used for.
type pageKind int

const (
	kindMeta pageKind = iota
	kindBranch
	kindLeaf
	kindRun      // the first page of an overflow run
	kindRunRest  // the others
	kindFreelist // of one page, or the first of a run
	kindFree
	kindSlack // behind the high-water mark
	numPageKinds
)

func (k pageKind) String() string {
	return [...]string{"meta", "branch", "leaf", "run", "rest of a run", "freelist", "free", "slack"}[k]
}

// kindOf returns what a page is that PageMap says is used as what.
func kindOf(what string, p page.Page, first bool) pageKind {
	switch {
	case what == "meta":
		return kindMeta
	case what == "free":
		return kindFree
	case what == "freelist" && first:
		return kindFreelist
	case what == "overflow" && first:
		return kindRun
	case what == "node" && p.Kind() == page.KindBranch:
		return kindBranch
	case what == "node":
		return kindLeaf
	}
	return kindRunRest
}

// fieldRange is where a field is in its page.
type fieldRange struct{ off, n int }

// fieldMap is the fields of a page, by name, each in all its places.
type fieldMap struct {
	names  []string
	ranges map[string][]fieldRange
}

func (m *fieldMap) add(name string, off, n int) {
	if n <= 0 {
		return
	}
	if m.ranges == nil {
		m.ranges = map[string][]fieldRange{}
	}
	if m.ranges[name] == nil {
		m.names = append(m.names, name)
	}
	m.ranges[name] = append(m.ranges[name], fieldRange{off, n})
}

func (m *fieldMap) addTable(prefix string, off int, fields []page.Field) {
	for _, f := range fields {
		m.add(prefix+f.Name, off+f.Offset, f.Size)
	}
}

// fieldsOf returns the fields of page p, which belongs to the run that head begins.
func fieldsOf(kind pageKind, p, head []byte) fieldMap {
	var m fieldMap
	switch kind {
	case kindMeta:
		m.addMeta(p)
	case kindBranch:
		m.addBranch(p)
	case kindLeaf:
		m.addLeaf("", 0, p)
	case kindRun:
		m.addRun(p)
	case kindFreelist:
		m.addTable("", 0, page.Layout().Fields)
		m.addTable("", 0, freelist.Layout().Fields)
		used := freelist.PageOverhead + int(u32(p, 52))
		m.add("payload", freelist.PageOverhead, min(len(p), used)-freelist.PageOverhead)
		m.add("unused", used, len(p)-used)
	default:
		m.add("bytes", 0, len(p))
	}
	return m
}

func u16(b []byte, off int) int    { return int(binary.LittleEndian.Uint16(b[off:])) }
func u32(b []byte, off int) uint32 { return binary.LittleEndian.Uint32(b[off:]) }

func (m *fieldMap) addMeta(p []byte) {
	for _, f := range meta.Layout() {
		if f.Name != "body" {
			m.add(f.Name, f.Offset, f.Size)
			continue
		}
		tail, count, ids := u16(p, 104), u16(p, 106), u16(p, 108)
		at := f.Offset
		for _, part := range []struct {
			name string
			n    int
		}{{"tail", tail}, {"record ids", ids}, {"record sums", 8 * count}} {
			m.add(part.name, at, part.n)
			at += part.n
		}
		if u32(p, 100)&4 != 0 {
			m.add("since", at, 8)
			at += 8
		}
		m.add("rest of the body", at, f.Offset+f.Size-at)
	}
	m.add("behind the meta", meta.Size, len(p)-meta.Size)
}

// nodeBase returns where the arrays of a node begin, after adding what is before.
func (m *fieldMap) nodeBase(prefix string, off int, p []byte) int {
	m.addTable(prefix, off, page.Layout().Fields)
	pl := page.Page(p).PrefixLen()
	m.add(prefix+"prefix", off+page.HeaderSize, pl)
	m.add(prefix+"padding", off+page.HeaderSize+pl, (4-pl%4)%4)
	return page.HeaderSize + (pl+3)&^3
}

func (m *fieldMap) addBranch(p []byte) {
	n := page.Page(p).Count()
	heads := m.nodeBase("", 0, p)
	ids := heads + 4*n
	slots := ids + 8*n
	births := slots + 4*n
	counts := births + 8*n
	for i := range n {
		m.add("head", heads+4*i, 4)
		m.add("child id", ids+8*i, 8)
		m.add("slot offset", slots+4*i, 2)
		m.add("slot key length", slots+4*i+2, 2)
		m.add("child birth", births+8*i, 8)
		m.add("child count", counts+8*i, 7)
		m.add("child flags", counts+8*i+7, 1)
		off, kl := u16(p, slots+4*i), u16(p, slots+4*i+2)
		size := max(kl&0x7fff-4, 0)
		m.add("separator", off, size)
		if kl>>15 != 0 {
			m.addKeyRef(off + size)
		}
	}
	cells := len(p) - page.Page(p).CellBytes()
	m.add("gap", counts+8*n, cells-counts-8*n)
}

func (m *fieldMap) addKeyRef(at int) {
	m.add("key reference length", at, 2)
	m.add("key reference id", at+2, 8)
	m.add("key reference birth", at+10, 8)
}

// addLeaf adds a leaf that begins at off in its page.
func (m *fieldMap) addLeaf(prefix string, off int, p []byte) {
	n := page.Page(p).Count()
	heads := m.nodeBase(prefix, off, p)
	slots := heads + 4*n
	for i := range n {
		m.add(prefix+"head", off+heads+4*i, 4)
		m.add(prefix+"slot offset", off+slots+4*i, 2)
		m.add(prefix+"slot key length", off+slots+4*i+2, 2)
		m.addCell(prefix, off, p, u16(p, slots+4*i), u16(p, slots+4*i+2))
	}
	cells := len(p) - page.Page(p).CellBytes()
	m.add(prefix+"gap", off+slots+4*n, cells-slots-4*n)
}

// addCell adds the cell at at in leaf p, which begins at off in its page.
func (m *fieldMap) addCell(prefix string, off int, p []byte, at, keyLen int) {
	flags, payload := p[at], u16(p, at+1)
	m.add(prefix+"cell flags", off+at, 1)
	m.add(prefix+"payload length", off+at+1, 2)
	m.add(prefix+"key", off+at+3, keyLen)
	at += 3 + keyLen
	if flags&btree.FlagKeyRun != 0 {
		m.addKeyRef(off + at)
		at += 18
	}
	switch {
	case flags&btree.FlagValueRun != 0:
		m.add("value reference length", off+at, 4)
		m.add("value reference id", off+at+4, 8)
		m.add("value reference birth", off+at+12, 8)
	case flags&btree.FlagBucket != 0:
		m.add("bucket root", off+at, 8)
		m.add("bucket birth", off+at+8, 8)
		m.add("bucket count", off+at+16, 8)
		m.add("bucket sequence", off+at+24, 8)
		if own := p[at+btree.HeaderSize : at+payload]; len(own) > 0 {
			m.addLeaf("own leaf: ", off+at+btree.HeaderSize, own)
		}
	default:
		m.add(prefix+"value", off+at, payload)
	}
}

func (m *fieldMap) addRun(p []byte) {
	m.addTable("", 0, page.Layout().Fields)
	n := int(binary.LittleEndian.Uint64(p[32:]))
	sums := 40 + 8*max(1, (n+64<<10-1)/(64<<10))
	data := (sums + 15) &^ 15
	m.add("data length", 32, 8)
	m.add("chunk sums", 40, sums-40)
	m.add("padding", sums, data-sums)
	m.add("data", data, min(len(p), data+n)-data)
	m.add("rest of the run", data+n, len(p)-data-n)
}
