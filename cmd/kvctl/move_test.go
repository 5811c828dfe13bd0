package main

// The tests of import and export: whatever is in a file of bbolt comes back from a file
// of folio, and a damaged one is refused, whatever is wrong with it.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/foliodb/folio"
	bolt "go.etcd.io/bbolt"
)

// makeBolt writes a file of bbolt with random buckets in buckets, of all sizes: inline
// ones, empty ones, ones with sequences, empty values and long ones.
func makeBolt(t *testing.T, path string, seed uint64, keys int) {
	t.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	db, err := bolt.Open(path, 0o640, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for i := range 5 {
			b, err := tx.CreateBucket(fmt.Appendf(nil, "bucket %d", i))
			if err == nil {
				err = fillBolt(r, b, keys, 3)
			}
			if err != nil {
				return err
			}
		}
		if _, err := tx.CreateBucket([]byte("empty")); err != nil {
			return err
		}
		top := tx.Cursor().Bucket() // which can have keys and a sequence as well
		return errors.Join(top.Put([]byte("key"), []byte("value")), top.SetSequence(seed))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func fillBolt(r *rand.Rand, b *bolt.Bucket, keys, depth int) error {
	if err := b.SetSequence(r.Uint64N(3) * r.Uint64()); err != nil {
		return err
	}
	for range r.IntN(keys) + 1 {
		key := make([]byte, 1+r.IntN(40))
		for i := range key {
			key[i] = byte(r.IntN(256))
		}
		if r.IntN(10) == 0 && depth > 0 {
			if b.Get(key) != nil {
				continue
			}
			in, err := b.CreateBucketIfNotExists(key)
			if err == nil {
				err = fillBolt(r, in, keys/4+1, depth-1)
			}
			if err != nil {
				return err
			}
			continue
		}
		size := r.IntN(100)
		switch r.IntN(50) {
		case 0:
			size = r.IntN(20000)
		case 1:
			size = 0
		}
		if err := b.Put(key, bytes.Repeat([]byte{byte(size)}, size)); err != nil && b.Bucket(key) == nil {
			return err
		}
	}
	return nil
}

// dump writes down all that is in the top level of a database: of which kind does not show.
func dump[B source[B]](top B) (string, error) {
	var s strings.Builder
	var bucket func(depth int, name []byte, b B) error
	bucket = func(depth int, name []byte, b B) error {
		fmt.Fprintf(&s, "%*s%x: %d\n", depth, "", name, b.Sequence())
		return b.ForEach(func(k, v []byte) error {
			if v == nil {
				return bucket(depth+1, k, b.Bucket(k))
			}
			fmt.Fprintf(&s, "%*s%x = %x\n", depth+1, "", k, v)
			return nil
		})
	}
	err := bucket(0, nil, top)
	return s.String(), err
}

func dumpBolt(t *testing.T, path string) (s string) {
	t.Helper()
	db, err := bolt.Open(path, 0, &bolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *bolt.Tx) (err error) {
		for err := range tx.Check() {
			t.Error(path, err)
		}
		s, err = dump(tx.Cursor().Bucket())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func dumpFolio(t *testing.T, path string) (s string) {
	t.Helper()
	db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.View(func(tx *folio.Tx) (err error) {
		for err := range tx.Check() {
			t.Error(path, err)
		}
		s, err = dump(tx.Cursor().Bucket())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestImportExport(t *testing.T) {
	for seed := range uint64(10) {
		dir := t.TempDir()
		before, file, after := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.folio"), filepath.Join(dir, "c.db")
		makeBolt(t, before, seed, 4<<(seed%6))
		if code, _, stderr := kvctl("import", before, file); code != 0 {
			t.Fatal(stderr)
		}
		if code, _, stderr := kvctl("export", file, after); code != 0 {
			t.Fatal(stderr)
		}
		want := dumpBolt(t, before)
		if dumpFolio(t, file) != want {
			t.Errorf("seed %d: the import is not what was there", seed)
		}
		if dumpBolt(t, after) != want {
			t.Errorf("seed %d: the export is not what was imported", seed)
		}
		onlyFiles(t, dir, "a.db", "b.folio", "c.db")
		for _, f := range []string{file, after} {
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("%s: %v, %v", f, info.Mode(), err)
			}
		}
	}
}

// TestCopyCompact: both make files of the same content, while a program has the first one
// open and writes it; the one of compact is not longer. What is damaged is refused.
func TestCopyCompact(t *testing.T) {
	for seed := range uint64(6) {
		dir := t.TempDir()
		file, copied, small := filepath.Join(dir, "b.folio"), filepath.Join(dir, "c.folio"), filepath.Join(dir, "d.folio")
		makeBolt(t, filepath.Join(dir, "a.db"), seed, 8<<seed)
		if code, _, stderr := kvctl("import", filepath.Join(dir, "a.db"), file); code != 0 {
			t.Fatal(stderr)
		}
		db, err := folio.Open(file, 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(func(tx *folio.Tx) error { return tx.DeleteBucket([]byte("bucket 1")) }); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS != "linux" { // nobody can read beside it there
			db = closed(t, db)
		}
		for _, args := range [][]string{{"copy", file, copied}, {"compact", file, small}} {
			if code, _, stderr := kvctl(args...); code != 0 {
				t.Fatal(stderr)
			}
		}
		closed(t, db)
		for _, verb := range []string{"copy", "compact"} {
			if code, _, stderr := kvctl(verb, file, small); code != exitError || !strings.Contains(stderr, "exists") {
				t.Fatal(verb, code, stderr)
			}
		}
		want := dumpFolio(t, file)
		if dumpFolio(t, copied) != want || dumpFolio(t, small) != want {
			t.Errorf("seed %d: not the same", seed)
		}
		long, err := os.Stat(copied)
		short, err2 := os.Stat(small)
		if err != nil || err2 != nil || short.Size() > long.Size() || short.Mode() != long.Mode() {
			t.Error(err, err2, short, long)
		}

		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for at := 8192 + 100; at < len(b); at += 4096 {
			b[at] ^= 1
		}
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"copy", "compact"} {
			if code, _, stderr := kvctl(verb, file, filepath.Join(dir, "e.folio")); code != exitDamaged {
				t.Fatal(verb, code, stderr)
			}
		}
		onlyFiles(t, dir, "a.db", "b.folio", "c.folio", "d.folio")
	}
}

// closed closes db, unless it has been before.
func closed(t *testing.T, db *folio.DB) *folio.DB {
	t.Helper()
	if db != nil {
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return nil
}

// onlyFiles makes sure that nothing else was left behind.
func onlyFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if fmt.Sprint(names) != fmt.Sprint(want) {
		t.Errorf("the directory has %v instead of %v", names, want)
	}
}

// TestImportManyTransactions makes transactions end in the middle of buckets at every
// depth.
func TestImportManyTransactions(t *testing.T) {
	dir := t.TempDir()
	before, file, after := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.folio"), filepath.Join(dir, "c.db")
	db, err := bolt.Open(before, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"a", "b"} {
			b, err := tx.CreateBucket([]byte(name))
			for i := 0; err == nil && i < 24; i++ {
				if err = b.Put(fmt.Appendf(nil, "k%d", i), big); err == nil && i%6 == 0 {
					b, err = b.CreateBucket(fmt.Appendf(nil, "in%d", i))
				}
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil || db.Close() != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("import", before, file); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := kvctl("export", file, after); code != 0 {
		t.Fatal(stderr)
	}
	if want := dumpBolt(t, before); dumpFolio(t, file) != want || dumpBolt(t, after) != want {
		t.Error("not the same")
	}
}

// TestImportDamaged damages files in many ways. Each is refused, or the damage is in
// what bbolt has no means to notice; no import ends in any other way, and none leaves
// anything behind when it is refused.
func TestImportDamaged(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.db")
	makeBolt(t, good, 7, 60)
	original, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(2, 2))
	refused := 0
	const damages = 100
	for i := range damages {
		b := bytes.Clone(original)
		pages := len(b) / 4096
		at := r.IntN(pages) * 4096
		what := ""
		switch i % 5 {
		case 0:
			b = b[:r.IntN(len(b))]
			what = fmt.Sprintf("cut off at %d", len(b))
		case 1: // the header of a page, or its first cells
			at += r.IntN(64)
			b[at] ^= 1 << r.IntN(8)
			what = fmt.Sprintf("a bit at %d", at)
		case 2:
			at += r.IntN(200)
			r1 := r.Uint64()
			for j := range 8 {
				b[at+j] = byte(r1 >> (8 * j))
			}
			what = fmt.Sprintf("a word at %d", at)
		case 3:
			clear(b[at : at+4096])
			what = fmt.Sprintf("zeroes at %d", at)
		case 4:
			from := r.IntN(pages) * 4096
			copy(b[at:at+4096], original[from:])
			what = fmt.Sprintf("page at %d instead of the one at %d", from, at)
		}
		bad, file := filepath.Join(dir, "bad.db"), filepath.Join(dir, "new.folio")
		if err := os.WriteFile(bad, b, 0o600); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := kvctl("import", bad, file)
		switch {
		case code == exitOK:
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
		case code == exitDamaged && strings.Contains(stderr, "bad.db is damaged: "),
			code == exitError && strings.Contains(stderr, "not a file of bbolt"):
			refused++
			onlyFiles(t, dir, "bad.db", "good.db")
		default:
			t.Errorf("%s: exit %d: %s", what, code, stderr)
		}
	}
	if refused < damages/2 {
		t.Errorf("%d of %d damaged files were refused", refused, damages)
	}
}

// TestImportCycle makes a branch refer to itself, in which bbolt goes round for ever.
func TestImportCycle(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "a.db")
	makeBolt(t, file, 3, 300)
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	made := 0
	for at := 2 * 4096; at < len(b); at += 4096 {
		n := boltNode{}
		if n.decode(b[at:]); n.flags == boltIsBranch && n.id == uint64(at/4096) {
			copy(b[at+boltHeader+8:], b[at:at+8]) // its first child is itself
			made++
		}
	}
	if made == 0 {
		t.Fatal("there is no branch in the file")
	}
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := kvctl("import", file, filepath.Join(dir, "b.folio"))
	if code != exitDamaged || !strings.Contains(stderr, "referred to twice") {
		t.Errorf("exit %d: %s", code, stderr)
	}
}

func TestImportRefusals(t *testing.T) {
	dir := t.TempDir()
	from, file := filepath.Join(dir, "a.db"), filepath.Join(dir, "b.folio")
	makeBolt(t, from, 1, 10)
	if code, _, stderr := kvctl("import", from, from); code != exitError || !strings.Contains(stderr, "exists: give the new file another name") {
		t.Error(code, stderr)
	}
	if code, _, stderr := kvctl("import", from, filepath.Join(dir, "no", "b.folio")); code != exitNotFound {
		t.Error(code, stderr)
	}
	if code, _, stderr := kvctl("import", filepath.Join(dir, "none"), file); code != exitNotFound {
		t.Error(code, stderr)
	}
	db, err := bolt.Open(from, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	code, _, stderr := kvctl("import", from, file, "--timeout", "20ms")
	if code != exitInUse || !strings.Contains(stderr, "another process has it open") {
		t.Error(code, stderr)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("import", from, file); code != 0 {
		t.Fatal(stderr)
	}
	if code, _, stderr := kvctl("import", file, filepath.Join(dir, "c.folio")); code != exitError || !strings.Contains(stderr, "not a file of bbolt") {
		t.Error(code, stderr)
	}
	if code, _, stderr := kvctl("export", file, from); code != exitError || !strings.Contains(stderr, "exists") {
		t.Error(code, stderr)
	}
	if _, err := os.Stat(filepath.Join(dir, "c.folio")); err == nil || !os.IsNotExist(err) {
		t.Error("a refused import left a file", err)
	}
	if err := os.Truncate(file, 3*4096); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := kvctl("export", file, filepath.Join(dir, "d.db")); code != exitDamaged {
		t.Error(code, stderr)
	}
	onlyFiles(t, dir, "a.db", "b.folio")
}
