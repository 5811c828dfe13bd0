package folio_test

// Salvage of certain files: those that say exactly what must come out, and those
// that are made to break it.

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
)

// caseFile returns the patient that fill makes.
func caseFile(t *testing.T, fill ...func(tx *folio.Tx)) *patient {
	t.Helper()
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	p := &patient{pageSize: 4096, want: foliotest.NewBucket()}
	for _, fn := range fill {
		noErr(t, db.Update(func(tx *folio.Tx) error { fn(tx); return nil }))
	}
	noErr(t, db.View(func(tx *folio.Tx) error { readModel(tx.Cursor().Bucket(), p.want); return nil }))
	noErr(t, db.Close())
	p.content = disk.Content("db")
	p.survey(t)
	return p
}

// numbers puts n keys with values that begin with what into the bucket at path.
func numbers(tx *folio.Tx, what string, n int, path ...string) {
	b, err := tx.CreateBucketIfNotExists([]byte(path[0]))
	must(err)
	for _, name := range path[1:] {
		b, err = b.CreateBucketIfNotExists([]byte(name))
		must(err)
	}
	must(b.SetSequence(uint64(n)))
	for i := range n {
		must(b.Put(fmt.Appendf(nil, "%06d", i), fmt.Appendf(nil, "%s %d %s", what, i, path)))
	}
}

// wreck zeroes the units that are chosen.
func (p *patient) wreck(which func(u *patientUnit) bool) *injury {
	in := p.injure()
	for i := range p.units {
		if u := &p.units[i]; which(u) {
			clear(in.content[u.id*p.pageSize:][:u.pages*p.pageSize])
			for id := u.id; id < u.id+u.pages; id++ {
				in.hurt[id] = true
			}
			in.log = append(in.log, fmt.Sprint(u.kind, " ", u.id))
		}
	}
	return in
}

func top(u *patientUnit) bool { return len(u.path) == 0 && (u.kind == "leaf" || u.kind == "branch") }

// TestSalvageRoot destroys the leaf with the names of all buckets. An older version
// of it names them.
func TestSalvageRoot(t *testing.T) {
	fill := func(tx *folio.Tx) {
		numbers(tx, "first", 3000, "a")
		numbers(tx, "first", 2000, "b")
		numbers(tx, "first", 5, "inline")
	}
	change := func(tx *folio.Tx) {
		must(tx.Bucket([]byte("a")).Put([]byte("000700"), []byte("second")))
		must(tx.Bucket([]byte("a")).SetSequence(7777))
	}
	p := caseFile(t, fill, change)
	in := p.wreck(top)
	out := in.treat(t)
	a := out.got.Sub("a")
	if a == nil || out.got.Sub("b") == nil || out.got.Sub("inline") == nil || len(out.orphans) > 0 {
		t.Fatal(describe(out))
	}
	if string(a.Get("000700")) != "second" || a.Sequence != 3000 || a.Len() != 3000 {
		t.Fatal("the tree of a is not the newest, or its sequence is not the older one: ", a.Sequence)
	}

	t.Run("without older versions", func(t *testing.T) {
		out, err := salvageBytes(in.content, &folio.SalvageOptions{CurrentOnly: true})
		noErr(t, err)
		if out.got.Len() != 0 || len(out.report.Orphans) != 2 || len(out.orphans) != 3000 {
			t.Fatal(describe(out))
		}
		if !slices.Contains(out.orphans["000700"], "second") {
			t.Fatal("the newest value is not there")
		}
	})
	t.Run("and the metas", func(t *testing.T) {
		in := p.wreck(func(u *patientUnit) bool { return top(u) || u.kind == "meta" })
		out, err := salvageBytes(in.content, nil)
		noErr(t, err)
		for _, name := range []string{"a", "b"} {
			want := p.want.Sub(name)
			for i := range want.Len() {
				key := want.Key(i)
				sub := out.got.Sub(name)
				here := sub != nil && (bytes.Equal(sub.Get(key), want.Get(key)) || out.stale([]string{name}, key))
				if !here && !slices.Contains(out.orphans[key], string(want.Get(key))) {
					t.Fatalf("%s of %s is missing\n%s", key, name, describe(out))
				}
			}
		}
	})
}

