package folio

// This file is responsible for the map of the file: what each page is used for.

import (
	"errors"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// PageUse says what a page, or a run of pages, is used for. Its bytes are copies and may be
// kept; those of one bucket share them, so they must not be modified.
type PageUse struct {
	ID    int // the first page
	Pages int
	Type  string // "meta", "node", "overflow", "freelist" or "free"
	// Bucket is the path of the bucket that uses it: empty for the root bucket,
	// nil for what belongs to no bucket.
	Bucket [][]byte
	// Err is set, and Pages is 0, for damage that keeps the walk from going on
	// below ID; 0 if no page is to blame.
	Err error
}

// PageMap calls fn for every page that the transaction sees, in no particular
// order, until fn returns an error, which it returns. A page that fn is not told
// of lies below damage, or is lost. It reads and verifies every node, and the beginning
// of every long value, not what is in it, and goes on where they are damaged. In a writable transaction the map
// is of the state before it.
func (tx *Tx) PageMap(fn func(PageUse) error) (err error) {
	if tx.db == nil {
		return ErrTxClosed
	}
	defer endWalk(&err)
	m := mapper{fn: fn}
	m.checker = checker{tx: tx}
	m.used = make([]uint64, tx.snap.meta.HighWater/64+1)
	return tx.catch(func() {
		m.emit(PageUse{ID: 0, Pages: page.NumMetas, Type: "meta"})
		m.tree(rootHeader(&tx.snap.meta), nil, 0)
		m.space()
	})
}

// mapper is one run of PageMap.
type mapper struct {
	checker // for its set of pages seen
	fn      func(PageUse) error
}

func (m *mapper) emit(u PageUse) {
	if err := m.fn(u); err != nil {
		panic(stopWalk{err})
	}
}

// tree maps a bucket and those nested in it.
func (m *mapper) tree(h btree.Header, own []byte, depth int) {
	path := append([][]byte{}, m.path...)
	r := m.tx.read
	r.verify, r.all = VerifyAlways, true
	var t btree.Tree
	reader := &checkReader{reader: r}
	t.Init(reader, h, own)
	t.Check(&btree.Checker{
		Page: func(id page.ID, pages int, _ page.TxID, kind page.Kind) bool {
			if !m.mark(id, uint64(pages)) {
				return false
			}
			what := "node"
			if kind == page.KindOverflow {
				what = "overflow"
			}
			m.emit(PageUse{ID: int(id), Pages: pages, Type: what, Bucket: path})
			return true
		},
		Run: func(id page.ID, birth page.TxID, n int) error {
			_, err := reader.readRun(id, birth, n, false)
			return err
		},
		Bucket: func(name, payload []byte) {
			if depth >= MaxBucketDepth {
				m.emit(PageUse{Bucket: path, Err: page.Corrupt(0, 0, "buckets nested deeper than %d", MaxBucketDepth)})
				return
			}
			h := btree.DecodeHeader(payload)
			if h.Root == 0 {
				return // no pages
			}
			m.path = append(m.path, slices.Clone(name))
			m.tree(h, nil, depth+1)
			m.path = m.path[:len(m.path)-1]
		},
		Report: func(err error, _, _ []byte) {
			m.emit(PageUse{ID: int(corruptPage(err)), Bucket: path, Err: err})
		},
	})
}

// space maps the freelist and what it says.
func (m *mapper) space() {
	s, err := readSpace(m.tx.db.pager, &m.tx.snap.meta)
	if err != nil {
		m.emit(PageUse{ID: int(corruptPage(err)), Err: err})
		return
	}
	for _, p := range s.chain {
		m.emitSpace(freelist.Extent{Start: p.ID, Len: uint64(p.Pages)}, "freelist")
	}
	for e := range s.list.All() {
		m.emitSpace(e, "free")
	}
}

func (m *mapper) emitSpace(e freelist.Extent, what string) {
	m.emit(PageUse{ID: int(e.Start), Pages: int(e.Len), Type: what})
}

// corruptPage returns the page that err names, or 0.
func corruptPage(err error) page.ID {
	var c *page.CorruptError
	if errors.As(err, &c) {
		return c.ID
	}
	return 0
}
