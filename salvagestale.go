package folio

// This file is responsible for older versions of what is lost. Copy-on-write leaves
// them in free pages until these are used again. Pages do not say of which bucket they
// are, so an old leaf is taken only if something proves it:
//
//   - A branch that has a child in common with a branch of the tree, at the same place
//     and with the same birth, is an older version of it: what it says of the lost
//     leaf's keys leads to an older version of the leaf.
//   - A leaf with the header of a bucket whose tree is an orphan, or an older version of
//     one, is an older version of the leaf that had that bucket: it tells its name.

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// takeOld fills gaps with older versions (S4).
func (s *salvager) takeOld() error {
	s.successors = make(map[nodeKey]nodeRef)
	named := s.nameOrphans()
	olds := s.oldVersions()
	for _, l := range slices.Clone(s.lost) {
		if err := s.fillFromAstray(l); err != nil {
			return err
		}
		if err := s.fillFromOld(l, olds[l]); err != nil {
			return err
		}
	}
	if s.guide.id != 0 {
		return s.takeOldLeaf(s.lost[0], s.guide)
	}
	for _, leaf := range named {
		l := s.lostRoot(leaf)
		if l == nil || s.claimed.has(leaf.id) {
			continue
		}
		if err := s.takeOldLeaf(l, leaf); err != nil {
			return err
		}
	}
	return nil
}

// fillFromAstray copies those keys of l that are in its bounds, if l is whole and lost
// for the others: nothing proves that they are what was there.
func (s *salvager) fillFromAstray(l *lostNode) error {
	r := nodeRef{id: page.ID(l.Page), birth: l.birth, level: l.level}
	if l.level == levelRun || !s.readable(r) {
		return nil
	}
	return s.takeOldLeaf(l, r)
}

func (s *salvager) takeOldLeaf(l *lostNode, r nodeRef) error {
	before := s.out.keys + s.out.buckets
	err := s.fillGap(l, r, true)
	l.OutOfDate = l.OutOfDate || s.out.keys+s.out.buckets > before
	return err
}

// nameOrphans looks into old leaves for the names of orphans. It returns those leaves
// in which it has found some.
func (s *salvager) nameOrphans() (leaves []nodeRef) {
	children := s.childrenOfOrphans()
	named := make(map[page.ID]bool)
	p, q := s.page(), s.page()
	defer s.recycle(p)
	defer s.recycle(q)
	for _, leaf := range s.oldLeaves {
		if s.claimed.has(leaf.id) || s.in.node(p, leaf.id, leaf.birth) != nil {
			continue
		}
		found := false
		for i := range p.Count() {
			c := btree.LeafCell(p, i)
			if c.Flags&btree.FlagBucket == 0 {
				continue
			}
			h := btree.DecodeHeader(c.Value)
			o := s.newest(q, h, children)
			if o == nil || named[o.id] {
				continue
			}
			named[o.id], found = true, true
			now := o.nodeRef
			now.level = levelRoot
			s.successors[nodeKey{h.Root, h.Birth}] = now
		}
		if found {
			leaves = append(leaves, leaf)
		}
	}
	return leaves
}

// nameless tells whether o is the root of a tree that nothing refers to.
func (s *salvager) nameless(o *orphan) bool {
	return !s.claimed.has(o.id) && !o.childOf && (!o.bucketOf || !s.exact)
}

// childrenOfOrphans returns the children of nameless orphans.
func (s *salvager) childrenOfOrphans() map[nodeKey]*orphan {
	children := make(map[nodeKey]*orphan)
	if len(s.oldLeaves) == 0 {
		return children
	}
	p := s.page()
	defer s.recycle(p)
	for i := range s.orphans {
		o := &s.orphans[i]
		if o.level == 0 || !s.nameless(o) || s.in.node(p, o.id, o.birth) != nil {
			continue
		}
		for j := range p.Count() {
			c := btree.BranchChild(p, j)
			children[nodeKey{c.ID, c.Birth}] = o
		}
	}
	return children
}

// newest returns the orphan that h is the header of, or of an older version of it. p
// is a buffer.
func (s *salvager) newest(p page.Page, h btree.Header, children map[nodeKey]*orphan) *orphan {
	if h.Root == 0 {
		return nil
	}
	if o := s.orphan(h.Root, h.Birth); o != nil && s.nameless(o) {
		return o
	}
	if s.in.node(p, h.Root, h.Birth) != nil || p.Level() == 0 {
		return nil
	}
	for i := range p.Count() {
		c := btree.BranchChild(p, i)
		if o := children[nodeKey{c.ID, c.Birth}]; o != nil {
			return o
		}
	}
	return nil
}