// TestSalvageTwins destroys the branches of two buckets with the same keys: nobody can
// know which leaves are whose, and so they go to lost+found, all of them.
func TestSalvageTwins(t *testing.T) {
	p := caseFile(t, func(tx *folio.Tx) {
		numbers(tx, "value", 2000, "one")
		numbers(tx, "value", 2000, "two")
	})
	in := p.wreck(func(u *patientUnit) bool { return u.kind == "branch" })
	out := in.treat(t)
	if out.got.Sub("one").Len() != 0 || out.got.Sub("two").Len() != 0 {
		t.Fatal("keys of one bucket can be in the other\n", describe(out))
	}
	for i := range 2000 {
		if got := len(out.orphans[fmt.Sprintf("%06d", i)]); got != 2 {
			t.Fatalf("key %d is there %d times", i, got)
		}
	}
}

// TestSalvageDifferent is TestSalvageTwins where the number of keys tells.
func TestSalvageDifferent(t *testing.T) {
	p := caseFile(t, func(tx *folio.Tx) {
		numbers(tx, "value", 2001, "one")
		numbers(tx, "value", 1500, "two", "three")
	})
	in := p.wreck(func(u *patientUnit) bool { return u.kind == "branch" })
	out := in.treat(t)
	if len(out.orphans) > 0 || out.report.LostKeys > 0 {
		t.Fatal(describe(out))
	}
}

// TestSalvageDeleted deletes, and then damages: nothing that was deleted comes back
// where a branch still tells, and what may be old is reported where none does.
func TestSalvageDeleted(t *testing.T) {
	p := caseFile(t,
		func(tx *folio.Tx) { numbers(tx, "value", 4000, "a") },
		func(tx *folio.Tx) {
			_, err := tx.Bucket([]byte("a")).DeleteRange([]byte("001000"), []byte("003000"))
			must(err)
		},
		func(tx *folio.Tx) { must(tx.Bucket([]byte("a")).Delete([]byte("000001"))) })
	for _, kinds := range [][]string{{"branch"}, {"meta"}, {"freelist"}, {"meta", "branch"}, {"leaf"}} {
		in := p.wreck(func(u *patientUnit) bool { return slices.Contains(kinds, u.kind) && !top(u) })
		out := in.treat(t)
		// Without the metas nobody knows what is free: all versions are in lost+found.
		all := len(kinds) == 1 && kinds[0] != "leaf"
		if n := out.got.Sub("a").Len(); all && n != p.want.Sub("a").Len() {
			t.Fatalf("%v: %d keys\n%s", kinds, n, describe(out))
		}
	}
}

// TestSalvageUnclean damages the newest meta of a file that was not closed. What it
// committed is found by its root.
func TestSalvageUnclean(t *testing.T) {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	for i := range 5 {
		noErr(t, db.Update(func(tx *folio.Tx) error { numbers(tx, fmt.Sprint("round ", i), 500, "a"); return nil }))
	}
	content, slot := disk.Content("db"), db.Info().MetaSlot
	noErr(t, db.Close())
	clear(content[slot*4096:][:4096])
	out, err := salvageBytes(content, nil)
	noErr(t, err)
	if v := string(out.got.Sub("a").Get("000003")); v != "round 4 3 [a]" || out.report.State == "" {
		t.Fatalf("%q\n%s", v, describe(out))
	}
}

