package sidecar

// This file is responsible for telling what a file is that is found at the path.

import (
	"encoding/binary"
	"errors"
	"io"
	"math/bits"

	"github.com/foliodb/folio/internal/vfs"
)

// labelSize is the size of a label; the word behind it is header.ready.
const labelSize = 6 * 8

// mark is the first word of the file: a magic number, and the version in the last
// byte. Read on a processor of the other byte order it is something else.
const mark uint64 = 'f'<<56 | 'o'<<48 | 'l'<<40 | 'i'<<32 | 'o'<<24 | 'S'<<16 | 'C'<<8 | 2

// label is the begin of the header: what does not change in a life of the file. It is
// written and read by system calls, before there is a mapping.
type label struct {
	Mark  uint64
	Nonce uint64   // names this life of the file; see attach.go
	Data  identity // of the data file
	Own   identity // of this file: a copy of it is not it
}

// kind is what a file at the path turns out to be.
type kind int

const (
	blank        kind = iota // new, or not initialised to its end
	known                    // a sidecar
	otherVersion             // a sidecar of another version or byte order
	notOurs                  // some file
)

// contents is what the header says.
type contents struct {
	kind    kind
	nonceAt int64
	data    identity
	ready   bool
}

// look reads the label by a system call: the file can be too short for a mapping.
func (s *Sidecar) look() (found contents, err error) {
	var page [pageSize]byte
	if _, err := s.file.ReadAt(page[:], 0); err != nil && !errors.Is(err, io.EOF) {
		return found, err
	}
	if page == [pageSize]byte{} {
		return found, nil // zeros are what a crash of the machine can leave
	}
	var l label
	if _, err := binary.Decode(page[:], binary.NativeEndian, &l); err != nil {
		return found, err
	}
	found.kind = l.kind()
	if found.kind != known {
		return found, nil
	}
	found.data = l.Data
	found.ready = binary.NativeEndian.Uint64(page[labelSize:]) != 0
	own, err := fileID(s.file)
	if l.Own == own {
		found.nonceAt = nonces + int64(l.Nonce%maxNonce) // else it is a copy, in nobody's use
	}
	return found, err
}

// kind tells what a file with the label is.
func (l *label) kind() kind {
	switch m := l.Mark; {
	case m == mark:
		return known
	case m>>8 == mark>>8, bits.ReverseBytes64(m)>>8 == mark>>8:
		return otherVersion
	}
	return notOurs
}

func fileID(f vfs.File) (id identity, err error) {
	id.Dev, id.Ino, err = vfs.FileID(f)
	return id, err
}
