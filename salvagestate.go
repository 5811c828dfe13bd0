package folio

// This file is responsible for which state of a damaged file is saved. As long as a
// meta page is whole it is the one that Open would take, or, where Open gives up, the
// newest. Without metas it is that of the newest root that can be found: each commit
// writes a root, and no page refers to a root.

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// findState sets s.in and s.meta (S1).
func (s *salvager) findState(f vfs.File) (err error) {
	defer endWalk(&err)
	s.in.f = f
	found, err := s.stateOfMetas(f)
	if err != nil {
		return err
	}
	if !found {
		if err := s.stateOfPages(); err != nil {
			return err
		}
	}
	s.report.PageSize, s.report.FileID = s.in.pageSize, s.in.fileID
	s.report.Pages, s.report.TxID = uint64(s.in.pages), int(s.meta.TxID)
	return nil
}

// stateOfMetas finds the state by the metas, and tells whether it could.
func (s *salvager) stateOfMetas(f vfs.File) (bool, error) {
	db := &DB{file: f, opts: Options{ReadOnly: true}}
	size, err := db.findPageSize()
	if errors.Is(err, ErrVersionMismatch) {
		return false, err
	}
	if err != nil {
		return false, nil // neither is whole, or both cannot be read
	}
	if err := s.in.setPageSize(size); err != nil {
		return false, err
	}
	db.pageSize = size
	// The pager maps the file, but nothing here reads through the map.
	if db.pager, err = pager.New(keepOpen{f}, pager.Options{PageSize: size, ReadOnly: true}); err != nil {
		return false, err
	}
	defer func() { _ = db.pager.Close() }() // nothing was written
	slots := db.readSlots()
	m, why := s.choose(db, slots)
	if m == nil {
		return false, nil
	}
	s.meta, s.in.fileID, s.report.State = *m, m.FileID, why
	s.loadFree(db.pager)
	if !m.Clean && (slots[0].Err != nil || slots[1].Err != nil) {
		s.newerRoot()
	}
	return true, nil
}

// keepOpen is a file that its pager does not close.
type keepOpen struct{ vfs.File }

func (keepOpen) Close() error { return nil }

// choose returns the meta whose state is saved, and why it is not the newest, if so.
func (s *salvager) choose(db *DB, slots [page.NumMetas]meta.Slot) (*meta.Meta, string) {
	m, _, why, err := meta.Choose(slots, db.complete)
	if err == nil {
		return &m, why
	}
	// Open would take none of them. The newest with a root is the best guess.
	var best *meta.Meta
	p := make(page.Page, s.in.pageSize)
	for i := range slots {
		c := &slots[i].Meta
		if slots[i].Err != nil {
			continue
		}
		s.in.fileID = c.FileID
		rooted := c.Root.ID == 0 || s.in.node(p, c.Root.ID, c.Root.Birth) == nil
		if best == nil || rooted && c.TxID > best.TxID {
			best = c
		}
	}
	return best, fmt.Sprintf("%v", err)
}

// loadFree reads which pages the state does not use. If that cannot be read, nothing
// is known about pages that are not referred to.
func (s *salvager) loadFree(p *pager.Pager) {
	free, err := s.readFree(p)
	if err != nil {
		s.lose(&lostNode{level: levelRun, SalvageLoss: SalvageLoss{
			Page: int(corruptPage(err)), Err: fmt.Errorf("the free space: %w", err),
		}})
		return
	}
	s.exact, s.free = true, slices.Collect(free.list.All())
	for _, l := range free.chain { // not for data either
		s.free = append(s.free, freelist.Extent{Start: l.ID, Len: uint64(l.Pages)})
	}
	s.free = append(s.free, freelist.Extent{Start: s.meta.HighWater, Len: uint64(page.MaxID)})
	slices.SortFunc(s.free, func(a, b freelist.Extent) int { return cmp.Compare(a.Start, b.Start) })
}

// isFree tells whether the state does not use page id.
func (s *salvager) isFree(id page.ID) bool {
	i, found := slices.BinarySearchFunc(s.free, id, func(e freelist.Extent, id page.ID) int { return cmp.Compare(e.Start, id) })
	return found || i > 0 && id < s.free[i-1].End()
}

// readFree is readSpace for a file that can end before its high-water mark.
func (s *salvager) readFree(p *pager.Pager) (*space, error) {
	m := s.meta
	m.HighWater = min(m.HighWater, s.in.pages)
	n, err := readNotes(p, &m)
	if err != nil {
		return nil, err
	}
	l, err := n.list(s.meta.HighWater)
	return &space{list: l, chain: n.chain}, err
}

