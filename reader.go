package folio

// This file is responsible for where the trees of a snapshot get their pages from:
// the map. A page is checked when this process first touches it.

import (
	"fmt"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/pager"
)

// verifyRunMax is the longest run in bytes whose data is checked on first touch.
const verifyRunMax = 256 << 10

// reader is the btree.Reader of a snapshot.
type reader struct {
	view      *pager.View
	highWater page.ID
	fileID    uint64
	pageSize  int
	verify    VerifyMode
	all       bool // much of the file is going to be read, in no particular order
}

// Peek returns node id if it has been verified before.
func (r *reader) Peek(id page.ID) (page.Page, bool) { return r.view.Page(id) }

// Read verifies node id and returns it.
func (r *reader) Read(id page.ID, birth page.TxID) (page.Page, error) {
	b, err := r.span(id, 1)
	if err != nil {
		return nil, err
	}
	if err := r.bringIn(id, 1); err != nil {
		return nil, err
	}
	p := page.Page(b)
	if err := verifyPage(p, id, birth, r.fileID, r.highWater); err != nil {
		return nil, err
	}
	return p, nil
}

// Trust makes Peek return node id from now on, or Run run id.
func (r *reader) Trust(id page.ID) {
	if r.verify != VerifyAlways {
		r.view.SetVerified(id)
	}
}

// verifyPage returns what is wrong with p as the node that transaction birth wrote to
// page id of a file with these pages.
func verifyPage(p page.Page, id page.ID, birth page.TxID, fileID uint64, highWater page.ID) error {
	switch {
	case p.ComputeChecksum(id, fileID) != p.Checksum():
		return page.Corrupt(id, 0, "wrong checksum")
	case p.TxID() != birth:
		return page.Corrupt(id, p.Kind(), "written by transaction %d, expected %d", p.TxID(), birth)
	}
	return btree.Verify(p, id, highWater)
}

// verifyRun returns what is wrong with run as the one that r refers to.
func verifyRun(run []byte, r btree.Ref, fileID uint64, pageSize int) error {
	if err := btree.VerifyRunHeader(run, r.ID, r.Birth, fileID, r.Bytes, pageSize); err != nil {
		return err
	}
	return btree.VerifyRunData(run, r.ID, fileID)
}

// span returns the n pages from id on, if the snapshot has them.
func (r *reader) span(id page.ID, n uint64) ([]byte, error) {
	if id < page.FirstID || id >= r.highWater || n > uint64(r.highWater-id) {
		return nil, page.Corrupt(id, 0, "%s not in the file", pagesFrom(n))
	}
	b := r.view.Run(id, n)
	if b == nil {
		return nil, page.Corrupt(id, 0, "it lies outside the map")
	}
	return b, nil
}

// bringIn makes the kernel bring n pages from id on in: a fault would hold the
// processor for as long as the disk takes, and kill the process if it fails. A lookup
// reads these and no others: what the kernel reads around a page is 128 KiB by default
// and 8 MiB on some systems, for each of the first hundred.
func (r *reader) bringIn(id page.ID, n uint64) error {
	pull := (*pager.View).Fetch
	if r.all {
		pull = (*pager.View).Populate
	}
	if err := pull(r.view, id, n); err != nil {
		return fmt.Errorf("%w: page %d: %w", ErrFault, id, err)
	}
	return nil
}

// Run returns the n data bytes of the overflow run at id.
func (r *reader) Run(id page.ID, birth page.TxID, n int) ([]byte, error) {
	pages := uint64(btree.RunPages(n, r.pageSize))
	if _, ok := r.view.Page(id); ok && id+page.ID(pages) <= r.highWater {
		if run := r.view.Run(id, pages); run != nil && page.Page(run).TxID() == birth && btree.RunHolds(run, n) {
			return btree.RunData(run, n), nil
		}
	}
	return r.readRun(id, birth, n, r.verify != VerifyFirst || n <= verifyRunMax || r.view.Changeable())
}

// readRun verifies the run at id, with its data if full, and returns the data.
func (r *reader) readRun(id page.ID, birth page.TxID, n int, full bool) ([]byte, error) {
	pages := uint64(btree.RunPages(n, r.pageSize))
	run, err := r.span(id, pages)
	if err != nil {
		return nil, err
	}
	first := pages
	if !full {
		first -= uint64(n / r.pageSize) // no less than what lies before the data
	}
	if err := r.bringIn(id, first); err != nil {
		return nil, err
	}
	if err := btree.VerifyRunHeader(run, id, birth, r.fileID, n, r.pageSize); err != nil {
		return nil, err
	}
	if full {
		if err := btree.VerifyRunData(run, id, r.fileID); err != nil {
			return nil, err
		}
	}
	r.Trust(id)
	return btree.RunData(run, n), nil
}

// Ahead brings in the pages [id, id+n), which a scan is about to read, and whatever
// the kernel reads around them.
func (r *reader) Ahead(id page.ID, n int) {
	if id >= page.FirstID && id < r.highWater {
		n := min(uint64(n), uint64(r.highWater-id))
		// An error comes back when the page itself is read.
		_ = r.view.Populate(id, n)
	}
}