// TestSalvageFiles looks at what Salvage does with names.
func TestSalvageFiles(t *testing.T) {
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	p := caseFile(t, func(tx *folio.Tx) { numbers(tx, "value", 100, "a") })
	noErr(t, os.WriteFile(in, p.content, 0o400))
	report, err := folio.Salvage(in, out, 0o600, &folio.SalvageOptions{Timeout: time.Second})
	noErr(t, err)
	if report.Keys != 100 || report.Buckets != 1 || report.PageSize != 4096 || report.FileID != p.fileID {
		t.Fatalf("%+v", report)
	}
	_, err = folio.Salvage(in, out, 0o600, nil)
	wantIs(t, err, fs.ErrExist)
	_, err = folio.Salvage(in, in, 0o600, nil)
	wantIs(t, err, fs.ErrExist)
	_, err = folio.Salvage(filepath.Join(dir, "none"), filepath.Join(dir, "new"), 0o600, nil)
	wantIs(t, err, fs.ErrNotExist)
	noErr(t, os.WriteFile(filepath.Join(dir, "text"), bytes.Repeat([]byte("text "), 9999), 0o600))
	_, err = folio.Salvage(filepath.Join(dir, "text"), filepath.Join(dir, "new"), 0o600, nil)
	wantIs(t, err, folio.ErrInvalid)

	db, err := folio.Open(out, 0o600, nil)
	noErr(t, err)
	_, err = folio.Salvage(out, filepath.Join(dir, "new"), 0o600, &folio.SalvageOptions{Timeout: time.Millisecond})
	wantIs(t, err, folio.ErrTimeout)
	noErr(t, db.Close())
	names, err := os.ReadDir(dir)
	noErr(t, err)
	if len(names) != 3 {
		t.Fatal("litter: ", names)
	}
}

// TestSalvageNothing salvages files in which nothing is left, or nothing ever was.
func TestSalvageNothing(t *testing.T) {
	p := caseFile(t, func(tx *folio.Tx) { numbers(tx, "value", 3000, "a") })
	for name, content := range map[string][]byte{
		"empty": nil, "a byte": {1}, "zeroes": make([]byte, 1<<18), "metas": p.content[:4096],
	} {
		out, err := salvageBytes(content, nil)
		if name == "metas" {
			noErr(t, err)
			if out.got.Len() != 0 || len(out.report.Losses) == 0 {
				t.Fatal(describe(out))
			}
			continue
		}
		wantIs(t, err, folio.ErrInvalid)
	}
	fresh := caseFile(t)
	out, err := salvageBytes(fresh.content, nil)
	noErr(t, err)
	if out.got.Len() != 0 || len(out.report.Losses)+len(out.report.Orphans) != 0 {
		t.Fatal(describe(out))
	}
}

// TestSalvageForeign puts pages of another file between: their file id is another.
func TestSalvageForeign(t *testing.T) {
	p := caseFile(t, func(tx *folio.Tx) { numbers(tx, "value", 6000, "a") })
	other := caseFile(t, func(tx *folio.Tx) { numbers(tx, "other", 3000, "a") })
	in := p.injure()
	from := 10 * 4096
	copy(in.content[from:len(other.content)], other.content[from:])
	for id := 10; id < len(other.content)/4096; id++ {
		in.hurt[id] = true
	}
	clear(in.content[:2*4096])
	out := in.treat(t)
	if out.report.FileID != p.fileID {
		t.Fatal("the file id is that of the other file")
	}
}

