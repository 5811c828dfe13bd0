package btree

// This file is responsible for overflow runs: contiguous pages that hold one
// long value or key, handed out in one piece.
//
//	 0     32      40                 data offset                      run end
//	 | header | data length | chunk sums 8c | pad | data ........ | zeroes |
//
// The header's checksum covers everything before the data, the chunk sums among
// it; each of these covers chunkSize bytes from the data offset on, the last one
// to the end of the run. So the beginning can be believed without reading the
// whole, and a damaged chunk is found by reading just that chunk.

import (
	"bytes"
	"iter"

	"github.com/foliodb/folio/internal/page"
)

const (
	offRunData = page.HeaderSize
	offRunSums = page.HeaderSize + 8
	chunkSize  = 64 << 10
	runAlign   = 16
)

// runDataOffset returns where the data of a run with n data bytes begins.
func runDataOffset(n int) int {
	chunks := max(1, (n+chunkSize-1)/chunkSize)
	// The padding behind the data may reach into one more chunk than the data
	// does only if a page is larger than a chunk; it is not.
	return (offRunSums + 8*chunks + runAlign - 1) &^ (runAlign - 1)
}

// RunPages returns how many pages a run with n data bytes takes.
func RunPages(n, pageSize int) int {
	return (runDataOffset(n) + n + pageSize - 1) / pageSize
}

// InitRun prepares run, RunPages pages of zeroed memory, for n bytes of data
// and returns the place of the data.
func InitRun(run []byte, n, pageSize int) []byte {
	p := page.Page(run)
	p.Init(page.KindOverflow, 0, uint32(len(run)/pageSize))
	le.PutUint64(run[offRunData:], uint64(n))
	o := runDataOffset(n)
	return run[o : o+n : o+n]
}

// RunData returns the data of a run that was prepared or verified with n bytes.
func RunData(run []byte, n int) []byte {
	o := runDataOffset(n)
	return run[o : o+n : o+n]
}

// SealRun computes the checksums of a run. Nothing in it may change afterwards.
func SealRun(run []byte, id page.ID, fileID uint64) {
	for i, sum := range chunkSums(run, id, fileID) {
		le.PutUint64(run[offRunSums+8*i:], sum)
	}
	o := runDataOffset(int(le.Uint64(run[offRunData:])))
	page.Page(run[:o]).Seal(id, fileID)
}

// chunkSums computes the checksum of each chunk of the data of a run.
func chunkSums(run []byte, id page.ID, fileID uint64) iter.Seq2[int, uint64] {
	return func(yield func(i int, sum uint64) bool) {
		n := int(le.Uint64(run[offRunData:]))
		seed := page.Seed(id, fileID)
		for i, rest := 0, run[runDataOffset(n):]; len(rest) > 0; i++ {
			// The last chunk takes the rest, padding included.
			size := min(chunkSize, len(rest))
			if (i+1)*chunkSize >= n {
				size = len(rest)
			}
			if !yield(i, page.Sum(rest[:size], seed+uint64(i)+1)) {
				return
			}
			rest = rest[size:]
		}
	}
}

// VerifyRunHeader checks the beginning of a run that should hold n bytes, given
// all bytes of the run.
func VerifyRunHeader(run []byte, id page.ID, birth page.TxID, fileID uint64, n, pageSize int) error {
	o := runDataOffset(n)
	p := page.Page(run)
	switch {
	case p.Kind() != page.KindOverflow:
		return page.Corrupt(id, page.KindOverflow, "it is a %v page", p.Kind())
	case page.Page(run[:o]).ComputeChecksum(id, fileID) != p.Checksum():
		return page.Corrupt(id, page.KindOverflow, "wrong checksum")
	case p.TxID() != birth:
		return page.Corrupt(id, page.KindOverflow, "written by transaction %d, expected %d", p.TxID(), birth)
	case le.Uint64(run[offRunData:]) != uint64(n):
		return page.Corrupt(id, page.KindOverflow, "holds %d bytes, expected %d", le.Uint64(run[offRunData:]), n)
	case int(p.RunLen()) != len(run)/pageSize:
		return page.Corrupt(id, page.KindOverflow, "a run of %d pages, expected %d", p.RunLen(), len(run)/pageSize)
	}
	return nil
}

// VerifyRunData checks the data of a run whose beginning has been verified.
func VerifyRunData(run []byte, id page.ID, fileID uint64) error {
	for i, sum := range chunkSums(run, id, fileID) {
		if sum != le.Uint64(run[offRunSums+8*i:]) {
			return page.Corrupt(id, page.KindOverflow, "wrong checksum of the data from byte %d on", i*chunkSize)
		}
	}
	return nil
}

// VerifyRun checks a whole run of which nothing is known but where it is and
// how long its header says it is.
func VerifyRun(run []byte, id page.ID, fileID uint64, pageSize int) error {
	n := le.Uint64(run[offRunData:])
	if n > MaxValueSize || RunPages(int(n), pageSize)*pageSize != len(run) {
		return page.Corrupt(id, page.KindOverflow, "%d bytes cannot be in a run of %d pages", n, len(run)/pageSize)
	}
	if err := VerifyRunHeader(run, id, page.Page(run).TxID(), fileID, int(n), pageSize); err != nil {
		return err
	}
	return VerifyRunData(run, id, fileID)
}

// keyRun returns the key that ref refers to and that must begin with stub.
func keyRun(r Reader, ref, stub []byte) ([]byte, error) {
	n, id, birth := decodeKeyRef(ref)
	key, err := r.Run(id, birth, n)
	if err != nil {
		return nil, err
	}
	if !bytes.HasPrefix(key, stub) {
		return nil, page.Corrupt(id, page.KindOverflow, "another key than the one that refers to it")
	}
	return key, nil
}

func decodeKeyRef(ref []byte) (n int, id page.ID, birth page.TxID) {
	return int(le.Uint16(ref)), page.ID(le.Uint64(ref[2:])), page.TxID(le.Uint64(ref[10:]))
}

func encodeKeyRef(dst []byte, n int, id page.ID, birth page.TxID) {
	le.PutUint16(dst, uint16(n))
	le.PutUint64(dst[2:], uint64(id))
	le.PutUint64(dst[10:], uint64(birth))
}

// offRefID is where the id is in a value reference.
const offRefID = 4

func decodeValueRef(ref []byte) (n int, id page.ID, birth page.TxID) {
	return int(le.Uint32(ref)), page.ID(le.Uint64(ref[offRefID:])), page.TxID(le.Uint64(ref[12:]))
}

func encodeValueRef(dst []byte, n int, id page.ID, birth page.TxID) {
	le.PutUint32(dst, uint32(n))
	le.PutUint64(dst[offRefID:], uint64(id))
	le.PutUint64(dst[12:], uint64(birth))
}

// RunHolds tells whether the header of run is that of a run with n data bytes.
func RunHolds(run []byte, n int) bool {
	return page.Page(run).Kind() == page.KindOverflow && le.Uint64(run[offRunData:]) == uint64(n)
}
