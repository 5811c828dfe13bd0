package folio

// This file is responsible for the statistics of buckets: what a walk over all
// nodes of a bucket finds.

import (
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// BucketStats describes the pages of a bucket and of all buckets nested in it.
//
// Nodes are never larger than a page. What does not fit, long keys and values,
// is in overflow runs, which are counted with the kind of node that refers to
// them.
type BucketStats struct {
	BranchPageN     int // branch pages
	BranchOverflowN int // pages of the runs that branch pages refer to
	LeafPageN       int // leaf pages
	LeafOverflowN   int // pages of the runs that leaf pages refer to

	KeyN  int // keys, nested buckets among them
	Depth int // levels of nodes, those of nested buckets counted below those of their parents

	BranchAlloc int // bytes of branch pages and of their runs
	BranchInuse int // bytes used in them
	LeafAlloc   int // bytes of leaf pages and of their runs
	LeafInuse   int // bytes used in them

	BucketN           int // buckets, the bucket itself among them
	InlineBucketN     int // buckets without pages of their own, the empty ones among them
	InlineBucketInuse int // bytes that inline buckets use in the leaves of their parents; in LeafInuse too

	OverflowN     int // overflow runs
	OverflowPageN int // their pages: BranchOverflowN and LeafOverflowN
	OverflowInuse int // bytes of long keys and values in them
}

// Add adds other to s. Depth becomes the larger of the two.
func (s *BucketStats) Add(other BucketStats) {
	s.BranchPageN += other.BranchPageN
	s.BranchOverflowN += other.BranchOverflowN
	s.LeafPageN += other.LeafPageN
	s.LeafOverflowN += other.LeafOverflowN
	s.KeyN += other.KeyN
	s.Depth = max(s.Depth, other.Depth)
	s.BranchAlloc += other.BranchAlloc
	s.BranchInuse += other.BranchInuse
	s.LeafAlloc += other.LeafAlloc
	s.LeafInuse += other.LeafInuse
	s.BucketN += other.BucketN
	s.InlineBucketN += other.InlineBucketN
	s.InlineBucketInuse += other.InlineBucketInuse
	s.OverflowN += other.OverflowN
	s.OverflowPageN += other.OverflowPageN
	s.OverflowInuse += other.OverflowInuse
}

// Stats walks the bucket and all buckets nested in it and returns what they take.
// It reads every node, but no long values. Damage is treated as by Get.
func (b *Bucket) Stats() (s BucketStats) {
	if b.usable() != nil {
		return s
	}
	b.tx.guarded(func() {
		if b.tx.writable {
			// What is below must be in the leaves, not only in the Buckets opened.
			if err := b.flushChildren(); err != nil {
				b.tx.fail(err)
				return
			}
		}
		w := statsWalk{tx: b.tx, budget: b.tx.pagesMax()}
		got, err := w.bucket(&b.tree, int(b.depth))
		if err != nil {
			b.tx.fail(err)
			return
		}
		s = got
	})
	return s
}

// statsWalk is one run of Stats.
type statsWalk struct {
	tx     *Tx
	budget uint64 // pages left to be seen: ends the walk of a hostile file
}

// take takes n pages off the budget.
func (w *statsWalk) take(id page.ID, n int) error {
	if uint64(n) > w.budget {
		return page.Corrupt(id, 0, "the buckets refer to more pages than there are")
	}
	w.budget -= uint64(n)
	return nil
}

// bucket returns the statistics of a bucket with tree t.
func (w *statsWalk) bucket(t *btree.Tree, depth int) (BucketStats, error) {
	var s, nested BucketStats
	s.BucketN = 1
	if t.Header().Root == 0 {
		s.InlineBucketN = 1
	}
	err := t.Walk(&btree.Walker{
		Node: func(id page.ID, n page.Page, level int) error {
			s.addNode(id, n)
			s.Depth = max(s.Depth, level)
			if id == 0 {
				return nil
			}
			return w.take(id, 1)
		},
		Run: func(id page.ID, size int, from page.Kind) error {
			pages := btree.RunPages(size, w.tx.db.pageSize)
			s.addRun(pages, size, from)
			return w.take(id, pages)
		},
		Bucket: func(_, payload []byte) error {
			if depth >= MaxBucketDepth {
				return page.Corrupt(0, 0, "buckets nested deeper than %d", MaxBucketDepth)
			}
			var in btree.Tree
			in.Init(w.tx.btreeReader(), btree.DecodeHeader(payload), payload[btree.HeaderSize:])
			got, err := w.bucket(&in, depth+1)
			nested.Add(got)
			return err
		},
	})
	ps := w.tx.db.pageSize
	s.BranchAlloc = (s.BranchPageN + s.BranchOverflowN) * ps
	s.LeafAlloc = (s.LeafPageN + s.LeafOverflowN) * ps
	s.Depth = max(s.Depth, 1)
	depthBelow := s.Depth + nested.Depth
	s.Add(nested)
	s.Depth = depthBelow
	return s, err
}

// addNode counts a node; id is 0 if it is in its parent's leaf.
func (s *BucketStats) addNode(id page.ID, n page.Page) {
	used := btree.Used(n)
	switch {
	case n.Kind() == page.KindBranch:
		s.BranchPageN++
		s.BranchInuse += used
		return
	case id == 0:
		s.InlineBucketInuse += used
	default:
		s.LeafPageN++
		s.LeafInuse += used
	}
	s.KeyN += n.Count()
}

// addRun counts an overflow run.
func (s *BucketStats) addRun(pages, size int, from page.Kind) {
	s.OverflowN++
	s.OverflowPageN += pages
	s.OverflowInuse += size
	if from == page.KindBranch {
		s.BranchOverflowN += pages
		s.BranchInuse += size
		return
	}
	s.LeafOverflowN += pages
	s.LeafInuse += size
}

// btreeReader returns what trees of the transaction read through, dirty pages
// included.
func (tx *Tx) btreeReader() btree.Reader {
	if tx.store != nil {
		return tx.store
	}
	return &tx.read
}
