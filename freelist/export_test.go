package freelist

import (
	"cmp"
	"fmt"
	mathbits "math/bits"
	"slices"

	"github.com/foliodb/folio/internal/page"
)

// Verify checks the rules of the in-memory structures, F1 to F5, F9 to F10 and F16
// to F17.
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
		if l.isFree(e) {
			return fmt.Errorf("F5: pending extent %+v is free too", e)
		}
	}
	for i := 1; i < len(free); i++ {
		if free[i-1].End() == free[i].Start {
			return fmt.Errorf("F2: %+v touches %+v", free[i-1], free[i])
		}
	}
	zoned, err := l.zone.verify("zone")
	if err != nil {
		return err
	}
	if len(zoned) > 0 && zoned[len(zoned)-1].End() > l.zone.limit || len(free) > 0 && free[0].Start < l.zone.limit {
		return fmt.Errorf("F17: the zone ends at %d, in it %v, behind it %v", l.zone.limit, zoned, free)
	}
	counts := make(map[page.ID]int)
	for _, e := range free {
		for id := e.Start; id < e.End(); id++ {
			counts[id/WindowPages]++
		}
	}
	for i := range l.free.windows {
		if id := page.ID(i) * WindowPages; l.FreeAround(id) != counts[page.ID(i)] {
			return fmt.Errorf("F16: %d pages free around page %d, counted %d", counts[page.ID(i)], id, l.FreeAround(id))
		}
	}
	var bySize []Extent
	l.free.sizes.Ascend(func(e Extent) bool {
		bySize = append(bySize, e)
		return true
	})
	slices.SortFunc(bySize, func(a, b Extent) int { return cmp.Compare(a.Start, b.Start) })
	if !slices.Equal(free, bySize) {
		return fmt.Errorf("F3: by position %v, by size %v", free, bySize)
	}
	return nil
}

func (s *space) verify(name string) ([]Extent, error) {
	return s.positions.verify(name, s.pages)
}

func (p positions) verify(name string, pages uint64) (es []Extent, err error) {
	sum := uint64(0)
	p.tree.Ascend(func(e Extent) bool {
		if !e.valid() {
			err = fmt.Errorf("F1: %s extent %+v cannot exist", name, e)
		}
		if n := len(es); n > 0 && es[n-1].End() > e.Start {
			err = fmt.Errorf("F1: %s extents %+v and %+v overlap", name, es[n-1], e)
		}
		es = append(es, e)
		sum += e.Len
		return true
	})
	if err == nil && sum != pages {
		err = fmt.Errorf("F4: %d %s pages, counted %d", sum, name, pages)
	}
	return es, err
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
	for _, c := range p.chunks {
		for _, word := range c {
			bits += uint64(mathbits.OnesCount64(word))
		}
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
func New() *List {
	l := &List{free: newSpace(), zone: newZone()}
	l.free.indexSizes()
	return l
}
