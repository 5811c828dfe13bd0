package folio

// This file is responsible for orphans: nodes that are whole, that the state can
// have, and that the walk from its root has not met, because what refers to them is
// damaged. If the list of free pages could be read, these are exactly the missing
// ones. Else there are older versions of pages among them.

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// orphan is a node that nothing whole of the state refers to, but perhaps other
// orphans.
type orphan struct {
	nodeRef
	childOf  bool // a branch among the orphans refers to it
	bucketOf bool // a leaf among them has it as the root of a bucket
	inBucket bool // it is below such a root
}

// scan finds the orphans, and old nodes that tell what was where.
func (s *salvager) scan() {
	hurt := make(map[page.ID]bool, len(s.lost))
	var oldLeaves, oldBranches bool
	for _, l := range s.lost {
		if l.level != levelRun {
			hurt[page.ID(l.Page)] = true
			oldBranches = oldBranches || l.level == 0
			oldLeaves = oldLeaves || l.Buckets
		}
	}
	scanning := func(done, total uint64) { s.progress("looking for lost pages", done, total) }
	s.in.eachNode(scanning, s.claimed, func(id page.ID, p page.Page) {
		count, flags := btree.Tally(p)
		r := nodeRef{id, p.TxID(), p.Level(), min(count, countMax), flags}
		if oldBranches && r.level == 1 {
			s.oldBranches = append(s.oldBranches, r)
		}
		if oldLeaves && r.level == 0 && flags&btree.FlagBucket != 0 {
			s.oldLeaves = append(s.oldLeaves, r)
		}
		// What is whole in the place of a lost page is an older version of
		// something: the place is right, and the birth is not.
		if !s.isFree(id) && !hurt[id] && r.birth <= s.meta.TxID {
			s.orphans = append(s.orphans, orphan{nodeRef: r})
		}
	})
	if !s.exact {
		s.dropStale()
	}
	s.relate()
	s.fitSteps = fitStepsMax
	newestFirst := func(a, b nodeRef) int { return cmp.Or(cmp.Compare(b.birth, a.birth), cmp.Compare(a.id, b.id)) }
	slices.SortFunc(s.oldBranches, newestFirst)
	slices.SortFunc(s.oldLeaves, newestFirst)
}

// dropStale drops orphans that cannot be of the state: those that refer to a page which
// the state uses elsewhere, or which was written again since, and those that refer to
// such an orphan. It is for when the list of free pages does not tell.
func (s *salvager) dropStale() {
	stale := make(bitmap)
	for again, tries := true, stalePasses; again && tries > 0; tries-- {
		again = false
		for i := range s.orphans {
			if o := &s.orphans[i]; !stale.has(o.id) && s.isStale(o, stale) {
				stale.set(o.id)
				again = true
			}
		}
	}
	s.orphans = slices.DeleteFunc(s.orphans, func(o orphan) bool { return stale.has(o.id) })
}

// stalePasses is more than trees and buckets in them are high, but for hostile ones.
const stalePasses = 64

func (s *salvager) isStale(o *orphan, stale bitmap) bool {
	p := s.page()
	defer s.recycle(p)
	if s.in.node(p, o.id, o.birth) != nil {
		return true
	}
	is := false
	btree.Refs(p, 0, func(r btree.Ref) {
		i, found := s.findOrphan(r.ID)
		switch {
		case is:
		case s.claimed.has(r.ID):
			is = true
		case found && r.Bytes == 0:
			// What is older there is what a lost write has left.
			is = s.orphans[i].birth > r.Birth || s.orphans[i].birth == r.Birth && stale.has(r.ID)
		}
	})
	return is
}

// relate finds out which orphans others refer to.
func (s *salvager) relate() {
	top := 0
	for i := range s.orphans {
		o := &s.orphans[i]
		top = max(top, o.level)
		s.eachBelow(o, func(to *orphan) {
			to.childOf = to.childOf || o.level > 0
			to.bucketOf = to.bucketOf || o.level == 0
		})
	}
	for level := top; level > 0; level-- {
		for i := range s.orphans {
			if o := &s.orphans[i]; o.level == level && (o.bucketOf || o.inBucket) {
				s.eachBelow(o, func(to *orphan) { to.inBucket = true })
			}
		}
	}
}

// eachBelow calls fn for the orphans that o refers to.
func (s *salvager) eachBelow(o *orphan, fn func(to *orphan)) {
	p := s.page()
	defer s.recycle(p)
	if s.in.node(p, o.id, o.birth) != nil {
		return
	}
	btree.Refs(p, 0, func(r btree.Ref) {
		if to := s.orphan(r.ID, r.Birth); to != nil && r.Bytes == 0 && to != o {
			fn(to)
		}
	})
}

// orphan returns the orphan at id that was born in birth, or nil.
func (s *salvager) orphan(id page.ID, birth page.TxID) *orphan {
	i, ok := s.findOrphan(id)
	if !ok || s.orphans[i].birth != birth {
		return nil
	}
	return &s.orphans[i]
}

// findOrphan returns where in s.orphans page id is.
func (s *salvager) findOrphan(id page.ID) (int, bool) {
	return slices.BinarySearchFunc(s.orphans, id, func(o orphan, id page.ID) int { return cmp.Compare(o.id, id) })
}

// candidate is an orphan that may fill a gap.
type candidate struct {
	nodeRef
	first, last []byte // the first and the last key that can be read below it
}