// lostRoot returns the root of the root bucket, or the part of its tree that had the
// keys of r, if that is lost. A leaf that names nameless trees is an older version of
// it: what is nested deeper has not lost its name with it.
func (s *salvager) lostRoot(r nodeRef) *lostNode {
	p := s.page()
	defer s.recycle(p)
	if s.in.node(p, r.id, r.birth) != nil || !onlyBuckets(p) {
		return nil
	}
	first := btree.LeafCell(p, 0).Key
	last := btree.LeafCell(p, p.Count()-1).Key
	for _, l := range s.lost {
		if len(l.Bucket) > 0 || l.Bucket == nil || l.level == levelRun || l.Found >= l.Keys || r.birth > l.birth {
			continue
		}
		if bytes.Compare(last, l.Lo) >= 0 && (l.Hi == nil || bytes.Compare(first, l.Hi) < 0) {
			return l
		}
	}
	return nil
}

// oldVersion is an older version of a lost leaf, or of a part of it.
type oldVersion struct {
	nodeRef
	lo, hi []byte
}

// oldVersionsMax is how many older versions of one leaf are looked at.
const oldVersionsMax = 64

// oldVersions returns older versions of lost leaves.
func (s *salvager) oldVersions() map[*lostNode][]oldVersion {
	lost := make(map[uint32][]*lostNode)
	for _, l := range s.lost {
		if l.level == 0 {
			lost[l.tree] = append(lost[l.tree], l)
		}
	}
	olds := make(map[*lostNode][]oldVersion)
	p, q := s.page(), s.page()
	defer s.recycle(p)
	defer s.recycle(q)
	for _, b := range s.oldBranches {
		if s.in.node(p, b.id, b.birth) != nil {
			continue
		}
		cs := make([]btree.Child, p.Count())
		for i := range cs {
			cs[i] = btree.BranchChild(p, i)
		}
		for _, l := range lost[s.treeOf(q, cs, lost)] {
			if len(olds[l]) < oldVersionsMax {
				olds[l] = append(olds[l], versionsIn(cs, l)...)
			}
		}
	}
	return olds
}

// treeOf returns the tree that has one of cs as a child, if it is one of trees, or 0.
func (s *salvager) treeOf(p page.Page, cs []btree.Child, trees map[uint32][]*lostNode) uint32 {
	for _, c := range cs {
		if !s.claimed.has(c.ID) || len(trees[s.owner.get(c.ID)]) == 0 {
			continue
		}
		if s.in.node(p, c.ID, c.Birth) == nil {
			return s.owner.get(c.ID)
		}
	}
	return 0
}

// versionsIn returns those of cs that had keys of l.
func versionsIn(cs []btree.Child, l *lostNode) (olds []oldVersion) {
	for i, c := range cs {
		v := oldVersion{nodeRef: nodeRef{c.ID, c.Birth, 0, c.Count, c.Flags}, lo: c.Sep}
		if i+1 < len(cs) {
			v.hi = cs[i+1].Sep
		}
		if (l.Hi == nil || bytes.Compare(v.lo, l.Hi) < 0) && (v.hi == nil || bytes.Compare(v.hi, l.Lo) > 0) {
			olds = append(olds, v)
		}
	}
	return olds
}

// fillFromOld copies the newest of olds into the gap l. Where one was taken, none that
// is older is.
func (s *salvager) fillFromOld(l *lostNode, olds []oldVersion) error {
	slices.SortStableFunc(olds, func(a, b oldVersion) int { return cmp.Compare(b.birth, a.birth) })
	var taken []oldVersion
	for _, v := range olds {
		overlaps := slices.ContainsFunc(taken, func(t oldVersion) bool {
			return (t.hi == nil || bytes.Compare(v.lo, t.hi) < 0) && (v.hi == nil || bytes.Compare(t.lo, v.hi) < 0)
		})
		if overlaps || !s.readable(v.nodeRef) {
			continue
		}
		taken = append(taken, v)
		if err := s.takeOldLeaf(l, v.nodeRef); err != nil {
			return err
		}
	}
	return nil
}
