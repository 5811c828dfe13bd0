package bbolt

// This file is responsible for opening files: what bbolt's options mean to folio, and
// what folio's errors are for a program that knows bbolt's.

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"

	"github.com/foliodb/folio"
	berrors "go.etcd.io/bbolt/errors"
)

// defaultAllocSize is what bbolt's DB.AllocSize is at first.
const defaultAllocSize = 16 << 20

// Open opens the database at path, and creates it with permissions mode if there is
// none. Nil options are DefaultOptions.
func Open(path string, mode os.FileMode, options *Options) (*DB, error) {
	o := options
	if o == nil {
		o = DefaultOptions
	}
	db := &DB{
		NoSync: o.NoSync, NoFreelistSync: o.NoFreelistSync, FreelistType: o.FreelistType, NoGrowSync: o.NoGrowSync,
		PreLoadFreelist: o.PreLoadFreelist || !o.ReadOnly, MmapFlags: o.MmapFlags, AllocSize: defaultAllocSize,
		MaxSize: o.MaxSize, Mlock: o.Mlock, MaxBatchSize: folio.DefaultMaxBatchSize,
		MaxBatchDelay: folio.DefaultMaxBatchDelay, noStats: o.NoStatistics, logger: o.Logger,
	}
	db.log("Opening %s with mode %s and options %s", path, mode, o)
	err := db.open(path, mode, o)
	db.logResult(err, "Opening %s", path)
	if err != nil {
		return nil, err
	}
	return db, nil
}

func (db *DB) open(path string, mode os.FileMode, o *Options) error {
	fo := folio.Options{
		Timeout: o.Timeout, ReadOnly: o.ReadOnly, Mlock: o.Mlock, Populate: o.MmapFlags&mapPopulate != 0,
	}
	var size int64
	if o.OpenFile != nil {
		f, err := openFirst(path, mode, o)
		if err != nil {
			return err
		}
		path = f.Name()
		size = sizeOf(f.Stat())
		fo.OpenFile = func(string, int, os.FileMode) (*os.File, error) { return f, nil }
	} else {
		size = sizeOf(os.Stat(path))
	}
	if size == 0 { // bbolt does not look at the option when there is a file
		fo.PageSize = pageSize(o.PageSize)
	}
	if o.MaxSize > 0 {
		// Less than an empty database has is an error of folio's, and none of bbolt's.
		least := metaPages * int64(max(fo.PageSize, minPageSize))
		fo.MaxSize = max(int64(o.MaxSize), size, least)
	}
	fdb, err := folio.Open(path, mode, &fo)
	if err != nil {
		return openError(path, err)
	}
	fdb.Compat = db
	db.db, db.firstID = fdb, fdb.Info().TxID
	db.skipped.Store(notKnown)
	return nil
}

// openFirst calls Options.OpenFile: what it returns decides about other options.
func openFirst(path string, mode os.FileMode, o *Options) (*os.File, error) {
	flag := os.O_RDWR | os.O_CREATE
	if o.ReadOnly {
		flag = os.O_RDONLY
	}
	return o.OpenFile(path, flag, mode)
}

// sizeOf returns 0 for a file that cannot be looked at: opening it will say why.
func sizeOf(info os.FileInfo, err error) int64 {
	if err != nil {
		return 0
	}
	return info.Size()
}

// openError turns an error of folio.Open into the one that bbolt would return. Many
// programs compare with ==, so the plain values are returned where they say enough.
func openError(path string, err error) error {
	switch {
	case errors.Is(err, folio.ErrTimeout):
		return berrors.ErrTimeout
	case errors.Is(err, folio.ErrVersionMismatch):
		return berrors.ErrVersionMismatch
	case errors.Is(err, folio.ErrInvalid):
		if isBolt(path) {
			return fmt.Errorf("%w: %s is a file of bbolt, and this program uses folio: convert it with: kvctl import %s %s.folio",
				berrors.ErrInvalid, path, path, path)
		}
		return berrors.ErrInvalid
	case errors.Is(err, folio.ErrCorrupt):
		return fmt.Errorf("%w: %w", berrors.ErrChecksum, err)
	}
	return err
}

// boltMagic is at offset 16 of both meta pages of bbolt, in the byte order of the
// machine that wrote them.
const boltMagic = 0xED0CDAED

// isBolt tells whether the file at path is one of bbolt. The second meta page is at
// any page size, where the first is damaged.
func isBolt(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	var b [4]byte
	for _, at := range []int64{0, 512, 1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10} {
		if _, err := f.ReadAt(b[:], at+16); err != nil {
			return false
		}
		if binary.LittleEndian.Uint32(b[:]) == boltMagic || binary.BigEndian.Uint32(b[:]) == boltMagic {
			return true
		}
	}
	return false
}
