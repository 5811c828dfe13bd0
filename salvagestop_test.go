package folio_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/foliodb/folio"
)

// TestSalvageContext ends salvages in each of their phases: nothing is left behind.
func TestSalvageContext(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	db, err := folio.Open(in, 0o600, nil)
	noErr(t, err)
	noErr(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		for i := 0; i < 100000 && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%d", i), make([]byte, 50))
		}
		return err
	}))
	noErr(t, db.Close())
	f, err := os.OpenFile(in, os.O_RDWR, 0)
	noErr(t, err)
	_, err = f.WriteAt(make([]byte, 8192), 0) // both metas: all phases are needed
	noErr(t, errors.Join(err, f.Close()))
	cause := errors.New("enough")
	for _, phase := range []string{"looking for pages", "looking for the root", "copying", "checking"} {
		ctx, cancel := context.WithCancelCause(t.Context())
		o := &folio.SalvageOptions{Progress: func(what string, _, _ uint64) {
			if what == phase {
				cancel(cause)
			}
		}}
		if _, err := folio.SalvageContext(ctx, in, out, 0o600, o); !errors.Is(err, cause) {
			t.Errorf("%s: %v", phase, err)
		}
		entries, err := os.ReadDir(dir)
		noErr(t, err)
		if len(entries) != 1 {
			t.Errorf("%s: it left %v", phase, entries)
		}
	}
	_, err = folio.SalvageContext(t.Context(), in, out, 0o600, nil)
	noErr(t, err)
}

// TestSalvageContextWaiting: a salvage that waits for the file ends as well.
func TestSalvageContextWaiting(t *testing.T) {
	in := filepath.Join(t.TempDir(), "in")
	db, err := folio.Open(in, 0o600, nil)
	noErr(t, err)
	defer db.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, err := folio.SalvageContext(ctx, in, in+".new", 0o600, nil); !errors.Is(err, cause) {
		t.Error(err)
	}
}
