package folio

// This file is responsible for when the file is cut, and where.

import (
	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
)

// shrink cuts the file behind what anybody needs: neither the durable meta, nor the
// newest, nor the one to be written, with high-water mark next, refers to what lies
// behind their marks, and no reader does. What that one writes behind its mark later, for
// its free space, makes the file longer again. If it cannot be cut now, a later commit
// will do it. It needs the writer lock and the token.
//
// On a full disk it leaves nothing there: it can be a hole, where no page can be written,
// and commits would take it for room.
func (db *DB) shrink(next page.ID) {
	hwm := max(next, db.head.meta.HighWater, db.durable.meta.HighWater)
	if bugs.On(bugs.ShrinkTooFar) {
		hwm = next
	}
	size, need := db.pager.FileSize(), int64(hwm)*int64(db.pageSize)
	if db.pager.Full() || size > db.opts.InitialSize && worthShrinking(size, need) {
		_ = db.pager.Shrink(max(hwm, db.initialPages(size)))
	}
}

// initialPages returns how many pages of a file of size bytes Options.InitialSize is.
// There are none on a full disk.
func (db *DB) initialPages(size int64) page.ID {
	if db.pager.Full() {
		return 0
	}
	ps := int64(db.pageSize)
	return page.ID((min(db.opts.InitialSize, size) + ps - 1) / ps)
}

// worthShrinking tells whether a file of size bytes should be cut to need: not
// for the slack that growth leaves.
func worthShrinking(size, need int64) bool { return size > need+need/4+(8<<20) }