// spans finds out the keys of all orphans that can be below a lost branch, in the order
// of their first keys.
func (s *salvager) spans() {
	if s.spanned {
		return
	}
	s.spanned = true
	for i := range s.orphans {
		o := &s.orphans[i]
		if o.bucketOf || o.inBucket || s.exact && o.childOf || s.claimed.has(o.id) {
			continue
		}
		c := candidate{nodeRef: o.nodeRef}
		budget := 2 * (o.level + 1) * edgeTries
		c.first = s.edge(o.nodeRef, false, &budget)
		c.last = s.edge(o.nodeRef, true, &budget)
		if c.first != nil && c.last != nil {
			s.candidates = append(s.candidates, c)
		}
	}
	slices.SortFunc(s.candidates, func(a, b candidate) int { return bytes.Compare(a.first, b.first) })
}

// candidatesFor returns the orphans that may be children of l, if its level is level.
func (s *salvager) candidatesFor(l *lostNode, level int) (cs []candidate) {
	s.spans()
	from, _ := slices.BinarySearchFunc(s.candidates, l.Lo, func(c candidate, k []byte) int { return bytes.Compare(c.first, k) })
	for _, c := range s.candidates[from:] {
		if l.Hi != nil && bytes.Compare(c.first, l.Hi) >= 0 {
			break
		}
		if s.fitSteps--; s.fitSteps < 0 {
			return nil
		}
		if c.level >= level || s.claimed.has(c.id) || l.Hi != nil && bytes.Compare(c.last, l.Hi) >= 0 ||
			c.birth > l.birth || c.level < level-1 && s.orphan(c.id, c.birth).childOf ||
			len(l.Bucket) == 0 && c.flags&btree.FlagBucket == 0 {
			continue
		}
		cs = append(cs, c)
	}
	return cs
}

// fitStepsMax bounds the search for what fits into gaps.
const fitStepsMax = 1 << 28

// edgeTries is how many damaged nodes edge passes over at each level.
const edgeTries = 16

// edge returns the first or the last key below r that can be read, or nil.
func (s *salvager) edge(r nodeRef, last bool, budget *int) []byte {
	if *budget--; *budget < 0 {
		return nil
	}
	p := s.page()
	defer s.recycle(p)
	if s.in.node(p, r.id, r.birth) != nil || r.level >= 0 && p.Level() != r.level {
		return nil
	}
	for i := range p.Count() {
		if last {
			i = p.Count() - 1 - i
		}
		if p.Level() > 0 {
			c := btree.BranchChild(p, i)
			if key := s.edge(nodeRef{id: c.ID, birth: c.Birth, level: p.Level() - 1}, last, budget); key != nil {
				return key
			}
			continue
		}
		c := btree.LeafCell(p, i)
		if c.KeyRun.Bytes == 0 {
			return bytes.Clone(c.Key)
		}
		if long, err := s.in.data(c.KeyRun); err == nil {
			return bytes.Clone(long)
		}
	}
	return nil
}

// lostAndFound puts the trees that nothing refers to into a bucket of their own.
func (s *salvager) lostAndFound() error {
	var roots []orphan
	for _, o := range s.orphans {
		if !o.childOf && !o.bucketOf && !s.claimed.has(o.id) {
			roots = append(roots, o)
		}
	}
	if !s.mayBeBuckets() {
		// What the newest transaction wrote must be somewhere; the rest is old.
		roots = slices.DeleteFunc(roots, func(o orphan) bool { return o.birth < s.meta.TxID })
	}
	if len(roots) == 0 {
		return nil
	}
	slices.SortFunc(roots, func(a, b orphan) int {
		return cmp.Or(cmp.Compare(b.birth, a.birth), cmp.Compare(b.level, a.level), cmp.Compare(a.id, b.id))
	})
	s.out.goTo(nil)
	if err := s.enterLostAndFound(); err != nil {
		return err
	}
	defer s.out.goTo(nil)
	for _, o := range roots {
		if s.claimed.has(o.id) {
			continue
		}
		if err := s.keepOrphan(o); err != nil {
			return err
		}
	}
	return nil
}

// mayBeBuckets tells whether trees can have lost their names, or their places. If
// the orphans are exactly what is missing, they have.
func (s *salvager) mayBeBuckets() bool {
	return s.exact || s.meta.Root.ID == 0 || slices.ContainsFunc(s.lost, func(l *lostNode) bool {
		return l.Found < l.Keys && (l.Buckets || l.level > 0 || l.level == levelRoot)
	})
}

// LostAndFound is the name of the top-level bucket into which Salvage puts trees whose
// bucket is not known. If there is one already, a number follows.
const LostAndFound = "lost+found"

func (s *salvager) enterLostAndFound() error {
	name := []byte(LostAndFound)
	for n := 2; ; n++ {
		there, _, err := s.out.lookup(name)
		if err != nil {
			return err
		}
		if !there {
			return s.out.enter(name)
		}
		name = fmt.Appendf(nil, "%s %d", LostAndFound, n)
	}
}

// keepOrphan copies a tree into a bucket of lost+found that is named after its root.
func (s *salvager) keepOrphan(o orphan) error {
	if err := s.out.enter(fmt.Appendf(nil, "page %d of transaction %d", o.id, o.birth)); err != nil {
		return err
	}
	defer s.out.leave()
	path := s.path()
	w := walk{s: s, tree: s.newTree(), old: !s.exact && o.birth < s.meta.TxID}
	r := o.nodeRef
	r.level = levelRoot
	if err := w.node(r, nil, nil); err != nil {
		return err
	}
	s.report.Orphans = append(s.report.Orphans, SalvageOrphan{
		Bucket: path, Page: int(o.id), TxID: int(o.birth), Keys: w.copied, OutOfDate: !s.exact,
	})
	return nil
}
