package work

// This file is responsible for what a worker tells the process that watches it: short
// records on a pipe, each written by one call, so that what has been written before a
// kill is there after it.

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"

	"github.com/foliodb/folio"
)

// Kind is what a record is about.
type Kind byte

// Kinds of records; N is the number of a transaction if nothing else is said.
const (
	Opening  Kind = 'o' // N is nothing
	Opened   Kind = 'O' // N is what the database holds
	Begun    Kind = 'b' // it may be in the file from now on
	Acked    Kind = 'a' // Update has returned
	Synced   Kind = 's' // Sync has returned, which was called when N was the newest
	Seen     Kind = 'v' // by a reader
	Closing  Kind = 'c'
	Closed   Kind = 'C'
	Failed   Kind = 'e' // an error that was to be expected; N counts them
	NoSpace  Kind = 'n' // the same, for want of space
	Slowest  Kind = 'h' // N is the longest that the worker stood still, in nanoseconds
	Finished Kind = '.' // the worker has done all that it was to do
)

// Record is what a worker reports.
type Record struct {
	Kind       Kind
	Durability folio.Durability // of an acknowledged transaction
	N          uint64
}

// RecordSize is how long a record is on the pipe.
const RecordSize = 16

func (r Record) String() string {
	if r.Kind == Acked {
		return fmt.Sprintf("%c %d durability %d", r.Kind, r.N, r.Durability)
	}
	return fmt.Sprintf("%c %d", r.Kind, r.N)
}

// reporter writes records.
type reporter struct{ w io.Writer }

func (r reporter) report(kind Kind, n uint64) { r.send(Record{Kind: kind, N: n}) }

func (r reporter) send(rec Record) {
	var b [RecordSize]byte
	b[0], b[1] = byte(rec.Kind), byte(rec.Durability)
	binary.LittleEndian.PutUint64(b[8:], rec.N)
	if _, err := r.w.Write(b[:]); err != nil {
		os.Exit(exitNobody)
	}
}

// ReadRecord reads the next record.
func ReadRecord(r io.Reader) (Record, error) {
	var b [RecordSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return Record{}, err
	}
	return Record{Kind(b[0]), folio.Durability(b[1]), binary.LittleEndian.Uint64(b[8:])}, nil
}
