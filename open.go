package folio

// This file is responsible for opening and creating database files. What happens
// after a crash is in recover.go.

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/foliodb/folio/internal/bugs"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
	"github.com/foliodb/folio/pager"
)

// Open opens the database at path, and creates it with permissions mode if there
// is none. Until Close, other processes may read the file, or read and write it, as
// Options.Sharing says; Open waits for those that do not go with that. Nil options are
// DefaultOptions; they are copied.
//
// A new file appears under its name only when it is complete and durable. Opening
// a file that was not closed properly takes no longer: it checks what the last
// commit wrote (see DB.Info).
//
// Errors are ErrTimeout, which can come wrapped with the reason, ErrInvalid,
// ErrVersionMismatch, ErrCorrupt, ErrLatched (a flush failed in a process that has the
// file open), ErrNoSpace (for a file that is created, or for the one of Options.Sharing
// beside it), and those of the operating system.
func Open(path string, mode os.FileMode, options *Options) (*DB, error) {
	o := *DefaultOptions
	if options != nil {
		o = *options
	}
	if o.InMemory {
		return openFS(vfs.NewMem(), path, mode, o)
	}
	return openFS(vfs.OS(), path, mode, o)
}

// openFS is Open on any file system.
func openFS(fsys vfs.FS, path string, mode os.FileMode, o Options) (*DB, error) {
	if path == "" && !o.InMemory {
		return nil, errors.New("folio: open: the path is empty")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	db := &DB{
		MaxBatchSize:  DefaultMaxBatchSize,
		MaxBatchDelay: DefaultMaxBatchDelay,
		path:          path,
		opts:          o,
		fs:            fsys,
		copyFS:        vfs.OS(),
	}
	db.readers.init()
	err := db.open(mode)
	if err == nil {
		return db, nil
	}
	closeErr := db.release()
	// Programs compare these with == and with os.IsNotExist.
	if _, ok := err.(*fs.PathError); (ok || err == ErrTimeout) && closeErr == nil {
		return nil, err
	}
	return nil, errors.Join(fmt.Errorf("folio: open %s: %w", path, err), closeErr)
}

func (db *DB) open(mode os.FileMode) error {
	wait := db.patience()
	created, err := db.openFile(mode, wait)
	if err != nil {
		return err
	}
	durable := created // create has made sure of that
	size, err := db.file.Size()
	if err != nil {
		return err
	}
	if size == 0 {
		if created, err = true, db.initInPlace(); err != nil {
			return err
		}
	}
	if db.pageSize, err = db.findPageSize(); err != nil {
		return err
	}
	if want := db.opts.PageSize; want != 0 && want != db.pageSize {
		return fmt.Errorf("the file has pages of %d bytes, not %d: leave the page size out, or make a new file", db.pageSize, want)
	}
	o := db.opts
	db.pager, err = pager.New(db.file, pager.Options{
		PageSize: db.pageSize, ReadOnly: o.ReadOnly, MaxSize: o.MaxSize, Mlock: o.Mlock, Populate: o.Populate,
		OnLatch: db.latched,
	})
	if err != nil {
		return err
	}
	if created && o.InitialSize > 0 {
		if err := db.pager.EnsureSize(max(db.initialPages(o.InitialSize), page.NumMetas)); err != nil {
			return err
		}
	}
	db.buffers.pageSize = db.pageSize
	db.parallel = vfs.IsOS(db.file)
	if err := db.beginShared(wait); err != nil {
		return err
	}
	// Somebody else can have had the file since it was created.
	db.secured = durable && db.current.Load().meta.TxID <= 1
	return nil
}

// openFile opens the file, or creates it, and locks it.
func (db *DB) openFile(mode os.FileMode, wait func() error) (created bool, err error) {
	flag := os.O_RDWR
	if db.opts.ReadOnly {
		flag = os.O_RDONLY
	}
	if open := db.opts.OpenFile; open != nil {
		if !db.opts.ReadOnly {
			flag |= os.O_CREATE
		}
		f, err := open(db.path, flag, mode)
		if err != nil {
			return false, err
		}
		db.file = vfs.FromOSFile(f)
		if info, err := f.Stat(); err != nil {
			return false, err
		} else if err := vfs.CheckMode(db.path, info.Mode()); err != nil {
			return false, err
		}
		return false, db.share(wait)
	}
	for {
		db.file, err = db.fs.OpenFile(db.path, flag, mode)
		if errors.Is(err, fs.ErrNotExist) && !db.opts.ReadOnly {
			createErr := db.create(followLinks(db.path), mode)
			switch {
			case createErr == nil:
				created = true
				continue
			case errors.Is(createErr, fs.ErrExist):
				continue // somebody else was faster
			case !errors.Is(createErr, fs.ErrNotExist): // else err says it better
				err = db.cannotCreate(createErr)
			}
		}
		if err != nil {
			db.file = nil
			return false, err
		}
		if err := db.share(wait); err != nil && db.stillNamed() {
			return false, err
		}
		if db.stillNamed() {
			return created, nil
		}
		// While we waited for the lock, the file was replaced by another one.
		if err := db.leaveFile(); err != nil {
			return false, err
		}
	}
}

// stillNamed tells whether the open file is the one at the path.
func (db *DB) stillNamed() bool {
	if db.opts.InMemory {
		return true
	}
	same, err := vfs.SameFile(db.file, db.path)
	return err != nil || same
}

// leaveFile closes a file that is not the one to be opened after all.
func (db *DB) leaveFile() (err error) {
	if db.side != nil {
		err = db.side.Close()
	}
	db.side, db.turns, db.follows = nil, nil, false
	return errors.Join(err, db.file.Close())
}

// lock takes the file's lock: to be alone with it, or to keep those away who want that.
func (db *DB) lock(alone bool, wait func() error) error {
	for {
		ok, err := db.file.TryLock(alone)
		if err != nil {
			return fmt.Errorf("locking the file: %w", err)
		}
		if ok {
			return nil
		}
		if err := wait(); err != nil {
			return err
		}
	}
}

// create makes a new database file. It gets its name when it is durable, so that
// a crash leaves no file or a good one. If there is a file by then, the error is
// fs.ErrExist.
func (db *DB) create(path string, mode os.FileMode) error {
	tmp := fmt.Sprintf("%s.new-%016x", path, randomID())
	f, err := db.fs.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	m0, m1 := db.firstMetas()
	if err = writeFirst(f, m0, 0); err == nil {
		err = writeFirst(f, m1, 1)
	}
	if err == nil && !bugs.On(bugs.CreateUnsynced) {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = db.fs.Publish(tmp, path)
	}
	if err != nil {
		// What matters is why it failed; a file left behind is only litter.
		_ = db.fs.Remove(tmp)
		return err
	}
	if bugs.On(bugs.DirUnsynced) {
		return nil
	}
	return db.fs.SyncDir(filepath.Dir(path))
}

// cannotCreate names the file that was to be created in an error about the one that it
// was made of, whose name means nothing to anybody.
func (db *DB) cannotCreate(err error) error {
	var file *fs.PathError
	var link *os.LinkError
	if errors.As(err, &file) {
		err = file.Err
	} else if errors.As(err, &link) {
		err = link.Err
	}
	if vfs.IsNoSpace(err) {
		err = fmt.Errorf("%w: %w", ErrNoSpace, err)
	}
	return &fs.PathError{Op: "create", Path: db.path, Err: err}
}

// followLinks returns where a symbolic link at path leads, which need not exist.
func followLinks(path string) string {
	for range 40 { // as many as the kernel follows
		target, err := os.Readlink(path)
		if err != nil {
			break
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	return path
}

// initInPlace makes an empty file a database. The second meta is durable before
// the first is written: until then the file has no magic at its beginning, and
// recover starts over.
func (db *DB) initInPlace() error {
	if db.opts.ReadOnly {
		return fmt.Errorf("%w: it is empty", ErrInvalid)
	}
	m0, m1 := db.firstMetas()
	for _, m := range []struct {
		m    *meta.Meta
		slot int
	}{{m1, 1}, {m0, 0}} {
		err := writeFirst(db.file, m.m, m.slot)
		if err == nil {
			err = db.file.Sync()
		}
		if err != nil {
			return db.cannotCreate(err)
		}
	}
	return nil
}

// firstMetas returns the metas of a new file. Both are complete, so that there is
// always one to fall back to.
func (db *DB) firstMetas() (m0, m1 *meta.Meta) {
	m := meta.Meta{
		PageSize:  uint32(db.opts.pageSize()),
		FileID:    randomID(),
		Synced:    true,
		Clean:     true,
		HighWater: page.FirstID,
	}
	first, second := m, m
	first.TxID = 1
	return &first, &second
}

func writeFirst(f vfs.File, m *meta.Meta, slot int) error {
	b := make([]byte, m.PageSize)
	meta.Encode(b[:meta.Size], m, slot)
	_, err := f.WriteAt(b, int64(slot)*int64(m.PageSize))
	return err
}

func randomID() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails
	return binary.LittleEndian.Uint64(b[:])
}
