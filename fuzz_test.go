package folio_test

// Fuzz targets for whole files and for sequences of operations.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// FuzzOpen opens any bytes. With seal, all checksums are made right first, so that
// it is the checks of the structure that must hold.
func FuzzOpen(f *testing.F) {
	for _, content := range goldenFiles(f, "*-4096.folio") {
		f.Add(content, false)
		f.Add(content, true)
	}
	f.Fuzz(func(t *testing.T, content []byte, seal bool) {
		if len(content) > 1<<20 {
			return
		}
		if seal {
			content = append([]byte(nil), content...)
			sealAll(content)
		}
		useAll(content)
	})
}

// FuzzSealed changes fields of specimens of all kinds, as TestDamageSealedFields does,
// but the input says which: each change takes eight bytes of it. What refers to a
// changed page is mended if the input says so.
func FuzzSealed(f *testing.F) {
	var files []*damageFile
	for i := range damageBuilds {
		files = append(files, damageBuilds[i].file(f))
		files[i].examine(f)
		f.Add(uint8(i), i%2 == 0, []byte("some changes of a few fields"))
		f.Add(uint8(i), i%2 == 1, []byte{})
	}
	f.Fuzz(func(t *testing.T, file uint8, mended bool, script []byte) {
		s := &sealedDamage{&damage{f: files[int(file)%len(files)]}, mended}
		s.content = bytes.Clone(s.f.content)
		for ; len(script) >= 8 && len(s.pages) < 8; script = script[8:] {
			s.changeAs(script[:8])
		}
		for _, id := range s.pages {
			s.seal(id)
			if s.mended {
				s.mend(id)
			}
		}
		if o, err := s.run(rand.New(rand.NewPCG(1, 1)), ""); err != nil || o > sealedSound {
			t.Fatalf("%s: %s: %v", s.what, sealedNames[o], err)
		}
	})
}

// changeAs changes a field that script chooses, in a way that it chooses.
func (s *sealedDamage) changeAs(script []byte) {
	id := u16(script, 0) % s.f.pages
	m := &s.f.fields[id]
	name := m.names[int(script[2])%len(m.names)]
	ranges := m.ranges[name]
	at := ranges[u16(script, 3)%len(ranges)]
	b := s.page(id)[at.off : at.off+at.n]
	s.pages = append(s.pages, id)
	s.what += fmt.Sprintf("page %d, %s at %d; ", id, name, at.off)
	if script[5] < 128 {
		mutate(b[:min(len(b), 8)], rand.New(rand.NewPCG(uint64(script[6]), uint64(script[7]))))
		return
	}
	copy(b, script[6:]) // a small number, as ids and counts are
}

// useAll does everything with a file that may hold anything. It must neither
// panic nor take for ever.
func useAll(content []byte) {
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	if err != nil {
		return
	}
	left := 100_000
	_ = db.View(func(tx *folio.Tx) error { walkAll(tx.Cursor().Bucket(), &left); return nil })
	_ = db.View(foliotest.Check)
	_ = db.Update(changeAll)
	_ = db.View(foliotest.Check)
	_ = db.Close()
}

// TestDamageSealed changes bytes, mostly where the structure of a page is, and
// makes the checksums right again.
func TestDamageSealed(t *testing.T) {
	content, err := os.ReadFile(goldenDir + "/all-4096.folio")
	noErr(t, err)
	n := rounds(500, 4000, 2_000_000)
	for part := range 2 {
		t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
			t.Parallel()
			for i := range n / 2 {
				seed := uint64(2*i + part)
				if *seedFlag != 0 {
					seed = *seedFlag
				}
				c := bytes.Clone(content)
				scramble(c, rand.New(rand.NewPCG(seed, 5)))
				sealAll(c)
				useSafely(t, seed, c)
			}
		})
	}
}

// useSafely is useAll for the content of a seed.
func useSafely(t *testing.T, seed uint64, content []byte) {
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("-seed %d: panic: %v\n%s", seed, p, debug.Stack())
		}
	}()
	stuck := time.AfterFunc(time.Minute, func() { panic(fmt.Sprintf("-seed %d takes for ever", seed)) })
	defer stuck.Stop()
	useAll(content)
}

