package folio_test

// Salvage against a model: random databases are damaged in random ways, and what
// comes out is compared with what was in them.

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
)

// patient is an intact file, and what is in it.
type patient struct {
	pageSize int
	content  []byte
	older    []byte // the same file some commits before
	want     *foliotest.Bucket
	fileID   uint64
	units    []patientUnit
}

// patientUnit is a page, or a run, that is in use.
type patientUnit struct {
	id, pages int
	kind      string // meta, branch, leaf, overflow, freelist
	path      []string
	cells     []btree.Cell // of a leaf
}

// randomPatient makes a database by operations of the model test.
func randomPatient(t *testing.T, seed uint64, pageSize, n int) *patient {
	t.Helper()
	disk := foliotest.NewDisk()
	empty := foliotest.NewBucket()
	r := &modelRun{cfg: modelConfig{pageSize: pageSize}, path: "db", done: empty, seen: empty, gate: foliotest.NewGate(disk)}
	r.open()
	ops := generateOps(rand.New(rand.NewPCG(seed, uint64(pageSize))), n)
	p := &patient{pageSize: pageSize}
	for len(ops) > 0 {
		k := 0
		for k < len(ops)-1 && opTable[ops[k].kind].end == nil {
			k++
		}
		if len(ops) > n/8 {
			p.older = nil
		} else if p.older == nil {
			p.older = disk.Content("db")
		}
		r.transaction(ops[:k], ops[k])
		ops = ops[k+1:]
	}
	r.settle()
	for len(r.snaps) > 0 {
		r.dropSnap(0)
	}
	r.addPlain(seed)
	noErr(t, r.db.Close())
	p.content, p.want = disk.Content("db"), r.done
	p.survey(t)
	return p
}

// addPlain makes sure that there are trees with branches.
func (r *modelRun) addPlain(seed uint64) {
	must(r.db.Update(func(tx *folio.Tx) error {
		for i := range 2 + seed%2 {
			name := fmt.Sprintf("plain %d", i)
			b, err := tx.CreateBucketIfNotExists([]byte(name))
			must(err)
			m := foliotest.NewBucket()
			for j := range 600 + 500*i {
				key, value := fmt.Sprintf("%c%06d", 'a'+i, j*7), fmt.Appendf(nil, "value %d of %d%s", j, i, strings.Repeat(".", r.cfg.pageSize/64))
				must(b.Put([]byte(key), value))
				m.Put(key, value)
			}
			r.done.PutSub(name, m)
		}
		return nil
	}))
}

// survey finds out what the pages are used for.
func (p *patient) survey(t *testing.T) {
	t.Helper()
	disk := foliotest.NewDisk()
	disk.Put("db", p.content)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{ReadOnly: true})
	noErr(t, err)
	p.fileID = db.Info().FileID
	noErr(t, db.View(func(tx *folio.Tx) error {
		return tx.PageMap(func(u folio.PageUse) error {
			noErr(t, u.Err)
			unit := patientUnit{id: u.ID, pages: u.Pages, kind: u.Type}
			for _, name := range u.Bucket {
				unit.path = append(unit.path, string(name))
			}
			if u.Type == "node" {
				b := page.Page(p.page(u.ID))
				unit.kind = b.Kind().String()
				if b.Kind() == page.KindLeaf {
					for i := range b.Count() {
						unit.cells = append(unit.cells, btree.LeafCell(b, i))
					}
				}
			}
			if u.Type != "free" {
				p.units = append(p.units, unit)
			}
			return nil
		})
	}))
	noErr(t, db.Close())
	slices.SortFunc(p.units, func(a, b patientUnit) int { return a.id - b.id })
}

func (p *patient) page(id int) []byte { return p.content[id*p.pageSize : (id+1)*p.pageSize] }

