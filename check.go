package folio

// This file is responsible for the full check of a database: every page, every
// checksum, every key, and whether each page is in use, or free, and not both.

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
)

// CheckOption changes what Tx.Check does.
type CheckOption func(*checker)

// WithProgress makes Check call fn now and then with the number of pages it has
// looked at, of how many.
func WithProgress(fn func(done, total uint64)) CheckOption {
	return func(c *checker) { c.progress = fn }
}

// CheckError is what Tx.Check reports: damage, and what it affects. It is valid for as long
// as you like: its slices are copies.
type CheckError struct {
	// Bucket is the path of the bucket, nil for damage outside of all buckets.
	Bucket [][]byte
	// Lo and Hi bound the keys [Lo, Hi) that cannot be trusted; nil is unbounded.
	Lo, Hi []byte
	Err    error
}

func (e *CheckError) Error() string {
	if e.Bucket == nil {
		return e.Err.Error()
	}
	var b strings.Builder
	for _, name := range e.Bucket {
		fmt.Fprintf(&b, "/%q", name)
	}
	if len(e.Bucket) == 0 {
		b.WriteByte('/')
	}
	return fmt.Sprintf("bucket %s, keys %s: %v", b.String(), keyRange(e.Lo, e.Hi), e.Err)
}

// Unwrap returns Err.
func (e *CheckError) Unwrap() error { return e.Err }

func keyRange(lo, hi []byte) string {
	l, h := "from the first", "to the last"
	if lo != nil {
		l = fmt.Sprintf("from %q", lo)
	}
	if hi != nil {
		h = fmt.Sprintf("before %q", hi)
	}
	return l + " " + h
}

// Check reads the whole database as the transaction sees it and sends everything
// that is wrong, as *CheckError, until it closes the channel. It goes on where it
// can. All checksums are verified, whatever was verified before, and each page must
// be in use exactly once or free. Other transactions go on meanwhile; this one must
// not be used before the channel is closed.
func (tx *Tx) Check(options ...CheckOption) <-chan error {
	errs := make(chan error)
	c := &checker{tx: tx, send: func(err error) { errs <- err }}
	for _, o := range options {
		o(c)
	}
	if tx.db == nil {
		go func() { errs <- ErrTxClosed; close(errs) }()
		return errs
	}
	var flushErr error
	if tx.writable {
		if flushErr = tx.change(tx.flush); flushErr == nil {
			tx.store.stamp(tx.id)
		}
	}
	go func() {
		defer close(errs)
		if flushErr != nil {
			errs <- &CheckError{Err: flushErr}
			return
		}
		c.run()
	}()
	return errs
}

// mustCheck is StrictMode.
func (db *DB) mustCheck() {
	tx, err := db.beginRead()
	if err == ErrDatabaseNotOpen {
		return // somebody has closed it meanwhile
	}
	if err != nil {
		panic(fmt.Sprintf("folio: strict mode: %v", err))
	}
	defer tx.close()
	for err := range tx.Check() {
		panic(fmt.Sprintf("folio: strict mode: %v", err))
	}
}

// checker is one run of Check.
type checker struct {
	tx       *Tx
	send     func(error)
	progress func(done, total uint64)
	used     []uint64 // bitmap of pages
	done     uint64
	path     [][]byte
	from     btree.Reader // instead of the map, if set
}

// stopWalk is the panic that ends a walk through all pages early.
type stopWalk struct{ err error }

// endWalk is deferred by who walks, and returns what has ended it.
func endWalk(err *error) {
	if r := recover(); r != nil {
		stop, ours := r.(stopWalk)
		if !ours {
			panic(r)
		}
		*err = stop.err
	}
}

func (c *checker) report(err error) { c.send(&CheckError{Err: err}) }

func (c *checker) run() {
	if err := c.tx.catch(c.all); err != nil {
		c.report(err)
	}
}

// all checks everything.
func (c *checker) all() {
	c.used = make([]uint64, c.highWater()/64+1)
	for id := range page.FirstID {
		c.mark(id, 1)
	}
	h := c.tx.root.tree.Header()
	if h.Root&dirtyBit != 0 {
		h.Birth = c.tx.id
	}
	var t btree.Tree
	t.Init(c.reader(), h, nil)
	c.tree(&t, 0)
	c.account()
}

// reader returns a Reader that verifies every page, whatever was verified before.
func (c *checker) reader() btree.Reader {
	if c.from != nil {
		return c.from
	}
	r := *c.tx.reader()
	r.verify, r.all = VerifyAlways, true
	return &checkReader{reader: r, dirty: c.tx.store}
}

// stamp gives the references to dirty pages the birth that a commit will give
// them, so that no page looks younger than the one that refers to it.
func (s *store) stamp(txid page.TxID) {
	for _, d := range s.dirty {
		if d.free || d.run {
			continue
		}
		btree.SetRefs(d.buf, dirtyBit, func(r btree.Ref) (page.ID, page.TxID) { return r.ID, txid })
	}
}

