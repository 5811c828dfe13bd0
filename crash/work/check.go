package work

// This file is responsible for what a crash has left: is it whole, and which state
// is it?

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/foliodb/folio"
)

// CheckConfig says how to look at a file.
type CheckConfig struct {
	Path    string
	Seed    uint64
	Shape   Shape
	Writing bool // open it for writing
	Next    bool // and commit one more transaction, close it, and look again
}

// Found is what is in a file.
type Found struct {
	Exists    bool
	N, Digest uint64
	After     uint64 // the digest after one more transaction, if that was asked for
}

// Check opens a file, checks every page and returns what it holds.
func Check(c CheckConfig) (f Found, err error) {
	if _, err := os.Stat(c.Path); errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	f.Exists = true
	f.N, f.Digest, err = c.look(c.Writing)
	if err != nil || !c.Next {
		return f, err
	}
	if err := c.next(f.N + 1); err != nil {
		return f, fmt.Errorf("committing one more: %w", err)
	}
	var n uint64
	n, f.After, err = c.look(false)
	if err == nil && n != f.N+1 {
		err = fmt.Errorf("after one more transaction on top of %d it holds %d", f.N, n)
	}
	return f, err
}

func (c *CheckConfig) open(writing bool) (*folio.DB, error) {
	return folio.Open(c.Path, 0o600, &folio.Options{ReadOnly: !writing, Timeout: 20 * time.Second})
}

func (c *CheckConfig) look(writing bool) (n, sum uint64, err error) {
	db, err := c.open(writing)
	if err != nil {
		return 0, 0, err
	}
	err = db.View(func(tx *folio.Tx) error {
		n, sum = count(tx), digest(tx)
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
	return n, sum, errors.Join(err, db.Close())
}

// next commits transaction n.
func (c *CheckConfig) next(n uint64) error {
	db, err := c.open(true)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *folio.Tx) error {
		work := applier{tx: tx}
		return work.transaction(n, c.Shape.transaction(c.Seed, n))
	})
	return errors.Join(err, db.Close())
}

// Verify compares what was found with what is allowed: the state after n transactions,
// for an n from least to most.
func (o *Oracle) Verify(f Found, least, most uint64) error {
	switch {
	case !f.Exists && least == 0:
		return nil
	case !f.Exists:
		return fmt.Errorf("the file is gone; it must hold transaction %d", least)
	case f.N < least:
		return fmt.Errorf("it holds the state after transaction %d; %d must be there", f.N, least)
	case f.N > most:
		return fmt.Errorf("it holds the state after transaction %d, but only %d were begun", f.N, most)
	case f.Digest != o.Digest(f.N):
		return fmt.Errorf("it does not hold the state after transaction %d, but something else", f.N)
	case f.After != 0 && f.After != o.Digest(f.N+1):
		return fmt.Errorf("one more transaction on top of %d made something else of it", f.N)
	}
	return nil
}
