package folio

// This file is responsible for copies of a snapshot: backups of a database in
// use.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
)

// WriteTo writes the whole database as the transaction sees it to w: a file that
// Open opens. Other transactions go on meanwhile. Pages that are free in the
// snapshot are written as zeroes. In a writable transaction the copy is of the
// state before it. It returns the number of bytes written, which is Size if there is no
// error.
//
// Pages are copied as they are, and not verified: damage of the file is in the copy as
// well. Only the list of free pages must be whole. Check the copy (Tx.Check, kvctl
// check) before an older one is given up for it. If the system cannot supply a page, the
// error is ErrFault.
func (tx *Tx) WriteTo(w io.Writer) (n int64, err error) {
	if tx.db == nil {
		return 0, ErrTxClosed
	}
	counted := &countingWriter{w: w}
	if err := tx.writeTo(counted); err != nil {
		return counted.n, fmt.Errorf("folio: copy: %w", err)
	}
	return counted.n, nil
}

// countingWriter counts what is written.
type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// writeTo is WriteTo without what says whose error it is.
func (tx *Tx) writeTo(w io.Writer) error {
	s, err := readSpace(tx.db.pager, &tx.snap.meta)
	if err != nil {
		return fmt.Errorf("reading the free space: %w", err)
	}
	b := bufio.NewWriterSize(w, 1<<20)
	if err := tx.copyTo(b, s.list); err != nil {
		return err
	}
	return b.Flush()
}

func (tx *Tx) copyTo(w io.Writer, free *freelist.List) error {
	ps := tx.db.pageSize
	m := tx.snap.meta
	m.Synced, m.Clean, m.Weak, m.Since, m.Record = true, true, false, 0, nil
	buf := make([]byte, max(ps, copyChunk))
	for slot := range page.NumMetas {
		// Two equal metas: either will do.
		clear(buf[:ps])
		meta.Encode(buf[:meta.Size], &m, slot)
		if _, err := w.Write(buf[:ps]); err != nil {
			return err
		}
	}
	at := page.FirstID
	for e := range free.All() {
		if err := tx.copyPages(w, buf, at, e.Start); err != nil {
			return err
		}
		if err := writeZeros(w, buf, int64(e.Len)*int64(ps)); err != nil {
			return err
		}
		at = e.End()
	}
	return tx.copyPages(w, buf, at, m.HighWater)
}

const copyChunk = 1 << 20

// copyPages writes the pages [from, to). They are read by system calls: a damaged
// disk is an error then.
func (tx *Tx) copyPages(w io.Writer, buf []byte, from, to page.ID) error {
	ps := tx.db.pageSize
	for from < to {
		n := min(uint64(len(buf)/ps), uint64(to-from))
		b := buf[:int(n)*ps]
		if err := tx.db.pager.ReadAt(b, from); err != nil {
			return tx.unreadable(b, from, err)
		}
		if _, err := w.Write(b); err != nil {
			return err
		}
		from += page.ID(n)
	}
	return nil
}

// unreadable returns ErrFault for the first of the pages from on that cannot be read into
// b. Err is that of all of them together.
func (tx *Tx) unreadable(b []byte, from page.ID, err error) error {
	ps := tx.db.pageSize
	for i := range page.ID(len(b) / ps) {
		if one := tx.db.pager.ReadAt(b[:ps], from+i); one != nil {
			err = one
			break
		}
	}
	return fmt.Errorf("%w: %w", ErrFault, err)
}

func writeZeros(w io.Writer, buf []byte, n int64) error {
	clear(buf)
	for n > 0 {
		b := buf[:min(int64(len(buf)), n)]
		if _, err := w.Write(b); err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// CopyFile writes the database as the transaction sees it to the file path, which
// is created with permissions mode (before umask) or replaced, and makes it
// durable. The file appears under its name only when it is complete. What is not a
// regular file, a pipe or a device, is written to instead. As with WriteTo, nothing is
// verified: check the copy. A damaged one replaces a good one as any other does. The file
// of the database itself, also by another name, is refused. That of a database which
// somebody else has open must not be replaced either: they would go on with the old one,
// which nobody finds any more.
func (tx *Tx) CopyFile(path string, mode os.FileMode) error {
	if tx.db == nil {
		return ErrTxClosed
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	if same, err := vfs.SameFile(tx.db.file, path); err == nil && same {
		return fmt.Errorf("folio: copy: %s is the file of this database: copy it to another one", path)
	}
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			return fmt.Errorf("folio: copy: %w", err)
		}
		_, err = tx.WriteTo(f)
		return errors.Join(err, f.Close())
	}
	tmp := fmt.Sprintf("%s.copy-%016x", path, randomID())
	err := tx.copyNew(tmp, mode)
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		// What matters is why it failed; a file left behind is only litter.
		_ = os.Remove(tmp)
		return fmt.Errorf("folio: copy: %w", err)
	}
	if err := tx.db.copyFS.SyncDir(filepath.Dir(path)); err != nil {
		return fmt.Errorf("folio: copy: %w", err)
	}
	return nil
}

// copyNew writes the snapshot to the new file path and syncs it.
func (tx *Tx) copyNew(path string, mode os.FileMode) error {
	f, err := tx.db.copyFS.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	if err = tx.writeTo(io.NewOffsetWriter(f, 0)); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}