// pick returns a unit of one of the kinds at random, or nil.
func (p *patient) pick(rnd *rand.Rand, kinds ...string) *patientUnit {
	var of []*patientUnit
	for i := range p.units {
		if slices.Contains(kinds, p.units[i].kind) {
			of = append(of, &p.units[i])
		}
	}
	if len(of) == 0 {
		return nil
	}
	return of[rnd.IntN(len(of))]
}

// injury is damage to a copy of a patient.
type injury struct {
	p       *patient
	content []byte
	hurt    map[int]bool // pages
	log     []string
}

func (p *patient) injure() *injury {
	return &injury{p: p, content: bytes.Clone(p.content), hurt: map[int]bool{}}
}

// damage makes a page of u something else.
func (in *injury) damage(rnd *rand.Rand, u *patientUnit) {
	ps := in.p.pageSize
	id := u.id + rnd.IntN(u.pages)
	b := in.content[id*ps:][:ps]
	how := rnd.IntN(5)
	switch how {
	case 0:
		b[rnd.IntN(ps)] ^= 1 << rnd.IntN(8)
	case 1:
		clear(b)
	case 2:
		other := 2 + rnd.IntN(len(in.content)/ps-2)
		o := in.content[other*ps:][:ps]
		tmp := bytes.Clone(b)
		copy(b, o)
		copy(o, tmp)
		in.hurt[other] = true
	case 3:
		if len(in.p.older) < (id+1)*ps || bytes.Equal(b, in.p.older[id*ps:][:ps]) {
			clear(b[ps/2:])
			b[ps/2] = 1
			break
		}
		copy(b, in.p.older[id*ps:])
	case 4:
		for i := range 64 {
			b[min(ps-1, rnd.IntN(ps-64)+i)] = byte(rnd.Uint32())
		}
	}
	in.hurt[id] = true
	in.log = append(in.log, fmt.Sprintf("%s page %d, way %d", u.kind, id, how))
}

// truncate cuts the file off.
func (in *injury) truncate(pages int) {
	for id := pages; id < len(in.content)/in.p.pageSize; id++ {
		in.hurt[id] = true
	}
	in.content = in.content[:pages*in.p.pageSize]
	in.log = append(in.log, fmt.Sprintf("cut off at page %d", pages))
}

// excuse is what may be missing: keys of a bucket, or those that begin with stub.
type excuse struct {
	path []string
	stub string
	all  bool // what is not equal to stub but begins with it, too
}

// excuses returns what may be missing, and in which buckets all may be.
func (in *injury) excuses() (es []excuse) {
	for i := range in.p.units {
		u := &in.p.units[i]
		for _, c := range u.cells {
			if in.hurt[u.id] || in.hurtRun(c.ValueRun) || in.hurtRun(c.KeyRun) {
				es = append(es, excuse{u.path, string(c.Key), c.KeyRun.Bytes > 0})
			}
		}
	}
	return es
}

// hurtRun tells whether a page of the run at r is damaged. There is none if r is empty.
func (in *injury) hurtRun(r btree.Ref) bool {
	if r.Bytes == 0 {
		return false
	}
	for i := range btree.RunPages(r.Bytes, in.p.pageSize) {
		if in.hurt[int(r.ID)+i] {
			return true
		}
	}
	return false
}

// excused tells whether key in the bucket at path, or a bucket around it, may be
// missing.
func excused(es []excuse, path []string, key string) bool {
	full := append(slices.Clone(path), key)
	return slices.ContainsFunc(es, func(e excuse) bool {
		n := len(e.path)
		if len(full) <= n || !slices.Equal(full[:n], e.path) {
			return false
		}
		return full[n] == e.stub || e.all && strings.HasPrefix(full[n], e.stub)
	})
}

// salvageOutcome is what Salvage has made of an injury.
type salvageOutcome struct {
	report  *folio.SalvageReport
	got     *foliotest.Bucket
	orphans map[string][]string // in lost+found: values by key
}

