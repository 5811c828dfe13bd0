package folio

// This file is responsible for which orphans belong below which lost branch. Nodes do
// not say of which bucket they are. But the lost branch's parent tells a range of
// keys, a level, a birth and a count of keys, the children must not overlap, and
// together they have as many keys as were counted. If that leaves one way only, it is
// taken. An orphan that could be in more than one bucket is never put into either.

import (
	"bytes"
	"cmp"
	"math/bits"
	"slices"

	"github.com/foliodb/folio/btree"
)

// fitOrphans fills the gaps that lost branches have left, until there is nothing
// more that fits: what is found can have gaps of its own.
func (s *salvager) fitOrphans() error {
	for {
		gaps := s.gaps()
		if len(gaps) == 0 {
			return nil
		}
		s.resolve(gaps)
		for _, g := range gaps {
			if err := s.fillFrom(g); err != nil {
				return err
			}
		}
	}
}

// gap is a lost branch, and what may have been below it.
type gap struct {
	*lostNode
	all    []candidate      // what may be a child
	has    map[nodeKey]bool // the same
	shared map[nodeKey]bool // those that may be in another gap as well
	chosen []candidate
}

func newGap(l *lostNode, all []candidate) *gap {
	g := &gap{lostNode: l, all: all, has: make(map[nodeKey]bool, len(all)), shared: make(map[nodeKey]bool)}
	for _, c := range all {
		g.has[c.key()] = true
	}
	return g
}

// gaps returns the lost branches that no orphans have been fitted to.
func (s *salvager) gaps() (gs []*gap) {
	for _, l := range s.lost {
		if l.level == levelRun || l.level == 0 || l.fit {
			continue
		}
		l.fit = true
		if all := s.gapCandidates(l); len(all) > 0 {
			gs = append(gs, newGap(l, all))
		}
	}
	return gs
}

// gapCandidates returns the orphans that may be below l. The level of a root is not
// known: it is the one at which the count of keys is right, or the one with the most
// keys.
func (s *salvager) gapCandidates(l *lostNode) []candidate {
	if l.level > 0 {
		return s.candidatesFor(l, l.level)
	}
	var best []candidate
	var most uint64
	for level := 1; level <= btree.MaxLevel; level++ {
		cs := s.candidatesFor(l, level)
		if !slices.ContainsFunc(cs, func(c candidate) bool { return c.level == level-1 }) {
			continue
		}
		chosen := newestFirst(cs, l.Keys)
		n := keysOf(chosen)
		if len(chosen) < 2 {
			continue // a branch has more
		}
		if n == l.Keys {
			return cs
		}
		if n > most && n < l.Keys {
			best, most = cs, n
		}
	}
	return best
}

func keysOf(cs []candidate) uint64 {
	var n uint64
	for _, c := range cs {
		n += c.count
	}
	return n
}

// newestFirst chooses candidates that do not overlap, of two that do the younger.
// What is too much is left out, the oldest first. cs is in the order of first keys, and
// so is what is chosen.
func newestFirst(cs []candidate, keys uint64) []candidate {
	order := make([]int, len(cs))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(i, j int) int {
		a, b := &cs[i], &cs[j]
		return cmp.Or(cmp.Compare(b.birth, a.birth), cmp.Compare(b.level, a.level), cmp.Compare(a.id, b.id))
	})
	taken := make(places, len(cs)/64+1)
	for _, i := range order {
		c := &cs[i]
		if c.count > keys {
			continue
		}
		if j := taken.before(i); j >= 0 && bytes.Compare(cs[j].last, c.first) >= 0 {
			continue
		}
		if j := taken.behind(i); j >= 0 && bytes.Compare(c.last, cs[j].first) >= 0 {
			continue
		}
		keys -= c.count
		taken[i/64] |= 1 << (i % 64)
	}
	var chosen []candidate
	for i := range cs {
		if taken[i/64]>>(i%64)&1 != 0 {
			chosen = append(chosen, cs[i])
		}
	}
	return chosen
}

// places is a set of small numbers.
type places []uint64

// before returns the greatest member below i, or -1.
func (p places) before(i int) int {
	w, word := i/64, p[i/64]&(1<<(i%64)-1)
	for word == 0 {
		if w--; w < 0 {
			return -1
		}
		word = p[w]
	}
	return w*64 + bits.Len64(word) - 1
}

// behind returns the least member above i, or -1.
func (p places) behind(i int) int {
	w, word := i/64, p[i/64]&^(2<<(i%64)-1)
	for word == 0 {
		if w++; w == len(p) {
			return -1
		}
		word = p[w]
	}
	return w*64 + bits.TrailingZeros64(word)
}

