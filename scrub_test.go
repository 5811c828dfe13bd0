package folio_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
)

// TestScrubLive scrubs while others write: it sees its own snapshot, and no damage.
func TestScrubLive(t *testing.T) {
	db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	noErr(t, err)
	defer db.Close()
	_, err = specimen(db, 120)
	noErr(t, err)
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 30 {
			err := db.Update(func(tx *folio.Tx) error { numbers(tx, fmt.Sprint("round ", i), 200, "live"); return nil })
			if err != nil {
				t.Error(err)
			}
		}
	})
	for range 3 {
		noErr(t, db.View(func(tx *folio.Tx) error {
			var last, total uint64
			err := tx.Scrub(context.Background(), folio.ScrubOptions{
				Rate:     -1,
				Progress: func(d, n uint64) { last, total = d, n },
			})
			if last != total || int64(total)*4096 != tx.Size() {
				return fmt.Errorf("%d of %d pages", last, total)
			}
			return err
		}))
	}
	wg.Wait()
	noErr(t, db.Update(func(tx *folio.Tx) error {
		numbers(tx, "not committed", 500, "live")
		return tx.Scrub(context.Background(), folio.ScrubOptions{Rate: -1})
	}))
}

// TestScrubFinds compares what Scrub finds with what Check does, for a page of each
// kind, and for the meta page that is not in use.
func TestScrubFinds(t *testing.T) {
	_, file, _ := specimenFile(t, true, 4096)
	disk := foliotest.NewDisk()
	disk.Put("db", file)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{ReadOnly: true})
	noErr(t, err)
	fileID := db.Info().FileID
	noErr(t, db.Close())
	for id := range len(file) / 4096 {
		if id > 40 && id%7 != 0 {
			continue
		}
		content := bytes.Clone(file)
		p := page.Page(content[id*4096:][:4096])
		p[100] ^= 1
		scrubFinds(t, id, content)
		if k := p.Kind(); id >= page.NumMetas && (k == page.KindLeaf || k == page.KindBranch) {
			p[100] ^= 1
			p.SetTxID(p.TxID() - 1) // one that a lost write has left
			p.Seal(page.ID(id), fileID)
			scrubFinds(t, id, content)
		}
	}
}

// scrubFinds compares what Check and Scrub find in a file whose page id is damaged.
func scrubFinds(t *testing.T, id int, content []byte) {
	t.Helper()
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{ReadOnly: true})
	noErr(t, err)
	noErr(t, db.View(func(tx *folio.Tx) error {
		var check, scrub []string
		for err := range tx.Check() {
			check = append(check, err.Error())
		}
		err := tx.Scrub(context.Background(), folio.ScrubOptions{Rate: -1, Found: func(c *folio.CheckError) {
			scrub = append(scrub, c.Error())
		}})
		if id < page.NumMetas {
			check = append(check, fmt.Sprintf("the file is damaged: page %d: meta page: wrong checksum", id))
		}
		if fmt.Sprint(check) != fmt.Sprint(scrub) || (err != nil) != (len(check) > 0) || err != nil && !errors.Is(err, folio.ErrCorrupt) {
			return fmt.Errorf("page %d: check %q, scrub %q, %w", id, check, scrub, err)
		}
		return nil
	}))
	noErr(t, db.Close())
}

func TestScrubEnds(t *testing.T) {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	defer db.Close()
	noErr(t, db.Update(func(tx *folio.Tx) error { numbers(tx, "value", 3000, "a"); return nil }))
	var kept *folio.Tx
	cause := errors.New("enough")
	noErr(t, db.View(func(tx *folio.Tx) error {
		kept = tx
		ctx, cancel := context.WithCancelCause(context.Background())
		cancel(cause)
		wantSame(t, tx.Scrub(ctx, folio.ScrubOptions{}), cause)
		// It waits for the rate, and no longer when it is to end.
		ctx, stop := context.WithTimeoutCause(context.Background(), time.Millisecond, cause)
		defer stop()
		wantSame(t, tx.Scrub(ctx, folio.ScrubOptions{Rate: 1}), cause)
		return nil
	}))
	wantSame(t, kept.Scrub(context.Background(), folio.ScrubOptions{}), folio.ErrTxClosed)
}

// TestScrubRate measures only that it is not faster than it shall.
func TestScrubRate(t *testing.T) {
	db := openTemp(t, nil)
	noErr(t, db.Update(func(tx *folio.Tx) error { numbers(tx, "value", 3000, "a"); return nil }))
	noErr(t, db.View(func(tx *folio.Tx) error {
		start := time.Now()
		err := tx.Scrub(context.Background(), folio.ScrubOptions{Rate: tx.Size() * 10})
		if took := time.Since(start); took < 70*time.Millisecond {
			t.Errorf("%d bytes in %v", tx.Size(), took)
		}
		return err
	}))
}

// TestFindingsAreCopies: what Check and Scrub have found can be looked at when the database
// is closed, and the file is not mapped any more.
func TestFindingsAreCopies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	_, file, _ := specimenFile(t, true, 4096)
	for id := page.NumMetas; id < len(file)/4096; id += 3 {
		file[id*4096+200] ^= 1
	}
	noErr(t, os.WriteFile(path, file, 0o600))
	db, err := folio.Open(path, 0o600, &folio.Options{ReadOnly: true})
	noErr(t, err)
	var found []error
	texts := func() (all []string) {
		for _, err := range found {
			all = append(all, err.Error())
		}
		return all
	}
	noErr(t, db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			found = append(found, err)
		}
		return nil
	}))
	err = db.View(func(tx *folio.Tx) error {
		return tx.Scrub(context.Background(), folio.ScrubOptions{Rate: -1})
	})
	require.ErrorIs(t, err, folio.ErrCorrupt)
	found = append(found, err)
	open := texts()
	require.Contains(t, fmt.Sprint(open), "bucket /") // with keys
	noErr(t, db.Close())
	require.Equal(t, open, texts())
}