// salvageBytes runs Salvage on content.
func salvageBytes(content []byte, o *folio.SalvageOptions) (out *salvageOutcome, err error) {
	disk := foliotest.NewDisk()
	disk.Put("in", content)
	report, err := folio.SalvageFS(disk, "in", "out", o)
	if !bytes.Equal(disk.Content("in"), content) {
		return nil, errors.New("the damaged file was changed")
	}
	if err != nil {
		return nil, err
	}
	db, err := folio.OpenFS(disk, "out", 0o600, &folio.Options{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	out = &salvageOutcome{report: report, got: foliotest.NewBucket(), orphans: map[string][]string{}}
	err = db.View(func(tx *folio.Tx) error {
		readModel(tx.Cursor().Bucket(), out.got)
		return foliotest.Check(tx)
	})
	for _, name := range out.got.Subs() {
		if strings.HasPrefix(name, folio.LostAndFound) {
			out.collect(out.got.Sub(name))
			out.got.Delete(name)
		}
	}
	return out, errors.Join(err, db.Close())
}

// readModel copies b into m.
func readModel(b *folio.Bucket, m *foliotest.Bucket) {
	m.Sequence = b.Sequence()
	for k, v := range b.All() {
		if v != nil {
			m.Put(string(k), bytes.Clone(v))
			continue
		}
		sub := foliotest.NewBucket()
		readModel(b.Bucket(k), sub)
		m.PutSub(string(k), sub)
	}
}

// collect takes what is in lost+found, wherever it is.
func (out *salvageOutcome) collect(m *foliotest.Bucket) {
	for i := range m.Len() {
		key := m.Key(i)
		if sub := m.Sub(key); sub != nil {
			out.collect(sub)
			continue
		}
		out.orphans[key] = append(out.orphans[key], string(m.Get(key)))
	}
}

// compare returns what is wrong with a salvageOutcome.
func (out *salvageOutcome) compare(want *foliotest.Bucket, es []excuse) error {
	return out.compareBucket(out.got, want, nil, es)
}

func (out *salvageOutcome) compareBucket(got, want *foliotest.Bucket, path []string, es []excuse) error {
	for i := range want.Len() {
		key := want.Key(i)
		if err := out.compareKey(got, want, path, key, es); err != nil {
			return err
		}
	}
	for i := range got.Len() {
		key := got.Key(i)
		if !want.Has(key) && !out.stale(path, key) {
			return fmt.Errorf("%q: %s is there, was not, and nothing says that it may be old", path, foliotest.Short([]byte(key)))
		}
	}
	return nil
}

func (out *salvageOutcome) compareKey(got, want *foliotest.Bucket, path []string, key string, es []excuse) error {
	what := func(s string) error {
		return fmt.Errorf("%q: %s %s", path, foliotest.Short([]byte(key)), s)
	}
	excused := excused(es, path, key)
	if sub := want.Sub(key); sub != nil {
		in := got.Sub(key)
		switch {
		case in == nil && !excused && !out.reported(path, key):
			return what("is a bucket, is missing, and is not reported")
		case in == nil:
			return nil
		case !excused && in.Sequence != sub.Sequence:
			return what("has another sequence")
		}
		return out.compareBucket(in, sub, append(slices.Clone(path), key), es)
	}
	switch {
	case got.Has(key) && bytes.Equal(got.Get(key), want.Get(key)) && got.Sub(key) == nil:
		return nil
	case got.Has(key) && !out.stale(path, key):
		return what("has another value, and nothing says that it may be old")
	case got.Has(key) && !excused:
		return what("has an old value, and the leaf of the new one is intact")
	case got.Has(key):
		return nil
	case !out.reported(path, key):
		return what("is missing, and not reported")
	case !excused && !slices.Contains(out.orphans[key], string(want.Get(key))):
		return what("is missing, and its leaf is intact")
	}
	return nil
}

// loss tells whether the report has a loss around key, with a property.
func (out *salvageOutcome) loss(path []string, key string, is func(l *folio.SalvageLoss) bool) bool {
	full := append(slices.Clone(path), key)
	return slices.ContainsFunc(out.report.Losses, func(l folio.SalvageLoss) bool {
		n := len(l.Bucket)
		if l.Bucket == nil || len(full) <= n {
			return false
		}
		for i, name := range l.Bucket {
			if string(name) != full[i] {
				return false
			}
		}
		k := []byte(full[n])
		in := bytes.Compare(k, l.Lo) >= 0 && (l.Hi == nil || bytes.Compare(k, l.Hi) < 0)
		return (in || bytes.HasPrefix(k, l.Lo)) && is(&l)
	})
}

func (out *salvageOutcome) reported(path []string, key string) bool {
	return out.loss(path, key, func(*folio.SalvageLoss) bool { return true })
}

func (out *salvageOutcome) stale(path []string, key string) bool {
	return out.loss(path, key, func(l *folio.SalvageLoss) bool { return l.OutOfDate })
}

// salvageSeeds is how many databases each test makes.
func salvageSeeds() int { return rounds(1, 2, 30) }

var (
	patientsMu sync.Mutex
	patients   = map[[2]uint64]*patient{}
)

// cachedPatient is randomPatient, which several tests share: nobody changes it.
func cachedPatient(t *testing.T, seed uint64, pageSize int) *patient {
	t.Helper()
	patientsMu.Lock()
	defer patientsMu.Unlock()
	key := [2]uint64{seed, uint64(pageSize)}
	if patients[key] == nil {
		patients[key] = randomPatient(t, seed, pageSize, 500)
	}
	return patients[key]
}

// onPatients runs test with random databases.
func onPatients(t *testing.T, test func(t *testing.T, p *patient, rnd *rand.Rand)) {
	for _, ps := range pageSizes {
		t.Run(fmt.Sprint(ps), func(t *testing.T) {
			t.Parallel()
			for i := range salvageSeeds() {
				seed := uint64(i + 1)
				if *seedFlag != 0 {
					seed = *seedFlag
				}
				p := cachedPatient(t, seed, ps)
				defer func() {
					if r := recover(); r != nil {
						t.Fatalf("-seed %d: panic: %v\n%s", seed, r, debug.Stack())
					}
				}()
				test(t, p, rand.New(rand.NewPCG(seed, 77)))
				if t.Failed() {
					t.Fatalf("-seed %d", seed)
				}
			}
		})
	}
}

// treat salvages an injury and compares.
func (in *injury) treat(t *testing.T) *salvageOutcome {
	t.Helper()
	out, err := salvageBytes(in.content, nil)
	if err == nil {
		err = out.compare(in.p.want, in.excuses())
	}
	if err != nil {
		t.Fatalf("%v:\n%v\n%s", in.log, err, describe(out))
	}
	return out
}

func describe(out *salvageOutcome) string {
	if out == nil {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "%d keys, %d lost; %s\n", out.report.Keys, out.report.LostKeys, out.report.State)
	for _, l := range out.report.Losses {
		fmt.Fprintf(&s, "%.80q [%s, %s) page %d: %d keys, %d found, old %v, buckets %v: %v\n", fmt.Sprintf("%.30s", l.Bucket), foliotest.Short(l.Lo), foliotest.Short(l.Hi), l.Page, l.Keys, l.Found, l.OutOfDate, l.Buckets, l.Err)
	}
	for _, o := range out.report.Orphans {
		fmt.Fprintf(&s, "%q: %d keys\n", o.Bucket, o.Keys)
	}
	return s.String()
}

func TestSalvageIntact(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, _ *rand.Rand) {
		in := p.injure()
		out := in.treat(t)
		if len(out.report.Losses)+len(out.report.Orphans) > 0 || out.report.State != "" || out.report.LostKeys != 0 {
			t.Fatal(describe(out))
		}
	})
}

