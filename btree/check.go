package btree

// This file is responsible for the full check of a tree: everything that one page
// cannot tell about itself. It trusts nothing but the Reader, reports what it finds
// and goes on with what is left.

import (
	"bytes"

	"github.com/foliodb/folio/internal/page"
)

// Checker says what Check does with what it meets.
type Checker struct {
	// Page is called for each node and each overflow run of pages pages that is
	// referred to, before it is read. False means that it was seen before or lies
	// outside the file: that is reported, and it is not entered. A Page that
	// accepts each page once bounds the check of any file.
	Page func(id page.ID, pages int, birth page.TxID, kind page.Kind) bool
	// Run verifies a whole overflow run of n data bytes.
	Run func(id page.ID, birth page.TxID, n int) error
	// Bucket is called for each nested bucket; checking it is up to the caller.
	Bucket func(name, payload []byte)
	// Report is called for each damage with the keys [lo, hi) that it affects;
	// nil is unbounded.
	Report func(err error, lo, hi []byte)
}

// Check reports all that is wrong with t.
func (t *Tree) Check(c *Checker) {
	s := checkRun{Checker: c, r: t.r}
	if t.root == 0 {
		s.own(t)
		return
	}
	s.visit(checkNode{id: t.root, birth: t.birth, level: -1, count: t.count, flags: flagsKnown, young: t.birth})
}

// checkRun is one run of Check.
type checkRun struct {
	*Checker
	r    Reader
	last []byte // the key before
}

// checkNode is what is known of a node from its parent.
type checkNode struct {
	id     page.ID
	birth  page.TxID
	young  page.TxID // birth of its parent
	level  int       // -1: the root's, anything
	count  uint64
	flags  byte
	lo, hi []byte
}

// own checks a tree without pages. Its bytes were verified as a part of its
// parent's leaf.
func (s *checkRun) own(t *Tree) {
	if t.own == nil {
		if t.count != 0 {
			s.Report(page.Corrupt(0, page.KindLeaf, "no tree, expected %d keys", t.count), nil, nil)
		}
		return
	}
	if n := uint64(t.own.count()); n != t.count {
		s.Report(page.Corrupt(0, page.KindLeaf, "%d keys in an own leaf, expected %d", n, t.count), nil, nil)
	}
	s.leaf(t.own, &checkNode{})
}

// visit checks a node and all below it.
func (s *checkRun) visit(e checkNode) {
	kind := page.KindBranch
	if e.level == 0 {
		kind = page.KindLeaf
	}
	if e.birth > e.young {
		s.Report(page.Corrupt(e.id, kind, "born in %d, after its parent", e.birth), e.lo, e.hi)
	}
	if !s.Page(e.id, 1, e.birth, kind) {
		s.Report(page.Corrupt(e.id, kind, "referred to twice, or outside the file"), e.lo, e.hi)
		return
	}
	p, err := s.r.Read(e.id, e.birth)
	if err != nil {
		s.Report(err, e.lo, e.hi)
		return
	}
	n := node(p)
	if e.level >= 0 && n.level() != e.level {
		s.Report(page.Corrupt(e.id, p.Kind(), "level %d below level %d", n.level(), e.level+1), e.lo, e.hi)
		return
	}
	count, flags := n.tally()
	if count != e.count {
		s.Report(page.Corrupt(e.id, p.Kind(), "%d keys, expected %d", count, e.count), e.lo, e.hi)
	}
	if flags&^e.flags != 0 {
		s.Report(page.Corrupt(e.id, p.Kind(), "flags %03b, expected at most %03b", flags, e.flags), e.lo, e.hi)
	}
	e.level = n.level()
	if n.isLeaf() {
		s.leaf(n, &e)
		return
	}
	s.branch(n, &e)
}

func (s *checkRun) branch(n node, e *checkNode) {
	seps := make([][]byte, n.count()+1) // nil: not known
	seps[n.count()] = e.hi
	stubs := make([][]byte, n.count())
	before := e.lo
	for i := 1; i < n.count(); i++ {
		stubs[i] = n.appendSep(nil, i)
		seps[i] = s.separator(n, i, stubs[i], e)
		if seps[i] == nil {
			continue
		}
		if before != nil && bytes.Compare(before, seps[i]) >= 0 || e.hi != nil && bytes.Compare(seps[i], e.hi) >= 0 {
			s.Report(page.Corrupt(e.id, page.KindBranch, "separator %d out of order", i), e.lo, e.hi)
		}
		before = seps[i]
	}
	stubs[0] = e.lo
	for i := range n.count() {
		child := checkNode{
			id: n.childID(i), birth: n.childBirth(i), young: e.birth, level: n.level() - 1,
			count: n.childCount(i), flags: n.childFlags(i), lo: seps[i], hi: seps[i+1],
		}
		if i == 0 || seps[i] == nil {
			child.lo = stubs[i] // not above the separator
		}
		if child.hi == nil {
			child.hi = e.hi
		}
		s.visit(child)
	}
}

// separator returns separator i of n, or nil if it is in a damaged run.
func (s *checkRun) separator(n node, i int, stub []byte, e *checkNode) []byte {
	_, ref, long := n.sepRest(i)
	if !long {
		return stub
	}
	sep, err := s.keyRun(n, ref, stub, e.birth)
	if err != nil {
		s.Report(err, e.lo, e.hi)
		return nil
	}
	return sep
}

// leaf checks the cells of a leaf.
func (s *checkRun) leaf(n node, e *checkNode) {
	ordered := true
	for i := range n.count() {
		c := n.leafCell(i)
		key := c.key
		if c.keyRef != nil {
			var err error
			if key, err = s.keyRun(n, c.keyRef, c.key, e.birth); err != nil {
				s.Report(err, c.key, e.hi)
				s.last, key = nil, nil
			}
		}
		if key != nil {
			if s.last != nil && bytes.Compare(s.last, key) >= 0 ||
				bytes.Compare(key, e.lo) < 0 || e.hi != nil && bytes.Compare(key, e.hi) >= 0 {
				ordered = false
			}
			s.last = key
		} else {
			key = c.key
		}
		s.payload(n, &c, key, e)
	}
	if !ordered {
		s.Report(page.Corrupt(e.id, page.KindLeaf, "keys out of order, or outside the node's bounds"), e.lo, e.hi)
	}
}

// payload checks the value or bucket of c, whose key is key, or the beginning of
// key if the rest is damaged.
func (s *checkRun) payload(n node, c *leafCell, key []byte, e *checkNode) {
	if c.flags&FlagBucket != 0 {
		s.Bucket(key, c.payload)
		return
	}
	if c.flags&FlagValueRun == 0 {
		return
	}
	size, id, birth := decodeValueRef(c.payload)
	if err := s.run(n, id, birth, e.birth, size); err != nil {
		s.Report(err, key, append(bytes.Clone(key), 0))
	}
}

// run checks an overflow run that a node born in young refers to.
func (s *checkRun) run(n node, id page.ID, birth, young page.TxID, size int) error {
	if birth > young {
		return page.Corrupt(id, page.KindOverflow, "born in %d, after the node that refers to it", birth)
	}
	if !s.Page(id, RunPages(size, len(n)), birth, page.KindOverflow) {
		return page.Corrupt(id, page.KindOverflow, "referred to twice, or outside the file")
	}
	return s.Run(id, birth, size)
}

func (s *checkRun) keyRun(n node, ref, stub []byte, young page.TxID) ([]byte, error) {
	size, id, birth := decodeKeyRef(ref)
	if err := s.run(n, id, birth, young, size); err != nil {
		return nil, err
	}
	return keyRun(s.r, ref, stub)
}
