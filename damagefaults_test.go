package folio_test

// The kinds of damage. Each takes a random page of a random kind, so that rare pages
// are hit as often as leaves, and in it a random field.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"

	"github.com/foliodb/folio/meta"
)

// damage is a damaged image of a file.
type damage struct {
	f       *damageFile
	content []byte
	kind    pageKind // of the page that was chosen
	field   string   // in it, or ""
	pages   []int    // that may differ
	what    string
}

func (d *damage) page(id int) []byte { return d.f.page(d.content, id) }

// changed tells whether anything differs.
func (d *damage) changed() bool { return !bytes.Equal(d.content, d.f.content) }

// damageKind is a kind of damage. do returns false if it cannot be done to the file,
// or to what it has chosen.
type damageKind struct {
	name string
	do   func(d *damage, rnd *rand.Rand) bool
}

var damageKinds = []damageKind{
	{"bit flipped", damageBit},
	{"byte changed", damageByte},
	{"field changed", damageField},
	{"noise", damageNoise},
	{"bytes zeroed", damageZero},
	{"sector zeroed", func(d *damage, rnd *rand.Rand) bool { clear(d.sector(d.choose(rnd), rnd)); return true }},
	{"page zeroed", func(d *damage, rnd *rand.Rand) bool { clear(d.page(d.choose(rnd))); return true }},
	{"pages swapped", damageSwap},
	{"page doubled", damageDouble},
	{"page spliced", damageSplice},
	{"page stale", damageStale},
	{"page torn", damageTorn},
	{"page of another file", damageForeign},
	{"file cut off", damageCut},
}

// chooseKind returns a kind of page; those that nobody reads come seldom.
func chooseKind(rnd *rand.Rand) pageKind {
	weights := [numPageKinds]int{3, 4, 4, 3, 2, 3, 1, 1}
	for {
		if k := pageKind(rnd.IntN(int(numPageKinds))); rnd.IntN(4) < weights[k] {
			return k
		}
	}
}

// choose chooses a page: the first one of d.kind, any further one of any kind.
func (d *damage) choose(rnd *rand.Rand) int {
	k := d.kind
	if len(d.pages) > 0 {
		k = chooseKind(rnd)
	}
	ids := d.f.byKind[k]
	for len(ids) == 0 {
		ids = d.f.byKind[chooseKind(rnd)]
	}
	id := ids[rnd.IntN(len(ids))]
	d.pages = append(d.pages, id)
	d.what = fmt.Sprintf("%v page %d", k, id)
	return id
}

// chooseField chooses a place where a field is.
func (d *damage) chooseField(rnd *rand.Rand) []byte {
	id := d.choose(rnd)
	m := &d.f.fields[id]
	d.field = m.names[rnd.IntN(len(m.names))]
	at := m.ranges[d.field][rnd.IntN(len(m.ranges[d.field]))]
	d.what += fmt.Sprintf(", %s at %d", d.field, at.off)
	return d.page(id)[at.off : at.off+at.n]
}

// sector returns one of the sectors of a page.
func (d *damage) sector(id int, rnd *rand.Rand) []byte {
	at := rnd.IntN(d.f.pageSize/512) * 512
	d.what += fmt.Sprintf(", sector at %d", at)
	return d.page(id)[at : at+512]
}

func damageBit(d *damage, rnd *rand.Rand) bool {
	b := d.chooseField(rnd)
	b[rnd.IntN(len(b))] ^= 1 << rnd.IntN(8)
	return true
}

func damageByte(d *damage, rnd *rand.Rand) bool {
	b := d.chooseField(rnd)
	b[rnd.IntN(len(b))] = [...]byte{0, 1, 0xff, byte(rnd.Uint32())}[rnd.IntN(4)]
	return true
}

// damageField makes a number of a field, or of a part of it, another number.
func damageField(d *damage, rnd *rand.Rand) bool {
	b := d.chooseField(rnd)
	mutate(b[:min(len(b), 8)], rnd)
	return true
}

// mutate changes a number of up to eight bytes in one of the ways that hurt.
func mutate(b []byte, rnd *rand.Rand) {
	var wide [8]byte
	copy(wide[:], b)
	v := binary.LittleEndian.Uint64(wide[:])
	switch rnd.IntN(8) {
	case 0:
		v = 0
	case 1:
		v = ^uint64(0)
	case 2:
		v++
	case 3:
		v--
	case 4:
		v = uint64(rnd.IntN(200))
	case 5:
		v ^= 1 << rnd.IntN(8*len(b))
	case 6:
		v = 1 << rnd.IntN(8*len(b))
	case 7:
		v = rnd.Uint64()
	}
	binary.LittleEndian.PutUint64(wide[:], v)
	copy(b, wide[:])
}

