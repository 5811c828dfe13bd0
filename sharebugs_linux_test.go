//go:build foliobugs

package folio_test

import (
	"fmt"
	"os"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/bugs"
)

// shareStopped stops a reader between its look at the newest snapshot and its entry into
// a slot, while a writer commits.
func shareStopped(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	w, r := s.open(folio.Options{}), s.open(folio.Options{ReadOnly: true})
	must(put(w, 200, "old", folio.DurabilityFull))
	bugs.OnPause(func() {
		for range 5 {
			must(put(w, 200, "new", folio.DurabilityFull))
		}
	})
	tx, err := r.Begin(false)
	must(err)
	defer tx.Rollback()
	for range 5 {
		if err := all(tx, 200, "new"); err != nil {
			return err
		}
		must(put(w, 200, "newer", folio.DurabilityFull))
	}
	return nil
}

func init() {
	shareCases = append(shareCases, shareCase{"a reader that was stopped", shareStopped})
	bugShare = func() error {
		for _, c := range shareCases {
			dir, err := os.MkdirTemp("", "folio-bugs-*")
			must(err)
			err = c.run(dir)
			must(os.RemoveAll(dir))
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
		}
		return nil
	}
}
