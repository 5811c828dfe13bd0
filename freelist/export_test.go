package freelist

import (
	"cmp"
	"fmt"
	mathbits "math/bits"
	"slices"

	"github.com/google/btree"

	"github.com/foliodb/folio/internal/page"
)

// Verify checks the rules of the in-memory structures, F1 to F5, F9 to F10, F17, F20
// and F21.
func (l *List) Verify() error {
	free, err := l.free.verify("free")
	if err != nil {
		return err
	}
	held, err := l.pending.verify()
	if err != nil {
		return err
	}
	for _, e := range held {
		if l.AnyFree(e) {
			return fmt.Errorf("F5: pending extent %+v is free too", e)
		}
	}
	zoned, err := l.zone.verify("zone")
	if err != nil {
		return err
	}
	if len(zoned) > 0 && zoned[len(zoned)-1].End() > l.zone.limit || len(free) > 0 && free[0].Start < l.zone.limit {
		return fmt.Errorf("F17: the zone ends at %d, in it %v, behind it %v", l.zone.limit, zoned, free)
	}
	return nil
}

// verify checks the bits against all that is derived from them, and returns the extents.
func (s *space) verify(name string) (es []Extent, err error) {
	var pages uint64
	var short [longFrom]int
	var long []Extent
	starts := make(map[int]*[longFrom]uint16)
	for i, c := range s.chunks {
		n := 0
		for j := range chunkPages {
			if id := page.ID(i*chunkPages + j); s.has(id) {
				n++
				if k := len(es) - 1; k >= 0 && es[k].End() == id {
					es[k].Len++
				} else {
					es = append(es, Extent{Start: id, Len: 1})
				}
			}
		}
		if c != nil && c.free != n || (n == 0) != (c == nil) || (n == chunkPages) != (c == allFree) {
			return nil, fmt.Errorf("F20: %d %s pages in chunk %d", n, name, i)
		}
		pages += uint64(n)
		if c == nil {
			continue
		}
		for w, has := range c.windows {
			window := Extent{Start: page.ID(i*chunkPages + w*WindowPages), Len: WindowPages}
			n := uint64(0)
			for _, part := range s.within(window) {
				n += part.Len
			}
			if uint64(has) != n {
				return nil, fmt.Errorf("F20: window %d of chunk %d has %d %s pages, and says %d", w, i, n, name, has)
			}
		}
	}
	for _, e := range es {
		if !e.valid() {
			return nil, fmt.Errorf("F1: %s extent %+v cannot exist", name, e)
		}
		if e.Len >= longFrom {
			long = append(long, e)
			continue
		}
		i := int(e.Start >> chunkBits)
		if starts[i] == nil {
			starts[i] = new([longFrom]uint16)
		}
		starts[i][e.Len]++
		short[e.Len]++
		if s.lowest[e.Len] > i {
			return nil, fmt.Errorf("F21: %s extent %+v is before chunk %d", name, e, s.lowest[e.Len])
		}
	}
	for i, counts := range s.starts {
		if have, want := counts, starts[i]; have != nil && want == nil {
			starts[i] = new([longFrom]uint16)
		}
		if counts != nil && *counts != *starts[i] || counts == nil && starts[i] != nil {
			return nil, fmt.Errorf("F3: short %s extents of chunk %d: %v, counted %v", name, i, counts, starts[i])
		}
	}
	byPosition, bySize := ascend(s.long.tree), ascend(s.sizes)
	slices.SortFunc(bySize, func(a, b Extent) int { return cmp.Compare(a.Start, b.Start) })
	if short != s.short || !slices.Equal(long, byPosition) || !slices.Equal(long, bySize) {
		return nil, fmt.Errorf("F3: %s extents %v, by position %v, by size %v, short %v", name, es, byPosition, bySize, s.short)
	}
	if pages != s.pages {
		return nil, fmt.Errorf("F4: %d %s pages, counted %d", s.pages, name, pages)
	}
	return es, nil
}

func ascend(t *btree.BTreeG[Extent]) (es []Extent) {
	t.Ascend(func(e Extent) bool {
		es = append(es, e)
		return true
	})
	return es
}

func (p *pending) verify() ([]Extent, error) {
	var hanging []Extent
	for i, bins := range [][]*bin{p.waiting, p.held} {
		for j, b := range bins {
			if len(b.entries) == 0 || j > 0 && bins[j-1].key >= b.key {
				return nil, fmt.Errorf("F10: bin %d of %d", j, i)
			}
			sum := uint64(0)
			for _, e := range b.entries {
				if i == 0 && b.key != e.death || i == 1 && (b.key < e.birth || b.key >= e.death) {
					return nil, fmt.Errorf("F9: %+v in bin %d of kind %d", e, b.key, i)
				}
				sum += e.Len
				hanging = append(hanging, e.Extent)
			}
			if sum != b.pages {
				return nil, fmt.Errorf("F4: bin %d has %d pages, counted %d", b.key, b.pages, sum)
			}
		}
	}
	slices.SortFunc(hanging, func(a, b Extent) int { return cmp.Compare(a.Start, b.Start) })
	var bits, sum uint64
	for i := range len(p.chunks) * chunkWords {
		bits += uint64(mathbits.OnesCount64(p.word(page.ID(i))))
	}
	for i, e := range hanging {
		if !e.valid() || i > 0 && hanging[i-1].End() > e.Start {
			return nil, fmt.Errorf("F1: pending extent %+v cannot exist or overlaps", e)
		}
		for id := e.Start; id < e.End(); id++ {
			if !p.overlaps(Extent{Start: id, Len: 1}) {
				return nil, fmt.Errorf("F5: pending page %d of %+v is not marked", id, e)
			}
		}
		sum += e.Len
	}
	if sum != bits || sum != p.pages || len(hanging) != p.extents {
		return nil, fmt.Errorf("F4: %d pages in %d pending extents, counted %d and %d in %d", sum, len(hanging), p.pages, bits, p.extents)
	}
	return hanging, nil
}

// Touched returns how many entries hang in bins that a Release with these
// arguments takes apart.
func (l *List) Touched(live map[uint64]bool, durable uint64) int {
	n := 0
	for _, b := range l.pending.waiting {
		if uint64(b.key) <= durable {
			n += len(b.entries)
		}
	}
	for _, b := range l.pending.held {
		if !live[uint64(b.key)] {
			n += len(b.entries)
		}
	}
	return n
}

// New returns an empty list.
func New() *List { return empty() }