// newerRoot looks for a commit that is younger than the only meta that is whole: its
// own meta is the damaged one. It is taken if all that it wrote is there.
func (s *salvager) newerRoot() {
	r, _, ok := s.newestRoot(s.meta.TxID)
	if !ok || !s.wholeSince(r, s.meta.TxID) {
		return
	}
	s.take(r)
	s.report.State = fmt.Sprintf("transaction %d is younger than the meta page that is whole, which tells of transaction %d",
		r.birth, s.meta.TxID)
	s.meta.TxID = r.birth
}

// take makes r the root of the state.
func (s *salvager) take(r nodeRef) {
	s.meta.Root = meta.Root{ID: r.id, Birth: r.birth, Count: r.count, Sequence: s.meta.Root.Sequence}
	s.exact, s.free = false, nil
}

// wholeSince tells whether all nodes and runs below r that are younger than since
// are whole.
func (s *salvager) wholeSince(r nodeRef, since page.TxID) bool {
	seen := make(bitmap)
	todo := []btree.Ref{{ID: r.id, Birth: r.birth}}
	p := make(page.Page, s.in.pageSize)
	for len(todo) > 0 {
		at := todo[len(todo)-1]
		todo = todo[:len(todo)-1]
		if seen.has(at.ID) {
			return false
		}
		seen.set(at.ID)
		if at.Bytes > 0 {
			if _, err := s.in.data(at); err != nil {
				return false
			}
			continue
		}
		if s.in.node(p, at.ID, at.Birth) != nil {
			return false
		}
		btree.Refs(p, 0, func(r btree.Ref) {
			if r.Birth > since {
				todo = append(todo, r)
			}
		})
	}
	return true
}

// stateOfPages finds page size, file id and root when no meta tells.
func (s *salvager) stateOfPages() error {
	votes, err := s.in.identify(func(done, total uint64) { s.progress("looking for pages", done, total) })
	if err != nil {
		return err
	}
	s.meta = meta.Meta{PageSize: uint32(s.in.pageSize), FileID: s.in.fileID, HighWater: s.in.pages}
	s.report.State = "both meta pages are lost"
	if votes == 1 {
		s.report.State += ", and only one page is whole: nothing proves that it is"
	}
	s.blind = true
	r, newest, ok := s.newestRoot(0)
	s.meta.TxID = newest
	switch {
	case !ok:
		s.report.State += ", and there is no root page"
	case r.birth == newest:
		s.take(r)
		s.report.State += fmt.Sprintf(": taken is the newest root page that there is, page %d of transaction %d", r.id, r.birth)
	default:
		s.guide = r
		s.lose(&lostNode{
			SalvageLoss: SalvageLoss{Bucket: [][]byte{}, Keys: r.count, Buckets: true,
				Err: page.Corrupt(0, 0, "the root page of transaction %d is not there", newest)},
			birth: newest, level: levelRoot, fit: true,
		})
		s.report.State += fmt.Sprintf(", and so is the newest root page: names of buckets are from page %d of transaction %d", r.id, r.birth)
	}
	return nil
}

// newestRoot returns the youngest node, but younger than since, that can be the root
// of the root bucket: there are only buckets in it, and no node refers to it. It also
// returns the birth of the youngest node of all.
func (s *salvager) newestRoot(since page.TxID) (best nodeRef, newest page.TxID, ok bool) {
	looking := func(done, total uint64) { s.progress("looking for the root", done, total) }
	var roots []nodeRef
	s.in.eachNode(looking, nil, func(id page.ID, p page.Page) {
		newest = max(newest, p.TxID())
		if p.TxID() > since && onlyBuckets(p) {
			count, flags := btree.Tally(p)
			roots = append(roots, nodeRef{id, p.TxID(), p.Level(), count, flags})
		}
	})
	byID := func(r nodeRef, id page.ID) int { return cmp.Compare(r.id, id) }
	referred := make(bitmap)
	s.in.eachNode(looking, nil, func(id page.ID, p page.Page) {
		btree.Refs(p, 0, func(r btree.Ref) {
			if i, ok := slices.BinarySearchFunc(roots, r.ID, byID); ok && roots[i].birth == r.Birth && id != r.ID {
				referred.set(r.ID)
			}
		})
	})
	for _, r := range roots {
		if !referred.has(r.id) && (r.birth > best.birth || r.birth == best.birth && r.level > best.level) {
			best = r
		}
	}
	return best, newest, best.id != 0
}

// onlyBuckets tells whether p can be a node of the root bucket's tree.
func onlyBuckets(p page.Page) bool {
	for i := range p.Count() {
		flags := byte(0)
		if p.Level() > 0 {
			flags = btree.BranchChild(p, i).Flags
		} else {
			flags = btree.LeafCell(p, i).Flags
		}
		if flags&btree.FlagBucket == 0 {
			return false
		}
	}
	return true
}
