package folio_test

// The histories of TestCrashAll.

import (
	"fmt"
	"slices"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

var allCases = []allCase{
	{name: "creation", run: allOpen},
	{name: "creation in an empty file", empty: true, run: allOpen},
	{name: "two small commits", setup: allFull(allPuts("key", 4, 50)), run: allFull(allPuts("key", 2, 60), allPuts("more", 2, 50))},
	{name: "growth", setup: allFull(allPuts("key", 4, 50)), run: allFull(allPuts("large", 1, 30_000), allPuts("more", 1, 20_000))},
	{name: "overflow runs", setup: allFull(allPuts("run", 2, 6000)), run: allFull(allPuts("run", 1, 9000), allDelete("run", 2))},
	{name: "splits", setup: allFull(allPuts("key", 20, 150)), run: allFull(allPuts("key", 45, 150))},
	{name: "merges", setup: allFull(allPuts("key", 90, 150)), run: allFull(allDelete("key", 80))},
	{name: "bucket deleted", setup: allFull(allSub(60)), run: allFull(allSubGone)},
	{name: "freelist page", heavy: true, setup: allFull(allPuts("key", 4, 50)), run: allUntilSpace(1), again: allFull(pipeScatter)},
	{name: "freelist checkpoint", heavy: true, setup: allFull(allPuts("key", 4, 50)), run: allUntilSpace(17), again: allFull(pipeScatter)},
	{name: "group", setup: allFull(allPuts("key", 4, 50)), run: allGroup},
	{name: "readers during a flush", setup: allFull(allPuts("key", 4, 50)), run: allSeen},
	{name: "relaxed", options: quietly(folio.Options{}), setup: allFull(allPuts("key", 4, 50)), run: allRelaxed},
	{name: "relaxed in freed pages", options: quietly(folio.Options{}), setup: allFull(slices.Repeat([]pipeTx{allPuts("key", 45, 150)}, 6)...), run: allFreedPages},
	{name: "mixed", options: quietly(folio.Options{}), setup: allFull(allPuts("key", 4, 50)), run: allMixed},
	{name: "relaxed growth", options: quietly(folio.Options{}), setup: allFull(allPuts("key", 4, 50)), run: allRelaxedGrowth},
	{name: "weak", options: quietly(folio.Options{PageSize: 65536}), heavy: true, setup: allFull(allPuts("key", 4, 50)), run: allWeak},
	{name: "weak after a sync", options: quietly(folio.Options{PageSize: 65536}), heavy: true, setup: allFull(allPuts("large", 1, 2200<<10), allPuts("large", 1, 2200<<10)), run: allWeakNext},
	{name: "two flushes", options: folio.Options{TwoFlushes: true}, setup: allFull(allPuts("key", 4, 50)), run: allFull(allPuts("key", 2, 60), allPuts("key", 1, 9000))},
	{name: "large commit", options: folio.Options{PageSize: 65536}, heavy: true, setup: allFull(allPuts("key", 4, 50)), run: allFull(allPuts("large", 1, 2200<<10), allPuts("large", 1, 70_000))},
	{name: "spilled", options: folio.Options{MaxDirty: 8 * 4096}, setup: allFull(allPuts("key", 30, 900)), run: allSpill},
	{name: "spilled growth", options: folio.Options{MaxDirty: 8 * 4096}, setup: allFull(allPuts("key", 4, 50)), run: allFull(allTogether(allPuts("key", 45, 800), allPuts("key", 45, 850)), allPuts("key", 1, 60))},
	{name: "far pages", heavy: true, setup: allFull(allPuts("large", 1, 4<<20), allPuts("key", 4, 50)), run: allFull(allPuts("more", 45, 900))},
	{name: "shrink", options: folio.Options{PageSize: 65536}, heavy: true, setup: allFull(allPuts("key", 4, 50), allPuts("large", 1, 9<<20)), run: allFull(allDelete("large", 1), allPuts("key", 1, 60), allPuts("key", 1, 70))},
	{name: "close", setup: allFull(allPuts("key", 4, 50)), run: allClose},
	{name: "relaxed close", options: quietly(folio.Options{}), setup: allFull(allPuts("key", 4, 50), allPuts("large", 1, 300_000), allDelete("large", 1)), run: allRelaxedClose},
	{name: "reopen", setup: allFull(allPuts("key", 4, 50)), run: allReopen},
}

// allFull runs transactions that are durable each.
func allFull(txs ...pipeTx) func(*pipeHistory) error { return allWith(full, txs...) }

func allWith(d folio.Durability, txs ...pipeTx) func(*pipeHistory) error {
	return func(h *pipeHistory) error {
		for _, do := range txs {
			if err := h.do(d, do); err != nil {
				return err
			}
		}
		return nil
	}
}

// allTogether makes one transaction of several.
func allTogether(txs ...pipeTx) pipeTx {
	return func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		for _, do := range txs {
			do(h, tx, m)
		}
	}
}

func (h *pipeHistory) do(d folio.Durability, do pipeTx) error {
	return h.update(d, func(tx *folio.Tx, m *foliotest.Bucket) error {
		do(h, tx, m)
		return nil
	})
}

// allPuts puts n keys that begin with name, which tell the transaction they are from.
func allPuts(name string, n, size int) pipeTx {
	return func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		b, bm := crashBucket(tx, m, "b")
		c := &crashHistory{next: h.next}
		for i := range n {
			c.crashPut(b, bm, fmt.Sprintf("%s %03d", name, i), size)
		}
	}
}

