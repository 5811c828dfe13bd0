package folio_test

// Files that somebody made to hurt: fields are changed and all checksums made right
// again, in half of the cases with what the parents say of the page, too, so that it
// is the checks of the structure that must hold. Nothing may panic, go on for ever,
// take memory without bounds or read outside of the file; and what Check calls sound
// must read the same in every way, and stay sound when it is changed.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

func u64(b []byte, off int) uint64 { return binary.LittleEndian.Uint64(b[off:]) }

func putU64(b []byte, off int, v uint64) { binary.LittleEndian.PutUint64(b[off:], v) }

// references are the fields that refer to pages, with the ones beside them that say
// what the page must be. They are in the same order in a page.
var references = map[string]struct{ birth, count string }{
	"child id":           {"child birth", "child count"},
	"bucket root":        {"bucket birth", "bucket count"},
	"value reference id": {"value reference birth", ""},
	"key reference id":   {"key reference birth", ""},
	"root id":            {"root birth", "root count"},
	"freelist head":      {"freelist birth", ""},
	"next id":            {"next birth", ""},
}

// sealedDamage is a damage whose checksums are right.
type sealedDamage struct {
	*damage
	mended bool
}

// newSealed changes one to three fields of pages of a kind that have any.
func newSealed(files []*damageFile, rnd *rand.Rand) *sealedDamage {
	kinds := [...]pageKind{kindMeta, kindBranch, kindBranch, kindLeaf, kindLeaf, kindRun, kindFreelist}
	on := kinds[rnd.IntN(len(kinds))]
	f := files[rnd.IntN(len(files))]
	for len(f.byKind[on]) == 0 {
		f = files[rnd.IntN(len(files))]
	}
	s := &sealedDamage{&damage{f: f, content: bytes.Clone(f.content), kind: on}, rnd.IntN(2) == 0}
	for range 1 + rnd.IntN(3) {
		s.change(rnd)
	}
	for _, id := range s.pages {
		s.seal(id)
		if s.mended {
			s.mend(id)
		}
	}
	return s
}

// change changes a field of a page of s.kind.
func (s *sealedDamage) change(rnd *rand.Rand) {
	ids := s.f.byKind[s.kind]
	id := ids[rnd.IntN(len(ids))]
	m := &s.f.fields[id]
	name := m.names[rnd.IntN(len(m.names))]
	i := rnd.IntN(len(m.ranges[name]))
	at := m.ranges[name][i]
	b := s.page(id)[at.off : at.off+at.n]
	s.pages = append(s.pages, id)
	s.what += fmt.Sprintf("%v page %d, %s at %d; ", s.kind, id, name, at.off)
	if ref, ok := references[name]; ok && rnd.IntN(2) == 0 {
		s.refer(b, id, m.ranges[ref.birth], i, rnd)
		return
	}
	mutate(b[:min(len(b), 8)], rnd)
}

// refer makes b, reference i of page id, one to some page of the file, with its birth:
// to the page itself, to one above it, or to one that others refer to.
func (s *sealedDamage) refer(b []byte, id int, births []fieldRange, i int, rnd *rand.Rand) {
	to := 2 + rnd.IntN(s.f.pages-2)
	if rnd.IntN(4) == 0 {
		to = id
	}
	putU64(b, 0, uint64(to))
	if i < len(births) {
		putU64(s.page(id), births[i].off, u64(s.page(to), page.OffTxID))
	}
	s.what += fmt.Sprintf("refers to %d; ", to)
}

