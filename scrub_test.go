package folio_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
)

func TestScrubIntact(t *testing.T) {
	db, err := folio.Open(filepath.Join(t.TempDir(), "db"), 0o600, nil)
	noErr(t, err)
	defer db.Close()
	_, err = specimen(db, 120)
	noErr(t, err)
	noErr(t, db.View(func(tx *folio.Tx) error {
		return tx.Scrub(context.Background(), folio.ScrubOptions{Rate: -1})
	}))
	_ = errors.Is
}