// TestSalvageOne damages one page, of each kind.
func TestSalvageOne(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, rnd *rand.Rand) {
		for _, kind := range []string{"leaf", "leaf", "leaf", "branch", "branch", "branch", "overflow", "overflow", "freelist", "meta"} {
			in := p.injure()
			u := p.pick(rnd, kind)
			if u == nil {
				continue
			}
			in.damage(rnd, u)
			in.treat(t)
		}
	})
}

// TestSalvageBranch damages one branch at a time: nothing is lost.
func TestSalvageBranch(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, rnd *rand.Rand) {
		n := 0
		for i := range p.units {
			u := &p.units[i]
			if n++; u.kind != "branch" || n > 300 {
				continue
			}
			in := p.injure()
			clear(in.content[u.id*p.pageSize:][:p.pageSize])
			in.hurt[u.id] = true
			in.log = append(in.log, fmt.Sprint("branch ", u.id))
			out := in.treat(t)
			if len(out.report.Losses) == 0 || len(out.orphans) > 0 || out.report.LostKeys > 0 {
				t.Fatalf("branch %d of %q: %s", u.id, u.path, describe(out))
			}
		}
	})
}

// TestSalvageMany damages several pages.
func TestSalvageMany(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, rnd *rand.Rand) {
		for range 4 {
			in := p.injure()
			for range 2 + rnd.IntN(6) {
				kinds := []string{"leaf"}
				switch rnd.IntN(6) {
				case 0:
					kinds = []string{"branch"}
				case 1:
					kinds = []string{"overflow"}
				}
				if u := p.pick(rnd, kinds...); u != nil {
					in.damage(rnd, u)
				}
			}
			in.treat(t)
		}
	})
}