func damageNoise(d *damage, rnd *rand.Rand) bool {
	p := d.page(d.choose(rnd))
	at := rnd.IntN(len(p))
	for i := range p[at:min(len(p), at+1+rnd.IntN(512))] {
		p[at+i] = byte(rnd.Uint32())
	}
	return true
}

func damageZero(d *damage, rnd *rand.Rand) bool {
	b := d.chooseField(rnd)
	clear(b[:1+rnd.IntN(len(b))])
	return true
}

func damageSwap(d *damage, rnd *rand.Rand) bool {
	i, j := d.choose(rnd), d.choose(rnd)
	copy(d.page(i), d.f.page(d.f.content, j))
	copy(d.page(j), d.f.page(d.f.content, i))
	return i != j
}

// damageDouble is a write that went to the wrong place: what was there is gone.
func damageDouble(d *damage, rnd *rand.Rand) bool {
	from := rnd.IntN(len(d.f.kinds))
	copy(d.page(d.choose(rnd)), d.f.page(d.f.content, from))
	return true
}

// damageSplice puts bytes of one page into another.
func damageSplice(d *damage, rnd *rand.Rand) bool {
	from := d.f.page(d.f.content, rnd.IntN(len(d.f.kinds)))
	to := d.page(d.choose(rnd))
	at := rnd.IntN(len(to))
	copy(to[at:min(len(to), at+1+rnd.IntN(len(to)))], from[at:])
	return true
}

// damageStale is a write that was lost: the page is whole, and as it was before.
func damageStale(d *damage, rnd *rand.Rand) bool {
	id := d.choose(rnd)
	older := d.f.older(id)
	if len(older) == 0 {
		return false
	}
	copy(d.page(id), older[rnd.IntN(len(older))])
	return true
}

// damageTorn is a write of which some sectors were lost.
func damageTorn(d *damage, rnd *rand.Rand) bool {
	id := d.choose(rnd)
	older := d.f.older(id)
	if len(older) == 0 {
		return false
	}
	old := older[rnd.IntN(len(older))]
	one := rnd.IntN(len(old)/512) * 512
	many := rnd.IntN(2) == 0
	for at := 0; at < len(old); at += 512 {
		if at == one || many && rnd.IntN(2) == 0 {
			copy(d.page(id)[at:at+512], old[at:])
		}
	}
	return true
}

func damageForeign(d *damage, rnd *rand.Rand) bool {
	id := d.choose(rnd)
	p := d.f.page(d.f.foreign, id)
	copy(d.page(id), p)
	return p != nil
}

// damageCut cuts the file off somewhere; an empty one is a new database.
func damageCut(d *damage, rnd *rand.Rand) bool {
	at := 1 + rnd.IntN(len(d.content)-1)
	if rnd.IntN(2) == 0 {
		at = max(d.f.pageSize, at/d.f.pageSize*d.f.pageSize)
	}
	d.what = fmt.Sprintf("cut off at %d of %d", at, len(d.content))
	d.kind = numPageKinds
	d.content = d.content[:at]
	return true
}

// newDamage returns damage of a kind to one of the files, the same for the same seed.
// The kind of page is chosen before the file, so that rare ones are hit as often.
func newDamage(files []*damageFile, kind damageKind, rnd *rand.Rand) *damage {
	for {
		f, on := files[rnd.IntN(len(files))], chooseKind(rnd)
		for len(f.byKind[on]) == 0 {
			f = files[rnd.IntN(len(files))]
		}
		d := &damage{f: f, content: bytes.Clone(f.content), kind: on}
		if kind.do(d, rnd) && d.changed() {
			return d
		}
	}
}

// harmless tells whether no reader can need what differs: free pages, bytes behind the
// metas and the high-water mark, and an earlier version of the meta that does not hold.
func (d *damage) harmless() bool {
	if len(d.content) < d.f.pages*d.f.pageSize {
		return false
	}
	for _, id := range d.pages {
		before, after := d.f.page(d.f.content, id), d.page(id)
		switch kind := d.f.kinds[id]; {
		case kind == kindFree || kind == kindSlack || bytes.Equal(before, after):
		case kind == kindMeta && bytes.Equal(before[:meta.Size], after[:meta.Size]):
		case kind == kindMeta && id != d.f.slot:
			if m, err := meta.Decode(after, id); err != nil || int(m.TxID) >= d.f.txid {
				return false
			}
		default:
			return false
		}
	}
	return true
}
