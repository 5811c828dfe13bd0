package folio

// This file is responsible for errors that lookups cannot return.
//
// Get and cursors have no error result, and a fault on the map (SIGBUS, when the
// file was truncated or the disk fails) arrives as a panic. Inside View and
// Update both leave the application's function at once and become the error of
// the call. In a transaction begun by hand, and in a goroutine that the function has
// begun, which a panic would not leave but end the process, errors stick: lookups return
// nothing from then on, and Err, Commit, Rollback and the call return the error.

import (
	"cmp"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// abort is the panic that leaves the function of a View or an Update.
type abort struct{ tx *Tx }

// Error is for who recovers from it and writes it to a log.
func (a abort) Error() string { return fmt.Sprint(a.tx.err) }

func (a abort) Unwrap() error { return a.tx.err }

// fail makes err the transaction's error, and leaves the application's function
// if that is ours to leave.
func (tx *Tx) fail(err error) {
	if err == nil {
		return
	}
	tx.stick(err)
	if tx.managed && inRun() {
		panic(abort{tx})
	}
}

// runName is the name of Tx.run.
var runName = runtime.FuncForPC(reflect.ValueOf((*Tx).run).Pointer()).Name()

// inRun tells whether the caller was called by Tx.run. It takes a while, for the errors of
// a damaged file.
func inRun() bool {
	pcs := make([]uintptr, 64)
	for skip := 0; ; skip += len(pcs) {
		n := runtime.Callers(skip, pcs)
		if n == 0 {
			return false
		}
		frames := runtime.CallersFrames(pcs[:n])
		for more := true; more; {
			var f runtime.Frame
			if f, more = frames.Next(); f.Function == runName {
				return true
			}
		}
	}
}

// stick makes err the transaction's error if it has none. It names the file, for a program
// can have several.
func (tx *Tx) stick(err error) {
	if tx.err == nil && tx.db != nil {
		err = fmt.Errorf("%s: %w", tx.db.path, err)
	}
	tx.err = cmp.Or(tx.err, err)
}

// check turns an error of a change into what the application gets. Damage and
// I/O errors stick, because the transaction may have stopped halfway; errors of
// the application do not.
func (tx *Tx) check(err error) error {
	switch err {
	case nil:
		return tx.err
	case btree.ErrIncompatible:
		return ErrIncompatibleValue
	case ErrBucketExists, ErrBucketNotFound, ErrBucketTooDeep, ErrIncompatibleValue, ErrSameBuckets:
		return err
	}
	tx.stick(err)
	return tx.err
}

// faulted returns the error for the recovered panic r if it is a fault on the
// transaction's map, and nil if it is something else.
func (tx *Tx) faulted(r any) error {
	at, ok := vfs.FaultAddr(r)
	if !ok {
		return nil
	}
	off, ok := tx.reader().view.Offset(at)
	if !ok {
		return nil
	}
	id := page.ID(off / int64(tx.db.pageSize))
	// A page that can be read was not being read: the application stores through
	// a slice that it got, and should hear of it where it does.
	if tx.db.pager.ReadAt(make([]byte, tx.db.pageSize), id) == nil {
		return nil
	}
	return fmt.Errorf("%w: page %d (was the file truncated, or is the disk failing?)", ErrFault, id)
}

// guarded runs a lookup. In a View or an Update the fault handling is already
// there for all of it, but for goroutines that its function begins: to look who calls
// would cost each lookup more than it takes.
func (tx *Tx) guarded(fn func()) {
	if tx.managed {
		fn()
		return
	}
	if err := tx.catch(fn); err != nil {
		tx.stick(err)
	}
}

// catch runs fn, and returns the fault on the transaction's map that has ended it, or
// nil. Other panics go on.
func (tx *Tx) catch(fn func()) (err error) {
	defer tx.caught(debug.SetPanicOnFault(true), &err)
	fn()
	return nil
}

// caught is deferred by what reads the map: a fault becomes err. old is what SetPanicOnFault
// has returned.
func (tx *Tx) caught(old bool, err *error) {
	debug.SetPanicOnFault(old)
	if r := recover(); r != nil {
		if *err = tx.faulted(r); *err == nil {
			panic(r)
		}
	}
}

// change runs a change of the database, and returns what the application gets:
// damage, faults and I/O errors stick, because the change may have stopped
// halfway. Before it, pages go to the file if there are too many.
func (tx *Tx) change(fn func() error) error {
	return tx.attempt(func() error {
		if err := tx.spillIfLarge(); err != nil {
			return err
		}
		return fn()
	})
}

// attempt is change when the Buckets may not be in order, so that nothing can go to
// the file.
func (tx *Tx) attempt(fn func() error) (err error) {
	tx.guarded(func() { err = fn() })
	return tx.check(err)
}

// run calls fn with the transaction as a View or an Update does. The error is
// fn's, or the transaction's own. A panic or Goexit of fn rolls the transaction
// back and goes on.
func (tx *Tx) run(fn func(*Tx) error) (err error) {
	tx.managed = true
	old := debug.SetPanicOnFault(true)
	done := false
	defer func() {
		debug.SetPanicOnFault(old)
		tx.managed = false
		if done {
			return
		}
		r := recover()
		if a, ok := r.(abort); ok && a.tx == tx {
			err = tx.err
			return
		}
		if fault := tx.faulted(r); fault != nil {
			tx.stick(fault)
			err = tx.err
			return
		}
		tx.close()
		if r != nil {
			panic(r)
		}
	}()
	err = fn(tx)
	done = true
	if tx.err != nil {
		err = tx.err
	}
	return err
}