// checkReader reads dirty pages from the transaction and verifies all others.
type checkReader struct {
	reader
	dirty *store
}

func (r *checkReader) Peek(id page.ID) (page.Page, bool) {
	if id&dirtyBit != 0 && r.dirty != nil {
		return r.dirty.Peek(id)
	}
	return nil, false
}

func (r *checkReader) Read(id page.ID, birth page.TxID) (page.Page, error) {
	if id&dirtyBit != 0 && r.dirty != nil {
		return r.dirty.Read(id, birth)
	}
	return r.reader.Read(id, birth)
}

func (r *checkReader) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	if id&dirtyBit != 0 && r.dirty != nil {
		return r.dirty.Run(id, birth, n)
	}
	return r.readRun(id, birth, n, true)
}

// tree checks t and the buckets nested in it.
func (c *checker) tree(t *btree.Tree, depth int) {
	t.Check(&btree.Checker{
		Page: func(id page.ID, pages int, _ page.TxID, _ page.Kind) bool {
			return id&dirtyBit != 0 && c.tx.store != nil || c.mark(id, uint64(pages))
		},
		Run: func(id page.ID, birth page.TxID, n int) error {
			_, err := c.reader().Run(id, birth, n)
			return err
		},
		Bucket: func(name, payload []byte) {
			c.path = append(c.path, name)
			c.bucket(payload, depth+1)
			c.path = c.path[:len(c.path)-1]
		},
		Report: func(err error, lo, hi []byte) {
			// Who is told may keep it, the file may be closed by then.
			e := &CheckError{Bucket: [][]byte{}, Lo: bytes.Clone(lo), Hi: bytes.Clone(hi), Err: err}
			for _, name := range c.path {
				e.Bucket = append(e.Bucket, bytes.Clone(name))
			}
			c.send(e)
		},
	})
}

func (c *checker) bucket(payload []byte, depth int) {
	if depth > MaxBucketDepth {
		c.report(page.Corrupt(0, 0, "buckets nested deeper than %d", MaxBucketDepth))
		return
	}
	h := btree.DecodeHeader(payload)
	var t btree.Tree
	t.Init(c.reader(), h, payload[btree.HeaderSize:])
	c.tree(&t, depth)
}

// mark notes that n pages from id on are in use; false if one of them cannot be,
// or is already.
func (c *checker) mark(id page.ID, n uint64) bool {
	hwm := c.highWater()
	if id >= hwm || n > uint64(hwm-id) {
		return false
	}
	fresh := true
	for i := id; i < id+page.ID(n); i++ {
		if c.used[i/64]>>(i%64)&1 != 0 {
			fresh = false
		}
		c.used[i/64] |= 1 << (i % 64)
	}
	c.done += n
	if c.progress != nil && (c.done%4096 < n || c.done == uint64(hwm)) {
		c.progress(c.done, uint64(hwm))
	}
	return fresh
}

// highWater returns the high-water mark, which a write transaction can have raised.
func (c *checker) highWater() page.ID {
	if c.tx.store != nil {
		return c.tx.store.highWater
	}
	return c.tx.snap.meta.HighWater
}

// account compares the pages in use with the free space.
func (c *checker) account() {
	m := &c.tx.snap.meta
	s, err := readSpace(c.tx.db.pager, m)
	if err != nil {
		c.report(fmt.Errorf("the free space: %w", err))
		return
	}
	var free uint64
	take := func(e freelist.Extent, what string) {
		if !c.mark(e.Start, e.Len) {
			c.report(page.Corrupt(e.Start, 0, "%s %s, but also in use", pagesFrom(e.Len), what))
		}
	}
	for _, p := range s.chain {
		take(freelist.Extent{Start: p.ID, Len: uint64(p.Pages)}, "of the freelist")
	}
	for e := range s.list.All() {
		free += e.Len
	}
	list := s.list
	if c.tx.store != nil && c.tx.group.out != nil {
		list = c.tx.db.space.list // pages that were free have been written since
	}
	for e := range list.All() {
		take(e, "free")
	}
	if free != m.Freelist.FreePages {
		c.report(page.Corrupt(m.Freelist.Head, 0, "%d pages are free, the meta page counts %d", free, m.Freelist.FreePages))
	}
	if c.tx.store != nil {
		for _, f := range c.tx.store.freed {
			take(freelist.Extent{Start: f.id, Len: f.n}, "freed by this transaction")
		}
	}
	c.leaks(c.highWater())
}

// leaks reports the pages that are neither in use nor free.
func (c *checker) leaks(hwm page.ID) {
	for id := page.FirstID; id < hwm; id++ {
		start := id
		for id < hwm && c.used[id/64]>>(id%64)&1 == 0 {
			id++
		}
		if id > start {
			c.report(page.Corrupt(start, 0, "%s neither in use nor free", pagesFrom(uint64(id-start))))
		}
	}
}

// pagesFrom begins a sentence about n pages from one on that is named before it.
func pagesFrom(n uint64) string {
	if n == 1 {
		return "it is"
	}
	return fmt.Sprintf("%d pages from there on are", n)
}