// seal makes the checksum of the page, or of the run that it begins, right, and what
// the metas record of it.
func (s *sealedDamage) seal(id int) {
	ps := s.f.pageSize
	if id < page.NumMetas {
		sealMeta(s.page(id)[:meta.Size], id)
		return
	}
	fileID := u64(s.content, 16)
	p := page.Page(s.content[id*ps:])
	switch kind := s.f.kinds[id]; {
	case kind == kindRun:
		size := u64(p, page.HeaderSize)
		if size >= uint64(len(p)) || btree.RunPages(int(size), ps)*ps > len(p) {
			return
		}
		btree.SealRun(p[:btree.RunPages(int(size), ps)*ps], page.ID(id), fileID)
	case kind == kindFreelist && int(p.RunLen()) <= len(p)/ps && p.RunLen() > 0:
		p[:int(p.RunLen())*ps].Seal(page.ID(id), fileID)
	default:
		p[:ps].Seal(page.ID(id), fileID)
	}
	for slot := range page.NumMetas {
		m, err := meta.Decode(s.page(slot), slot)
		if err != nil {
			continue
		}
		for i, u := range m.Record {
			if u.ID == page.ID(id) {
				m.Record[i].Sum = p.Checksum()
				clear(s.page(slot)[:meta.Size])
				meta.Encode(s.page(slot)[:meta.Size], &m, slot)
			}
		}
	}
}

// mend makes what refers to page id say what the page says of itself, and so on up to
// the metas.
func (s *sealedDamage) mend(id int) {
	if id < page.NumMetas {
		return
	}
	for parent := range s.f.pages {
		m, before, after := &s.f.fields[parent], s.f.page(s.f.content, parent), s.page(parent)
		changed := false
		for name, beside := range references {
			for i, at := range m.ranges[name] {
				if at.n != 8 || u64(before, at.off) != uint64(id) {
					continue
				}
				changed = true
				putU64(after, m.ranges[beside.birth][i].off, u64(s.page(id), page.OffTxID))
				if beside.count != "" {
					count := m.ranges[beside.count][i]
					var b [8]byte
					putU64(b[:], 0, s.keys(id))
					copy(after[count.off:count.off+count.n], b[:])
				}
			}
		}
		if changed {
			s.seal(parent)
			s.mend(parent)
		}
	}
}

// keys returns how many keys a node says are in it and below.
func (s *sealedDamage) keys(id int) (n uint64) {
	p := page.Page(s.page(id))
	if s.f.kinds[id] != kindBranch {
		return uint64(p.Count())
	}
	for _, at := range s.f.fields[id].ranges["child count"] {
		n += u64(p, at.off) & (1<<56 - 1)
	}
	return n
}

// The outcomes of sealed damage, the worst last.
const (
	sealedOpen = iota
	sealedRead
	sealedCheck
	sealedBack
	sealedSound
	sealedUnsound // Check is clean, but reads differ from each other, or changes break it
	sealedPanic
	sealedMemory
	sealedOutside
	numSealed
)

var sealedNames = [numSealed]string{
	"refused by open", "error of a read", "Check only", "fell back", "sound", "unsound", "panic", "memory", "read outside",
}

