package freelist

import "github.com/foliodb/folio/internal/page"

// This file is responsible for the zone: the beginning of the file, kept for pages
// that are replaced soon. They are written round and round in it, and what comes
// next has been dead for long, mostly in one piece, while the space elsewhere is not
// broken up by them. The zone is known in memory only. Rules:
//
//	F17  Free pages below the end of the zone are in the zone, others are not.
//	F18  Only AllocateZone looks into the zone.

type zone struct {
	space
	limit page.ID // page.FirstID or less: there is no zone
	at    page.ID // where to look next
}

// cut cuts e at the end of the zone.
func (z *zone) cut(e Extent) (low, high Extent) {
	n := uint64(min(max(z.limit, e.Start), e.End()) - e.Start)
	return Extent{Start: e.Start, Len: n}, Extent{Start: e.Start + page.ID(n), Len: e.Len - n}
}

// ZoneEnd returns the first page behind the zone.
func (l *List) ZoneEnd() page.ID { return l.zone.limit }

// SetZone makes the pages below end the zone.
func (l *List) SetZone(end page.ID) {
	from, to := &l.free, &l.zone.space
	lo, hi := l.zone.limit, end
	if end < l.zone.limit {
		from, to = to, from
		lo, hi = hi, lo
	}
	l.zone.limit = end
	for _, e := range from.within(Extent{Start: lo, Len: uint64(hi - lo)}) {
		from.remove(e)
		to.add(e)
	}
}

// ZoneLook is how many extents AllocateZone looks at.
const ZoneLook = 64

// AllocateZone takes at most n pages out of the zone: the next extent of least pages
// or more, its low end. It returns false if there is none among the next ZoneLook.
func (l *List) AllocateZone(n, least uint64) (x Extent, ok bool) {
	z := &l.zone
	look := ZoneLook
	for _, at := range [...]page.ID{z.at, page.FirstID} {
		for e := range z.from(at) {
			if look--; look < 0 || ok {
				break
			}
			start := max(e.Start, at)
			e = Extent{Start: start, Len: uint64(e.End() - start)}
			if e.Len >= min(n, least) {
				x, ok = e, true
			}
		}
	}
	if ok {
		x.Len = min(x.Len, n)
		z.remove(x)
		z.at = x.End()
	}
	return x, ok
}

// ZoneNext returns where the next search in the zone begins.
func (l *List) ZoneNext() page.ID { return l.zone.at }