// scramble changes a few bytes of one or two pages.
func scramble(c []byte, rnd *rand.Rand) {
	for range 1 + rnd.IntN(2) {
		p := c[rnd.IntN(len(c)/4096)*4096:][:4096]
		for range 1 + rnd.IntN(4) {
			at := rnd.IntN(4096)
			if rnd.IntN(3) > 0 {
				at = 8 + rnd.IntN(250)
			}
			switch rnd.IntN(5) {
			case 0:
				p[at] ^= 1 << rnd.IntN(8)
			case 1:
				p[at] = byte(rnd.IntN(4) - 2)
			case 2:
				p[at] = byte(rnd.Uint32())
			case 3:
				p[at]++
			case 4:
				copy(p[at:min(at+8, 4096)], p[rnd.IntN(4088):])
			}
		}
	}
}

// walkAll reads at most left keys, in every way.
func walkAll(b *folio.Bucket, left *int) {
	i := uint64(0)
	for k, v := range b.All() {
		if *left--; *left <= 0 {
			return
		}
		if i%16 == 0 {
			b.Get(k)
			b.Rank(k)
			b.At(i)
		}
		if v == nil {
			if in := b.Bucket(k); in != nil {
				walkAll(in, left)
			}
		}
		i++
	}
	c := b.Cursor()
	for k, _ := c.Last(); k != nil && *left > 0; k, _ = c.Prev() {
		*left--
	}
}

// changeAll changes something in all top-level buckets and deletes every other.
func changeAll(tx *folio.Tx) error {
	var names [][]byte
	c := tx.Cursor()
	for k, _ := c.First(); k != nil && len(names) < 1000; k, _ = c.Next() {
		names = append(names, k)
	}
	for i, name := range names {
		b := tx.Bucket(name)
		if b == nil {
			continue
		}
		if i%2 == 0 {
			if err := tx.DeleteBucket(name); err != nil {
				return err
			}
			continue
		}
		if err := b.Put([]byte("key 050"), make([]byte, 900)); err != nil {
			return err
		}
		if _, err := b.DeleteRange([]byte("key 010"), []byte("key 030")); err != nil {
			return err
		}
		if _, err := b.NextSequence(); err != nil {
			return err
		}
	}
	return nil
}

// sealAll makes the checksums of all metas, nodes and runs right, as far as there
// is enough of them. Pages are those of 4096 bytes.
func sealAll(content []byte) {
	const ps = 4096
	if len(content) < 2*ps {
		return
	}
	fileID := binary.LittleEndian.Uint64(content[16:])
	for slot := range page.NumMetas {
		b := content[slot*ps : (slot+1)*ps]
		copy(b, meta.Magic[:])
		binary.LittleEndian.PutUint64(b[16:], fileID)
		sealMeta(b, slot)
	}
	for id := page.NumMetas; (id+1)*ps <= len(content); id++ {
		p := page.Page(content[id*ps:])
		switch n := int(p.RunLen()); p.Kind() {
		case page.KindOverflow:
			size := binary.LittleEndian.Uint64(p[page.HeaderSize:])
			if size < uint64(len(p)) && btree.RunPages(int(size), ps)*ps <= len(p) {
				btree.SealRun(p[:btree.RunPages(int(size), ps)*ps], page.ID(id), fileID)
			}
		case page.KindFreelist:
			if n > 0 && n <= len(p)/ps {
				p[:n*ps].Seal(page.ID(id), fileID)
			}
		default:
			p[:ps].Seal(page.ID(id), fileID)
		}
	}
}

// FuzzOps runs the model test on any sequence of operations.
func FuzzOps(f *testing.F) {
	f.Add([]byte("some operations, which put keys, delete them and so on, commit, and start over"))
	for i := range 20 {
		b := make([]byte, 13*12)
		for j := range b {
			b[j] = byte(i*31 + j*j*7)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var ops []modelOp
		for ; len(b) >= 13 && len(ops) < 300; b = b[13:] {
			ops = append(ops, modelOp{
				kind: opKind(int(b[0]) % len(opTable)),
				a:    binary.LittleEndian.Uint32(b[1:]),
				b:    binary.LittleEndian.Uint32(b[5:]),
				c:    binary.LittleEndian.Uint32(b[9:]),
			})
		}
		if err := runModel("", modelConfig{pageSize: 4096, heap: true}, ops); err != nil {
			t.Fatal(err, ops)
		}
	})
}