// salvageSafely salvages anything. What comes out is whole, or there is an error.
func salvageSafely(t *testing.T, name string, content []byte) {
	defer func() {
		if p := recover(); p != nil {
			t.Fatalf("%s: panic: %v\n%s", name, p, debug.Stack())
		}
	}()
	stuck := time.AfterFunc(time.Minute, func() { panic(name + " takes for ever") })
	defer stuck.Stop()
	_, err := salvageBytes(content, nil)
	if err != nil && !errors.Is(err, folio.ErrInvalid) && !errors.Is(err, folio.ErrVersionMismatch) {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestSalvageHostile changes bytes and makes the checksums right again.
func TestSalvageHostile(t *testing.T) {
	content, err := os.ReadFile(goldenDir + "/all-4096.folio")
	noErr(t, err)
	for i := range rounds(60, 400, 100_000) {
		seed := uint64(i)
		if *seedFlag != 0 {
			seed = *seedFlag
		}
		rnd := rand.New(rand.NewPCG(seed, 9))
		c := bytes.Clone(content)
		for range 1 + rnd.IntN(3) {
			scramble(c, rnd)
		}
		sealAll(c)
		switch rnd.IntN(4) {
		case 0:
			clear(c[:2*4096])
		case 1:
			c[rnd.IntN(2)*4096+rnd.IntN(4096)] ^= 1
		}
		salvageSafely(t, fmt.Sprint("-seed ", seed), c)
	}
}

// FuzzSalvage salvages any bytes. With seal, all checksums are made right first.
func FuzzSalvage(f *testing.F) {
	for _, content := range goldenFiles(f, "*.folio") {
		for _, seal := range []bool{false, true} {
			f.Add(content, seal, false)
			f.Add(content, seal, true)
		}
	}
	f.Fuzz(func(t *testing.T, content []byte, seal, noMetas bool) {
		if len(content) > 1<<20 {
			return
		}
		content = bytes.Clone(content)
		if seal {
			sealAll(content)
		}
		if noMetas {
			clear(content[:min(len(content), 2*4096)])
		}
		salvageSafely(t, "input", content)
	})
}

// overwrite copies page from to the place of page to, and makes its checksum right.
func (in *injury) overwrite(to, from int) {
	b := page.Page(in.content[to*in.p.pageSize:][:in.p.pageSize])
	copy(b, in.p.page(from))
	b.Seal(page.ID(to), in.p.fileID)
	in.hurt[to] = true
}

// nodes returns the nodes of the bucket a that have level, in the order of their keys.
func (p *patient) nodes(level int) (ids []int) {
	for _, u := range p.units {
		if b := page.Page(p.page(u.id)); (u.kind == "leaf" || u.kind == "branch") && slices.Equal(u.path, []string{"a"}) && b.Level() == level {
			ids = append(ids, u.id)
		}
	}
	first := func(id int) []byte {
		b := page.Page(p.page(id))
		for b.Level() > 0 {
			b = page.Page(p.page(int(btree.BranchChild(b, 0).ID)))
		}
		return btree.LeafCell(b, 0).Key
	}
	slices.SortFunc(ids, func(a, b int) int { return bytes.Compare(first(a), first(b)) })
	return ids
}

// TestSalvageAstray puts copies of nodes into the places of others that are as old and have
// as many keys. What was there is lost, whichever comes first, and nothing else.
func TestSalvageAstray(t *testing.T) {
	plain := caseFile(t, func(tx *folio.Tx) { numbers(tx, "value", 30_000, "a") })
	nested := caseFile(t, func(tx *folio.Tx) {
		for i := range 200 {
			numbers(tx, strings.Repeat("a page of its own", 5), 40, "a", fmt.Sprintf("%06d", i))
		}
	})
	for name, p := range map[string]*patient{"plain": plain, "nested": nested} {
		leaves := p.nodes(0)
		for _, places := range [][2]int{{1, 2}, {2, 1}} {
			in := p.injure()
			to, from := leaves[places[0]], leaves[places[1]]
			in.overwrite(to, from)
			out := in.treat(t)
			gone := uint64(page.Page(p.page(to)).Count())
			if l := out.report.Losses; len(l) != 1 || l[0].Page != to || l[0].Keys != gone || l[0].Found != 0 || out.report.LostKeys != gone {
				t.Errorf("%s: page %d in the place of %d: %s", name, from, to, describe(out))
			}
			if got, want := out.got.Sub("a").Len(), p.want.Sub("a").Len(); uint64(want-got) != gone {
				t.Errorf("%s: page %d in the place of %d: %d keys of %d", name, from, to, got, want)
			}
		}
	}
	// The children of a branch are found, and not under its copy.
	branches := plain.nodes(1)
	for _, places := range [][2]int{{0, 1}, {1, 0}} {
		in := plain.injure()
		in.overwrite(branches[places[0]], branches[places[1]])
		out := in.treat(t)
		if l := out.report.Losses; len(l) != 1 || out.report.LostKeys != 0 || out.got.Sub("a").Len() != 30_000 {
			t.Error(places, describe(out))
		}
	}
}

// TestSalvageFewer has a leaf that is whole and has fewer keys than its parent counts, and
// one of which some keys are out of its bounds: those inside may be old.
func TestSalvageFewer(t *testing.T) {
	fill := func(without func(i int) bool) *patient {
		return caseFile(t, func(tx *folio.Tx) {
			numbers(tx, "value", 3000, "a")
			for i := range 3000 {
				if without(i) {
					must(tx.Bucket([]byte("a")).Delete(fmt.Appendf(nil, "%06d", i)))
				}
			}
		})
	}
	p := fill(func(int) bool { return false })
	leaves := p.nodes(0)
	to := leaves[3]
	lo, hi := page.Page(p.page(to)), page.Page(p.page(leaves[4]))
	first, next := btree.LeafCell(lo, 0).Key, btree.LeafCell(hi, 0).Key
	for _, step := range []int{2, 1500} {
		other := fill(func(i int) bool { return i%step == 0 && i > 0 || i == 300 })
		for _, id := range other.nodes(0) {
			o, inside := page.Page(bytes.Clone(other.page(id))), 0
			for i := range o.Count() {
				if k := btree.LeafCell(o, i).Key; bytes.Compare(first, k) <= 0 && bytes.Compare(k, next) < 0 {
					inside++
				}
			}
			in := p.injure()
			copy(in.content[to*4096:], o)
			page.Page(in.content[to*4096:][:4096]).Seal(page.ID(to), p.fileID)
			in.hurt[to] = true
			out := in.treat(t)
			lost := uint64(lo.Count() - inside)
			l := out.report.Losses
			if out.report.LostKeys != lost || out.got.Sub("a").Len() != 3000-int(lost) || lost > 0 && len(l) != 1 ||
				len(l) > 0 && l[0].OutOfDate != (0 < inside && inside < o.Count()) {
				t.Error(id, lo.Count(), o.Count(), inside, describe(out))
			}
		}
	}
}

// TestSalvageReport looks at what the report says of a leaf and a value.
func TestSalvageReport(t *testing.T) {
	long := strings.Repeat("long", 5000)
	p := caseFile(t, func(tx *folio.Tx) {
		numbers(tx, "value", 2000, "a", "b")
		must(tx.Bucket([]byte("a")).Put([]byte("long"), []byte(long)))
	})
	n := 0
	leaf := p.wreck(func(u *patientUnit) bool { n++; return u.kind == "leaf" && len(u.path) == 2 && n > 5 && n < 8 })
	out := leaf.treat(t)
	var keys uint64
	for _, l := range out.report.Losses {
		first, last := string(l.Lo), string(l.Hi)
		if fmt.Sprintf("%s", l.Bucket) != "[a b]" || l.OutOfDate || l.Found != 0 || first >= last {
			t.Fatal(describe(out))
		}
		keys += l.Keys
	}
	if got := uint64(out.got.Sub("a").Sub("b").Len()); keys == 0 || out.report.LostKeys != keys || got+keys != 2000 {
		t.Fatal(describe(out))
	}
	run := p.wreck(func(u *patientUnit) bool { return u.kind == "overflow" })
	out = run.treat(t)
	l := out.report.Losses
	if len(l) != 1 || string(l[0].Lo) != "long" || string(l[0].Hi) != "long\x00" || out.report.LostKeys != 1 || out.got.Sub("a").Has("long") {
		t.Fatal(describe(out))
	}
}