func allDelete(name string, n int) pipeTx {
	return func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		b, bm := crashBucket(tx, m, "b")
		for i := range n {
			key := fmt.Sprintf("%s %03d", name, i)
			must(b.Delete([]byte(key)))
			bm.Delete(key)
		}
	}
}

// allSub fills a bucket of its own.
func allSub(n int) pipeTx {
	return func(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
		b, bm := crashBucket(tx, m, "sub")
		c := &crashHistory{next: h.next}
		for i := range n {
			c.crashPut(b, bm, fmt.Sprintf("key %03d", i), 200)
		}
	}
}

func allSubGone(h *pipeHistory, tx *folio.Tx, m *foliotest.Bucket) {
	if m.Sub("sub") == nil {
		allSub(60)(h, tx, m)
		return
	}
	must(tx.DeleteBucket([]byte("sub")))
	m.Delete("sub")
}

func allOpen(h *pipeHistory) error {
	if h.db == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	return h.do(full, allPuts("key", 2, 50))
}

// allUntilSpace runs transactions until they have written so many freelist pages. The
// last of them can be cut.
func allUntilSpace(pages int64) func(*pipeHistory) error {
	return func(h *pipeHistory) error {
		for h.db.Stats().TxStats.SpacePages < pages {
			if err := h.sync(); err != nil {
				return err
			}
			h.settle()
			if err := h.do(full, pipeScatter); err != nil {
				return err
			}
		}
		return nil
	}
}

func allGroup(h *pipeHistory) error {
	if h.db.Stats().TxStats.Commits == 0 { // Open can have left a sync to the first
		if err := h.do(full, allPuts("first", 1, 10)); err != nil {
			return err
		}
	}
	return h.group(pipeFull, allPuts("key", 1, 70))
}

// allSeen has a reader look at the database while a commit is being flushed. What it has
// seen no crash may take back.
func allSeen(h *pipeHistory) error {
	h.setGate(h.look)
	defer h.setGate(nil)
	return h.do(full, allPuts("key", 2, 60))
}

func allRelaxed(h *pipeHistory) error {
	if err := allWith(relaxed, allPuts("run", 1, 6000), allPuts("key", 2, 60), allPuts("key", 1, 70))(h); err != nil {
		return err
	}
	return h.sync()
}

func allMixed(h *pipeHistory) error {
	for _, d := range []folio.Durability{relaxed, none, full} {
		if err := h.do(d, allPuts("key", 2, 60+int(d))); err != nil {
			return err
		}
	}
	return nil
}

// allRelaxedGrowth makes the file longer, and frees what lies there.
func allRelaxedGrowth(h *pipeHistory) error {
	return allWith(relaxed, allPuts("hole", 1, 20_000), allDelete("hole", 1), allPuts("key", 1, 60), allPuts("long", 1, 90_000), allDelete("long", 1), allPuts("key", 1, 70))(h)
}

func allWeak(h *pipeHistory) error {
	if err := allWith(relaxed, allPuts("large", 2, 1200<<10), allPuts("key", 1, 60))(h); err != nil {
		return err
	}
	return h.sync()
}

// allWeakNext is a weak transaction whose number follows that of the durable state. It
// writes to pages that were written before, so that no length tells what is missing.
func allWeakNext(h *pipeHistory) error {
	if err := h.do(relaxed, allPuts("key", 2, 60)); err != nil {
		return err
	}
	if err := h.sync(); err != nil {
		return err
	}
	return h.do(relaxed, allPuts("large", 1, 2200<<10))
}

// allSpill runs a transaction larger than memory, of which a part is undone, and one
// that is rolled back.
func allSpill(h *pipeHistory) error {
	err := h.update(full, func(tx *folio.Tx, m *foliotest.Bucket) error {
		allPuts("key", 30, 800)(h, tx, m)
		err := tx.Nested(func(tx *folio.Tx) error {
			allPuts("undone", 40, 800)(h, tx, m.Clone())
			return errUndone
		})
		wantErr("Nested", err, errUndone)
		allPuts("key", 30, 850)(h, tx, m)
		return nil
	})
	if err != nil {
		return err
	}
	err = h.update(full, func(tx *folio.Tx, m *foliotest.Bucket) error {
		allPuts("undone", 40, 800)(h, tx, m)
		return errUndone
	})
	wantErr("Update", err, errUndone)
	return h.do(full, allPuts("key", 1, 60))
}

func allClose(h *pipeHistory) error {
	if err := h.do(full, allPuts("key", 1, 60)); err != nil {
		return err
	}
	return h.close()
}

// allRelaxedClose leaves to Close what is not durable: the durable state ends further back
// in the file.
func allRelaxedClose(h *pipeHistory) error {
	if err := allWith(relaxed, allPuts("key", 1, 60), allPuts("key", 1, 70))(h); err != nil {
		return err
	}
	return h.close()
}

func allReopen(h *pipeHistory) error {
	if err := allClose(h); err != nil {
		return err
	}
	if err := h.open(); err != nil {
		return err
	}
	return h.do(full, allPuts("key", 1, 70))
}

// allFreedPages writes over versions of the same pages that nothing needs any more. Who
// does not look at their births cannot tell these from the new ones.
func allFreedPages(h *pipeHistory) error {
	if err := h.do(relaxed, allPuts("key", 45, 150)); err != nil {
		return err
	}
	return h.sync()
}
