package btree

import "github.com/foliodb/folio/internal/page"

// VerifyRun checks a whole run of which nothing is known but where it is and
// how long its header says it is.
func VerifyRun(run []byte, id page.ID, fileID uint64, pageSize int) error {
	n := le.Uint64(run[offRunData:])
	if n > MaxValueSize || RunPages(int(n), pageSize)*pageSize != len(run) {
		return page.Corrupt(id, page.KindOverflow, "%d bytes cannot be in a run of %d pages", n, len(run)/pageSize)
	}
	if err := VerifyRunHeader(run, id, page.Page(run).TxID(), fileID, int(n), pageSize); err != nil {
		return err
	}
	return VerifyRunData(run, id, fileID)
}
