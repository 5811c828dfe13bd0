package folio_test

// Salvage of files whose checksums are right, and whose pages are not what their parents
// say.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
)

// TestSalvageCounts: of what each tree of a damaged file says is there, all is found, or
// reported as lost.
func TestSalvageCounts(t *testing.T) {
	golden, err := os.ReadFile(goldenDir + "/all-4096.folio")
	noErr(t, err)
	for i := range rounds(30, 150, 10_000) {
		seed := uint64(i)
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		rnd := rand.New(rand.NewPCG(seed, 10))
		var content []byte
		if rnd.IntN(3) == 0 {
			content = bytes.Clone(golden)
			scramble(content, rnd)
			sealAll(content)
		} else {
			content = misplaced(cachedPatient(t, 1+seed%2, 4096), rnd)
		}
		if err := compareCounts(content, &folio.SalvageOptions{CurrentOnly: rnd.IntN(2) == 0}); err != nil {
			t.Fatalf("-seed %d: %v", seed, err)
		}
	}
}

// misplaced returns the file of p with a copy of a node in the place of another, as old as
// that was.
func misplaced(p *patient, rnd *rand.Rand) []byte {
	to, from := p.pick(rnd, "leaf", "branch"), p.pick(rnd, "leaf", "branch")
	content := bytes.Clone(p.content)
	b := page.Page(content[to.id*p.pageSize:][:p.pageSize])
	birth := b.TxID()
	copy(b, p.page(from.id))
	b.SetTxID(birth)
	b.Seal(page.ID(to.id), p.fileID)
	return content
}

// compareCounts salvages content, and compares what came out with what its trees say.
func compareCounts(content []byte, o *folio.SalvageOptions) error {
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{ReadOnly: true})
	if err != nil {
		return nil // no tree says anything
	}
	defer db.Close()
	out, err := salvageBytes(content, o)
	if err != nil {
		return err
	}
	lost := map[string]uint64{}
	for _, l := range out.report.Losses {
		if l.Bucket != nil && l.Keys > l.Found {
			lost[fmt.Sprintf("%q", l.Bucket)] += l.Keys - l.Found
		}
	}
	tx, err := db.Begin(false)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	var compare func(b *folio.Bucket, got *foliotest.Bucket, path [][]byte) error
	compare = func(b *folio.Bucket, got *foliotest.Bucket, path [][]byte) error {
		if n := lost[fmt.Sprintf("%q", path)]; uint64(got.Len())+n < b.Len() {
			return fmt.Errorf("%q: %d keys, found are %d, and lost %d\n%s", path, b.Len(), got.Len(), n, describe(out))
		}
		for _, name := range got.Subs() {
			if in := b.Bucket([]byte(name)); in != nil {
				if err := compare(in, got.Sub(name), append(slices.Clone(path), []byte(name))); err != nil {
					return err
				}
			}
		}
		return nil
	}
	return compare(tx.Cursor().Bucket(), out.got, [][]byte{})
}