// TestSalvageMetas destroys both metas: nothing is lost, and nothing is old.
func TestSalvageMetas(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, rnd *rand.Rand) {
		in := p.injure()
		clear(in.content[:2*p.pageSize])
		out := in.treat(t)
		if len(out.report.Losses)+len(out.report.Orphans) > 0 || out.report.State == "" {
			t.Fatal(describe(out))
		}
		if out.report.FileID != p.fileID || out.report.PageSize != p.pageSize {
			t.Fatalf("file id %x, page size %d", out.report.FileID, out.report.PageSize)
		}
		for range 3 {
			in := p.injure()
			clear(in.content[:2*p.pageSize])
			in.damage(rnd, p.pick(rnd, "leaf"))
			if rnd.IntN(2) == 0 {
				in.damage(rnd, p.pick(rnd, "leaf"))
			}
			if in.hurtsRoot() {
				continue // its names are gone: TestSalvageRoot
			}
			in.treat(t)
		}
	})
}

// hurtsRoot tells whether a node of the root bucket's tree is damaged.
func (in *injury) hurtsRoot() bool {
	return slices.ContainsFunc(in.p.units, func(u patientUnit) bool {
		return in.hurt[u.id] && len(u.path) == 0 && (u.kind == "leaf" || u.kind == "branch")
	})
}

// TestSalvageTruncated cuts files off.
func TestSalvageTruncated(t *testing.T) {
	onPatients(t, func(t *testing.T, p *patient, rnd *rand.Rand) {
		pages := len(p.content) / p.pageSize
		for _, n := range []int{pages - 1, pages * 3 / 4, pages / 2, 5, 2, 1} {
			in := p.injure()
			in.truncate(n)
			if n == 1 {
				in.content = in.content[:p.pageSize/2]
			}
			out, err := salvageBytes(in.content, nil)
			if errors.Is(err, folio.ErrInvalid) && n < 5 {
				continue
			}
			noErr(t, err)
			if in.hurtsRoot() {
				continue
			}
			if err := out.compare(p.want, in.excuses()); err != nil {
				t.Fatalf("%v: %v\n%s", in.log, err, describe(out))
			}
		}
	})
}