// sealedMemoryMax is how many bytes may be allocated while a file of a megabyte or so
// is read, checked and changed in every way. It is far more than that takes, and far
// less than a length made up could ask for.
const sealedMemoryMax = 1 << 30

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// run uses the file in every way.
func (s *sealedDamage) run(rnd *rand.Rand, path string) (o int, err error) {
	before := allocated()
	defer func() {
		if p := recover(); p != nil {
			o, err = sealedPanic, fmt.Errorf("%v\n%s", p, debug.Stack())
		} else if n := allocated() - before; n > sealedMemoryMax {
			o, err = sealedMemory, fmt.Errorf("%d bytes were allocated", n)
		}
	}()
	d := &damageTry{damage: s.damage, rnd: rnd, verify: folio.VerifyMode(rnd.IntN(2)), path: path}
	open := d.opener()
	db, err := open()
	if err != nil {
		return sealedOpen, said(err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	readErr := readEverything(db, rnd)
	found, foreign := checkErrors(db)
	switch {
	case errors.Is(errors.Join(readErr, foreign), folio.ErrFault):
		return sealedOutside, errors.Join(readErr, foreign)
	case foreign != nil || said(readErr) != nil:
		return sealedUnsound, errors.Join(foreign, readErr)
	case len(found) > 0:
		o = sealedCheck
	case db.Info().Recovered != "":
		o = sealedBack
	default:
		o = sealedSound
	}
	if readErr != nil {
		o = sealedRead
	}
	if len(found) == 0 {
		if err := agrees(db, rnd); err != nil {
			return sealedUnsound, err
		}
	}
	changeErr := db.Update(changeAll)
	again, foreign := checkErrors(db)
	if changeErr != nil && len(found) == 0 || len(found) == 0 && len(again) > 0 {
		return sealedUnsound, errors.Join(errors.New("Check was clean before changes"), changeErr, errors.Join(again...))
	}
	if err := errors.Join(foreign, said(changeErr)); err != nil {
		return sealedUnsound, err
	}
	return o, said(readEverything(db, rnd))
}

// readEverything reads what there is in every way, and returns the errors.
func readEverything(db *folio.DB, rnd *rand.Rand) error {
	left := 50_000
	err := db.View(func(tx *folio.Tx) error { walkAll(tx.Cursor().Bucket(), &left); return nil })
	s := &survey{db: db, want: foliotest.NewBucket(), rnd: rnd, managed: rnd.IntN(2) == 0}
	s.outside(nil)
	_ = s.copyOf()
	byHand, beginErr := db.Begin(false)
	if beginErr != nil {
		return errors.Join(err, beginErr)
	}
	left = 50_000
	walkAll(byHand.Cursor().Bucket(), &left)
	return errors.Join(append(s.errs, err, byHand.Rollback())...)
}

// agrees reads a file that Check calls sound in every way: all must give the same.
func agrees(db *folio.DB, rnd *rand.Rand) error {
	m := foliotest.NewBucket()
	err := db.View(func(tx *folio.Tx) error { return modelOf(tx.Cursor().Bucket(), m) })
	if err != nil {
		return err
	}
	s := &survey{db: db, want: m, rnd: rnd}
	s.all()
	if len(s.wrong) > 0 {
		return errors.New("Check is clean: " + strings.Join(s.wrong[:min(3, len(s.wrong))], "; "))
	}
	return errors.Join(s.errs...)
}

// modelOf reads a bucket, forward, into m.
func modelOf(b *folio.Bucket, m *foliotest.Bucket) error {
	m.Sequence = b.Sequence()
	return b.ForEach(func(k, v []byte) error {
		if v != nil {
			m.Put(string(k), bytes.Clone(v))
			return nil
		}
		in := b.Bucket(k)
		if in == nil {
			return fmt.Errorf("no bucket %s", foliotest.Short(k))
		}
		m.PutSub(string(k), foliotest.NewBucket())
		return modelOf(in, m.Sub(string(k)))
	})
}

// TestDamageSealedFields is not parallel: it counts what is allocated.
func TestDamageSealedFields(t *testing.T) {
	files := damageFiles(t)
	n := damageFaults(600, 60)
	if *damageN > 0 {
		n *= 5 // five kinds of pages
	}
	counts := map[string]*[numSealed]int{}
	dir := quickDir(t)
	for seed := range uint64(n) {
		if *seedFlag != 0 && *seedFlag != seed+1 {
			continue
		}
		rnd := rand.New(rand.NewPCG(seed, 77))
		s := newSealed(files, rnd)
		path := ""
		if rnd.IntN(8) == 0 {
			path = filepath.Join(dir, "db")
		}
		what := fmt.Sprintf("-seed %d: file %q, %smended %v", seed+1, s.f.name, s.what, s.mended)
		stuck := time.AfterFunc(5*time.Minute, func() { panic(what + " takes for ever") })
		o, err := s.run(rnd, path)
		stuck.Stop()
		row := s.kind.String()
		if s.mended {
			row += ", parents mended"
		}
		if counts[row] == nil {
			counts[row] = new([numSealed]int)
		}
		counts[row][o]++
		if err != nil || o > sealedSound {
			t.Errorf("%s: %s: %v", what, sealedNames[o], err)
		}
	}
	t.Log("what becomes of damage with checksums made right\n" + sealedTable(counts))
	if *seedFlag == 0 && n >= 600 {
		require.Len(t, counts, 10)
	}
}

func sealedTable(counts map[string]*[numSealed]int) string {
	var b strings.Builder
	countsHead(&b, "changed", "files", sealedNames[:])
	for k := range numPageKinds {
		for _, row := range []string{k.String(), k.String() + ", parents mended"} {
			if c := counts[row]; c != nil {
				countsRow(&b, row, c[:])
			}
		}
	}
	return b.String()
}
