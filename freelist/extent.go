package freelist

import (
	"cmp"
	"slices"

	"github.com/foliodb/folio/internal/page"
)

// Extent is a stretch of adjacent pages.
type Extent struct {
	Start page.ID
	Len   uint64 // pages
}

// End returns the first page behind the extent.
func (e Extent) End() page.ID { return e.Start + page.ID(e.Len) }

// valid tells whether e has pages and all of them can exist in a file.
func (e Extent) valid() bool {
	return e.Len > 0 && e.Start >= page.FirstID && e.Start < page.MaxID &&
		e.Len <= uint64(page.MaxID-e.Start)
}

// normalise sorts es in place, joins extents that touch or overlap, drops empty
// ones, and returns what is left.
func normalise(es []Extent) []Extent {
	es = slices.DeleteFunc(es, func(e Extent) bool { return e.Len == 0 })
	sortByStart(es)
	return join(es)
}

// sortByStart sorts es, which often is sorted already.
func sortByStart(es []Extent) {
	byStart := func(a, b Extent) int { return cmp.Compare(a.Start, b.Start) }
	if !slices.IsSortedFunc(es, byStart) {
		slices.SortFunc(es, byStart)
	}
}

// join joins extents that touch or overlap in place. es is sorted by Start.
func join(es []Extent) []Extent {
	out := es[:0]
	for _, e := range es {
		if n := len(out); n > 0 && e.Start <= out[n-1].End() {
			end := max(e.End(), out[n-1].End())
			out[n-1].Len = uint64(end - out[n-1].Start)
			continue
		}
		out = append(out, e)
	}
	return out
}
