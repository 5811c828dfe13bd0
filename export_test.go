package folio

// What the tests of package folio_test need of the inside.

import (
	"context"
	"os"

	"github.com/foliodb/folio/internal/vfs"
)

// OpenFS is Open on any file system.
func OpenFS(fsys vfs.FS, path string, mode os.FileMode, o *Options) (*DB, error) {
	if o == nil {
		o = DefaultOptions
	}
	return openFS(fsys, path, mode, *o)
}

// GroupFull tells whether the group of tx has so many pages that transactions in it are
// written early, or soon will be. A test in which such a write fails must not count on
// the next transaction: if the database has latched, its function is not called.
func (tx *Tx) GroupFull() bool { return 2*(tx.store.pages+8) > tx.store.maxDirty }

// SalvageFS is Salvage on any file system.
func SalvageFS(fsys vfs.FS, in, out string, o *SalvageOptions) (*SalvageReport, error) {
	return salvageFS(context.Background(), fsys, in, out, 0o600, o)
}

// Latch makes db fail as if a sync had failed.
func Latch(db *DB, err error) { db.pager.Latch(err) }

// WasClean tells whether the file was closed in order before db was opened.
func WasClean(db *DB) bool { return db.head.meta.Clean }

// CopyThrough has CopyFile of db write by way of fsys.
func CopyThrough(db *DB, fsys vfs.FS) { db.copyFS = fsys }

// Abandon ends db as the death of its process would.
func Abandon(db *DB) error { return db.release() }

// SetParallel says whether several goroutines may write a commit of db.
func SetParallel(db *DB, on bool) { db.parallel = on }
