//go:build foliobugs

package folio_test

import (
	"fmt"
	"os"
)

func init() {
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
