package btree_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// checkReachable fails unless every committed page is reached from h exactly
// once.
func (s *store) checkReachable(h btree.Header) {
	seen := map[page.ID]bool{}
	var walk func(btree.Ref)
	walk = func(r btree.Ref) {
		if seen[r.ID] {
			broken("page %d is reached twice", r.ID)
		}
		seen[r.ID] = true
		p, err := s.committed(r.ID, r.Birth)
		check(err)
		if r.Bytes == 0 {
			btree.Refs(p, 0, walk)
		}
	}
	if h.Root != 0 {
		walk(btree.Ref{ID: h.Root, Birth: h.Birth})
	}
	if len(seen) != len(s.pages) {
		broken("%d pages or runs are reached, %d are in use", len(seen), len(s.pages))
	}
}

// finding is one report of a check.
type finding struct {
	err    error
	lo, hi []byte
}

// checkFile runs Check on the tree of h and all nested buckets.
func (s *store) checkFile(h btree.Header) (findings []finding, seen map[page.ID]bool) {
	seen = map[page.ID]bool{}
	c := &btree.Checker{
		Page: func(id page.ID, pages int, birth page.TxID, kind page.Kind) bool {
			ok := id >= page.FirstID && id < s.highWater && page.ID(pages) <= s.highWater-id
			for i := range page.ID(pages) {
				if !ok || seen[id+i] {
					return false
				}
				seen[id+i] = true
			}
			return ok
		},
		Run: func(id page.ID, birth page.TxID, n int) error {
			if _, err := s.Run(id, birth, n); err != nil {
				return err
			}
			return btree.VerifyRunData(s.pages[id], id, fileID)
		},
		Report: func(err error, lo, hi []byte) { findings = append(findings, finding{err, lo, hi}) },
	}
	c.Bucket = func(name, payload []byte) {
		btree.Open(s, btree.DecodeHeader(payload), payload[btree.HeaderSize:]).Check(c)
	}
	btree.Open(s, h, nil).Check(c)
	return findings, seen
}

// checkSound fails unless h is the root of a sound file without lost pages.
func (s *store) checkSound(h btree.Header) {
	findings, seen := s.checkFile(h)
	for _, f := range findings {
		broken("check: %v", f.err)
	}
	pages := 0
	for _, p := range s.pages {
		pages += len(p) / s.size
	}
	expect(len(seen) == pages, "check saw %d pages, %d are in use", len(seen), pages)
	clear(s.lent)
}

// sampleFile returns a file with a tree of all sorts of cells and three levels.
func sampleFile(size int) (*store, btree.Header) {
	s := newStore(size)
	t := &btree.Tree{}
	t.InitWritable(btree.NewWriter(s), btree.Header{}, nil)
	for i := range 30000 {
		check(t.Put(sampleKey(i), bytes.Repeat([]byte{byte(i)}, i%50)))
	}
	for i := range 40 {
		long := bytes.Repeat([]byte{'l'}, size/4+i)
		check(t.Put(append(long, byte(i)), []byte("long key")))
		check(t.Put([]byte(fmt.Sprintf("value %d", i)), bytes.Repeat([]byte{byte(i)}, size/2*i)))
		check(t.PutBucket([]byte(fmt.Sprintf("bucket %d", i)), make([]byte, btree.HeaderSize)))
	}
	return s, s.commit(t.Header())
}

func sampleKey(i int) []byte { return binary.BigEndian.AppendUint64([]byte("key"), uint64(i*3)) }

func TestCheckSound(t *testing.T) {
	for _, size := range pageSizes {
		s, h := sampleFile(size)
		s.checkSound(h)
	}
}

