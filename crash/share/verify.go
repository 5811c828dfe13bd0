//go:build linux

package main

// This file is responsible for what must hold when all processes have ended.

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/foliodb/folio"
)

// verify looks at what the processes have left, and returns what it has found.
func (c *config) verify() (report string, err error) {
	h, err := readHistory(c.dir)
	if err != nil {
		return "", err
	}
	db, err := folio.Open(c.path(), 0o600, &folio.Options{Timeout: patience})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close(), c.nothingLeft()) }()
	var last stamp
	err = db.View(func(tx *folio.Tx) (err error) {
		last, _, err = look(tx, true)
		return err
	})
	if err == nil {
		err = h.verify(last)
	}
	if err == nil {
		err = alone(db)
	}
	return fmt.Sprintf("%d acknowledged, %d in doubt, newest %d", len(h.acked), h.doubts, last.n), err
}

// alone makes sure that nothing is kept for processes that are gone.
func alone(db *folio.DB) error {
	if list := db.Processes(); len(list) != 1 || list[0].PID != os.Getpid() {
		return fmt.Errorf("there are other processes: %v", list)
	}
	for i := range 4 {
		err := db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("after"))
			if err != nil {
				return err
			}
			return b.Put([]byte("n"), []byte{byte(i)})
		})
		if err != nil {
			return err
		}
	}
	// What the last commit has freed waits for the next one.
	if s := db.Stats(); s.PendingPageN > 16 || s.Oldest != 0 {
		return fmt.Errorf("%d pages are kept for readers that are gone; the oldest is %d", s.PendingPageN, s.Oldest)
	}
	return db.View(func(tx *folio.Tx) error {
		var errs []error
		for err := range tx.Check() {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	})
}

// nothingLeft makes sure that the last Close has removed the file beside the database.
func (c *config) nothingLeft() error {
	if _, err := os.Stat(c.path() + "-lock"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the lock file is still there: %v", err)
	}
	return nil
}