// resolve decides for each gap what is chosen.
func (s *salvager) resolve(gs []*gap) {
	owners := map[nodeKey][]*gap{}
	for _, g := range gs {
		for _, c := range g.all {
			owners[c.key()] = append(owners[c.key()], g)
		}
	}
	var disputed []*gap
	for _, g := range gs {
		for _, c := range g.all {
			if len(owners[c.key()]) > 1 {
				g.shared[c.key()] = true
			}
		}
		g.chosen = newestFirst(g.all, g.Keys)
		if len(g.shared) > 0 || keysOf(g.chosen) != g.Keys {
			disputed = append(disputed, g)
		}
	}
	if len(disputed) == 0 || solve(disputed) {
		return
	}
	for _, g := range disputed {
		own := slices.DeleteFunc(slices.Clone(g.all), func(c candidate) bool { return g.shared[c.key()] })
		g.chosen = newestFirst(own, g.Keys)
		// A parent knows the level and the range of a branch. Of the root of a bucket
		// too little is known to tell older versions of its children from others.
		doubt := s.othersThan(g.lostNode) || !siblings(g.chosen, own)
		if s.exact && doubt || !s.exact && g.level == levelRoot {
			g.chosen = nil // lost+found
		}
	}
}

// siblings tells whether chosen is all of cs, and of one level: what it takes to be
// believed if the counts do not prove it.
func siblings(chosen, cs []candidate) bool {
	return len(chosen) == len(cs) && !slices.ContainsFunc(cs, func(c candidate) bool { return c.level != cs[0].level })
}

// othersThan tells whether orphans can come from elsewhere than from below l.
func (s *salvager) othersThan(l *lostNode) bool {
	return slices.ContainsFunc(s.lost, func(o *lostNode) bool {
		return o != l && (o.level > 0 || o.level == levelRoot || o.Buckets)
	})
}

// Bounds of the search for what fits.
const (
	solveItems = 4096
	solveSteps = 200_000
)

// solver looks for ways to share candidates among gaps so that all counts are right.
type solver struct {
	gaps   []*gap
	items  []candidate // in the order of their keys
	owner  []int       // gap of each item; len(gaps): none
	left   []uint64    // keys that each gap still needs
	last   [][]byte    // the last key in each gap
	slack  uint64      // keys of items that no gap needs
	steps  int
	found  int
	answer []int
}

// solve chooses what is below the gaps, if there is exactly one way in which all
// counts are right.
func solve(gs []*gap) bool {
	v := solver{gaps: gs, steps: solveSteps}
	seen := map[nodeKey]bool{}
	var need uint64
	for _, g := range gs {
		v.left = append(v.left, g.Keys)
		need += g.Keys
		for _, c := range g.all {
			if !seen[c.key()] {
				seen[c.key()] = true
				v.items = append(v.items, c)
			}
		}
	}
	have := keysOf(v.items)
	if have < need || len(v.items) > solveItems {
		return false
	}
	slices.SortFunc(v.items, func(a, b candidate) int {
		return cmp.Or(bytes.Compare(a.first, b.first), cmp.Compare(b.birth, a.birth), cmp.Compare(a.id, b.id))
	})
	v.slack, v.owner, v.last = have-need, make([]int, len(v.items)), make([][]byte, len(gs))
	v.search(0)
	if v.found != 1 || v.steps <= 0 {
		return false
	}
	for i, g := range gs {
		g.chosen = nil
		for j, c := range v.items {
			if v.answer[j] == i {
				g.chosen = append(g.chosen, c)
			}
		}
	}
	return true
}

// search tries all owners of the items from i on.
func (v *solver) search(i int) {
	if v.steps--; v.steps <= 0 || v.found > 1 {
		return
	}
	if i == len(v.items) {
		v.found++
		v.answer = slices.Clone(v.owner)
		return
	}
	c := v.items[i]
	for j, g := range v.gaps {
		if v.left[j] < c.count || v.last[j] != nil && bytes.Compare(v.last[j], c.first) >= 0 || !g.has[c.key()] {
			continue
		}
		before := v.last[j]
		v.owner[i], v.last[j] = j, c.last
		v.left[j] -= c.count
		v.search(i + 1)
		v.left[j] += c.count
		v.last[j] = before
	}
	if v.slack >= c.count {
		v.owner[i] = len(v.gaps)
		v.slack -= c.count
		v.search(i + 1)
		v.slack += c.count
	}
}

// fitsLeaf tells whether a leaf can have so many keys. A lost root that had them may
// have been a leaf: then what fits is there by chance, trees of buckets that it named.
func (s *salvager) fitsLeaf(keys uint64) bool { return keys <= uint64(s.in.pageSize/leafKeyMin) }

// leafKeyMin is less than a key takes in a leaf.
const leafKeyMin = 12

// fillFrom copies what was chosen for a gap.
func (s *salvager) fillFrom(g *gap) error {
	if len(g.chosen) == 0 {
		return nil
	}
	g.OutOfDate = !s.exact || keysOf(g.chosen) != g.Keys || g.level == levelRoot && s.fitsLeaf(g.Keys)
	for _, c := range g.chosen {
		if s.claimed.has(c.id) {
			continue
		}
		if err := s.fillGap(g.lostNode, c.nodeRef, false); err != nil {
			return err
		}
	}
	return nil
}
