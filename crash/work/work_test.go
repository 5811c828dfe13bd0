package work

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
)

// TestOracle makes sure that the oracle and the database agree on what transactions
// do, when there is no crash.
func TestOracle(t *testing.T) {
	for _, o := range []folio.Options{
		{},
		{MaxDirty: 64 << 10},
		{MaxDirty: 128 << 10, PageSize: 16384},
		{TwoFlushes: true, PageSize: 8192},
		{Durability: folio.DurabilityNone, MaxDirty: 1 << 20},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			t.Parallel()
			if err := follow(filepath.Join(t.TempDir(), "db"), &o, 300); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// follow runs n transactions and compares after each.
func follow(path string, o *folio.Options, n uint64) error {
	oracle := NewOracle(1, DefaultShape)
	db, err := folio.Open(path, 0o600, o)
	if err != nil {
		return err
	}
	defer db.Close()
	for i := uint64(1); i <= n; i++ {
		ops := DefaultShape.transaction(1, i)
		err := db.Update(func(tx *folio.Tx) error {
			work := applier{tx: tx}
			return work.transaction(i, ops)
		})
		if err != nil {
			return err
		}
		err = db.View(func(tx *folio.Tx) error {
			var errs []error
			if digest(tx) != oracle.Digest(i) {
				errs = append(errs, errors.New("not what the oracle says"))
			}
			for err := range tx.Check() {
				errs = append(errs, err)
			}
			return errors.Join(errs...)
		})
		if err != nil {
			return fmt.Errorf("after transaction %d, %+v: %w", i, ops, err)
		}
	}
	return nil
}