// damages change the root's first page of a kind, in ways that its checksum and
// Verify do not show.
var damages = []struct {
	name   string
	change func(s *store, h *btree.Header, branch, leaf page.Page)
	want   string
}{
	{"header count", func(_ *store, h *btree.Header, _, _ page.Page) { h.Count++ }, "keys, expected"},
	{"tally count", func(_ *store, _ *btree.Header, b, _ page.Page) { b[counts(b)]++ }, "keys, expected"},
	{"tally flags", func(_ *store, _ *btree.Header, b, _ page.Page) {
		for i := range b.Count() {
			b[counts(b)+8*i+7] = 0
		}
	}, "flags"},
	{"children swapped", func(_ *store, _ *btree.Header, b, _ page.Page) {
		first := ids(b)
		tmp := bytes.Clone(b[first : first+8])
		copy(b[first:first+8], b[first+8:first+16])
		copy(b[first+8:], tmp)
	}, "out of order"},
	{"child twice", func(_ *store, _ *btree.Header, b, _ page.Page) {
		copy(b[ids(b):ids(b)+8], b[ids(b)+8:])
	}, "referred to twice"},
	{"wrong level", func(_ *store, _ *btree.Header, b, _ page.Page) { b[page.OffLevel]++ }, "below level"},
	{"leaf of zeroes", func(_ *store, _ *btree.Header, _, l page.Page) { clear(l[8:]) }, "not in"},
	{"broken leaf", func(_ *store, _ *btree.Header, _, l page.Page) { l[page.HeaderSize+l.PrefixLen()+4] ^= 0x80 }, "damaged"},
	{"old child", func(_ *store, _ *btree.Header, _, l page.Page) { l.SetTxID(0) }, "born in"},
	{"broken run", func(s *store, _ *btree.Header, _, _ page.Page) {
		for _, p := range s.pages {
			if page.Page(p).Kind() == page.KindOverflow {
				p[len(p)-1] ^= 1
			}
		}
	}, "checksum of the data"},
}

// ids and counts return where the arrays of a branch begin.
func ids(b page.Page) int    { return page.HeaderSize + (b.PrefixLen()+3)&^3 + 4*b.Count() }
func counts(b page.Page) int { return ids(b) + (8+4+8)*b.Count() }

// lowestBranch returns the parent of the first leaves, and the first leaf.
func (s *store) lowestBranch(h btree.Header) (branch, leaf page.Page) {
	leaf = s.pages[h.Root]
	for leaf.Kind() == page.KindBranch {
		branch = leaf
		leaf = s.pages[page.ID(binary.LittleEndian.Uint64(branch[ids(branch):]))]
	}
	return branch, leaf
}

func TestCheckFindsDamage(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			s, h := sampleFile(4096)
			_, all := s.checkFile(h)
			s.damaged = true
			branch, leaf := s.lowestBranch(h)
			d.change(s, &h, branch, leaf)
			findings, seen := s.checkFile(h)
			if len(seen) < len(all)-branch.Count() {
				t.Errorf("only %d of %d pages were looked at", len(seen), len(all))
			}
			if !slices.ContainsFunc(findings, func(f finding) bool { return bytes.Contains([]byte(f.err.Error()), []byte(d.want)) }) {
				t.Errorf("nothing says %q: %v", d.want, findings)
			}
			for _, f := range findings {
				if !errors.Is(f.err, page.ErrCorrupt) {
					t.Errorf("%v is no damage", f.err)
				}
				if f.lo != nil && f.hi != nil && bytes.Compare(f.lo, f.hi) >= 0 {
					t.Errorf("the keys from %x to %x are affected", f.lo, f.hi)
				}
			}
		})
	}
}

// TestCheckRange damages one leaf after the other: what a check reports must
// cover its keys, and no others.
func TestCheckRange(t *testing.T) {
	s, h := sampleFile(4096)
	s.damaged = true
	for id, p := range s.pages {
		if page.Page(p).Kind() != page.KindLeaf {
			continue
		}
		sound := bytes.Clone(p)
		clear(p[page.OffKind:])
		findings, _ := s.checkFile(h)
		copy(p, sound)
		if len(findings) != 1 {
			// Runs that only this leaf knows are not reached, which is no finding.
			t.Fatalf("page %d: %v", id, findings)
		}
		f := findings[0]
		var c btree.Cursor
		c.Init(btree.Open(s, h, nil))
		it, err := c.Seek(f.lo)
		n := 0
		for ; err == nil && it.Key != nil && (f.hi == nil || bytes.Compare(it.Key, f.hi) < 0); it, err = c.Next() {
			n++
		}
		if n != page.Page(p).Count() || err != nil {
			t.Fatalf("page %d: %d keys reported, %d in it, %v", id, n, page.Page(p).Count(), err)
		}
		if id > 60 {
			break
		}
	}
}
