package folio_test

// The table of damage: many faults of each kind, done to files of all kinds, and what
// becomes of each. go test -run TestDamageTable -v prints it; -damage.n says how many
// faults of each kind there are. A failure names what reproduces it.

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

var damageN = flag.Int("damage.n", 0, "faults of each kind in the damage tests; 0 stands for some hundreds")

// damageFaults returns how many faults of each kind to try.
func damageFaults(normal, short int) int {
	switch {
	case *damageN > 0:
		return *damageN
	case invariants.Enabled || testing.Short():
		return short
	}
	return normal
}

// outcome is what becomes of a fault, the worst last.
type outcome int

const (
	atOpen   outcome = iota // Open refuses the file
	atRead                  // every read that needs the bytes gives an error; Check, too
	atCheck                 // Check finds it; reads do not need the bytes
	fellBack                // the older meta took over, and Info().Recovered says so
	noEffect                // nobody can need the bytes
	earlier                 // the file is what it was before the last commit's meta was written
	silent                  // something else than what was stored, and nothing says so
	panicked
	hung
	outside // a read outside of the file
	numOutcomes
)

var outcomeNames = [numOutcomes]string{
	"open", "read", "Check only", "fell back", "no effect", "earlier commit", "silent", "panic", "hang", "read outside",
}

// damageTry is one fault.
type damageTry struct {
	*damage
	rnd    *rand.Rand
	verify folio.VerifyMode
	path   string // of a file of the operating system; "": in the heap
	errs   []error
	older  bool // it is the older state that was read, in which other pages are in use
}

// run damages the file, uses it, and says what became of it. The error tells more of
// an outcome that must not be.
func (d *damageTry) run() (o outcome, err error) {
	defer func() {
		if p := recover(); p != nil {
			o, err = panicked, fmt.Errorf("%v\n%s", p, debug.Stack())
		}
	}()
	o, err = d.use()
	for _, e := range d.errs {
		if errors.Is(e, folio.ErrFault) {
			return outside, e // every file is as long as it says, or is refused
		}
		if !errors.Is(e, folio.ErrCorrupt) && !errors.Is(e, folio.ErrInvalid) {
			err = errors.Join(err, fmt.Errorf("an error that does not wrap ErrCorrupt: %w", e))
		}
	}
	if err == nil && o <= atCheck && !d.named() {
		err = fmt.Errorf("no error names the page: %w", errors.Join(d.errs...))
	}
	if err != nil {
		o = silent
	}
	return o, err
}

// opener returns what opens the damaged file, as often as it is called.
func (d *damageTry) opener() func() (*folio.DB, error) {
	options := folio.Options{Verify: d.verify}
	fsys, path := vfs.FS(nil), "db"
	if d.path == "" {
		disk := foliotest.NewDisk()
		disk.Put(path, d.content)
		fsys = disk
	} else {
		fsys, path = vfs.OS(), d.path
		must(os.WriteFile(path, d.content, 0o600))
	}
	return func() (*folio.DB, error) { return folio.OpenFS(fsys, path, 0o600, &options) }
}

func (d *damageTry) use() (outcome, error) {
	open := d.opener()
	db, err := open()
	if err != nil {
		d.errs = append(d.errs, err)
		return atOpen, nil
	}
	info := db.Info()
	d.older = info.Recovered != ""
	s := &survey{db: db, want: d.f.states[info.TxID], rnd: d.rnd, managed: d.rnd.IntN(2) == 0, verify: d.verify}
	if s.want == nil {
		return silent, errors.Join(fmt.Errorf("transaction %d is none of those committed", info.TxID), db.Close())
	}
	o, err := d.look(s, info)
	if err == nil && d.rnd.IntN(2) == 0 {
		err = s.writes(open)
	}
	if err == nil && len(s.wrong) > 0 {
		err = errors.New("after changes: " + strings.Join(s.wrong[:min(3, len(s.wrong))], "; "))
	}
	return o, errors.Join(err, s.db.Close())
}

// look reads everything and checks the file, in this order or the other.
func (d *damageTry) look(s *survey, info *folio.Info) (outcome, error) {
	checkFirst := d.rnd.IntN(2) == 0
	var found []error
	var err error
	if checkFirst {
		found, err = checkErrors(s.db)
	}
	s.all()
	if d.rnd.IntN(4) == 0 {
		var stats *folio.BucketStats
		if known, ok := d.f.stats[info.TxID]; ok {
			stats = &known
		}
		s.outside(stats)
	}
	if !checkFirst {
		found, err = checkErrors(s.db)
	}
	d.errs = append(slices.Clone(s.errs), found...)
	switch {
	case err != nil:
		return silent, err
	case len(s.wrong) > 0:
		return silent, errors.New(strings.Join(s.wrong[:min(3, len(s.wrong))], "; "))
	case len(found) == 0 && len(s.errs) > 0:
		return silent, fmt.Errorf("Check is clean: %w", s.errs[0])
	case len(found) == 0 && s.unverified > 0:
		return silent, errors.New("Check is clean, but a long value differs")
	case d.rnd.IntN(8) == 0:
		if err := d.copied(s, found); err != nil {
			return silent, err
		}
	}
	return d.verdict(s, info, found)
}

// verdict says what became of a fault that everything has been compared after.
func (d *damageTry) verdict(s *survey, info *folio.Info, found []error) (outcome, error) {
	newest := d.f.states[d.f.txid]
	switch {
	case len(s.errs) > 0:
		return atRead, nil
	case len(found) > 0:
		return atCheck, nil
	case info.Recovered != "":
		return fellBack, nil
	case s.want == newest && d.harmless():
		return noEffect, nil
	case s.want == newest && d.kind == kindMeta && info.MetaSlot != d.f.slot:
		return noEffect, nil // the other slot has the same state, and holds as well
	case s.want != newest && d.kind == kindMeta && d.pages[0] == d.f.slot && !d.f.clean:
		return earlier, nil
	}
	return silent, errors.New("nothing tells of it")
}

// copied makes a copy of the database: it holds the same damage, and Check finds it
// there, too.
func (d *damageTry) copied(s *survey, found []error) error {
	content := s.copyOf()
	if content == nil {
		return nil
	}
	disk := foliotest.NewDisk()
	disk.Put("copy", content)
	db, err := folio.OpenFS(disk, "copy", 0o600, nil)
	if err != nil {
		return fmt.Errorf("the copy: %w", err)
	}
	again, err := checkErrors(db)
	if err == nil && len(again) != len(found) {
		err = fmt.Errorf("Check finds %d errors in a copy, %d in the file", len(again), len(found))
	}
	return errors.Join(err, db.Close())
}

// named tells whether an error names a page that differs, or the run that it is in.
// What is cut off is where the file ends, and a meta page is named by its slot.
func (d *damageTry) named() bool {
	if len(d.pages) == 0 || d.older {
		return true
	}
	for _, e := range d.errs {
		for _, id := range d.pages {
			if slices.Contains(pagesNamed(e), page.ID(d.f.heads[id])) {
				return true
			}
		}
	}
	return d.kind == kindMeta && len(d.errs) > 0
}

// pagesNamed returns the pages that err, and what it wraps, name.
func pagesNamed(err error) []page.ID {
	var ids []page.ID
	var c *page.CorruptError
	if errors.As(err, &c) {
		ids = append(ids, c.ID)
	}
	if many, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range many.Unwrap() {
			ids = append(ids, pagesNamed(e)...)
		}
	}
	return ids
}

// damageTally counts outcomes. It may be used concurrently.
type damageTally struct {
	mu     sync.Mutex
	rows   []string
	counts map[string]*[numOutcomes]int
	fields map[string]bool // hit, with the kind of their page
}

func (t *damageTally) count(row string, o outcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts == nil {
		t.counts, t.fields = map[string]*[numOutcomes]int{}, map[string]bool{}
	}
	if t.counts[row] == nil {
		t.rows = append(t.rows, row)
		t.counts[row] = new([numOutcomes]int)
	}
	t.counts[row][o]++
}

// table returns the counts of rows as a table of Markdown.
func (t *damageTally) table(head string, rows []string) string {
	var b strings.Builder
	countsHead(&b, head, "faults", outcomeNames[:])
	for _, row := range rows {
		if c := t.counts[row]; c != nil {
			countsRow(&b, row, c[:])
		}
	}
	return b.String()
}

// countsHead begins a table of Markdown that has columns of counts, behind one of their
// sums.
func countsHead(b *strings.Builder, head, sum string, columns []string) {
	fmt.Fprintf(b, "| %s | %s | %s |\n|---|%s\n", head, sum, strings.Join(columns, " | "), strings.Repeat("---:|", 1+len(columns)))
}

// countsRow adds a row to it.
func countsRow(b *strings.Builder, row string, counts []int) {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	fmt.Fprintf(b, "| %s | %d |", row, sum)
	for _, n := range counts {
		fmt.Fprintf(b, " %d |", n)
	}
	b.WriteString("\n")
}

func TestDamageTable(t *testing.T) {
	files := damageFiles(t)
	n := damageFaults(150, 8)
	tally := &damageTally{}
	var rows []string
	for _, k := range damageKinds {
		rows = append(rows, k.name)
	}
	t.Run("faults", func(t *testing.T) {
		for part, parts := 0, 2; part < parts; part++ {
			t.Run(fmt.Sprint("part ", part), func(t *testing.T) {
				t.Parallel()
				dir := quickDir(t)
				for i := part; i < n; i += parts {
					for k := range damageKinds {
						tryDamage(t, tally, files, k, uint64(i), dir)
					}
				}
			})
		}
	})
	t.Logf("what becomes of damage\n%s\n%s\n%s", tally.table("fault", rows),
		tally.table("page", tally.pageRows()), tally.table("file", tally.fileRows(files)))
	if *seedFlag == 0 && n >= 2000 {
		tally.coversFields(t, files)
	}
}

// quickDir returns a directory in memory if there is one: thousands of files are
// written, and flushed, and nothing here is about the disk.
func quickDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "folio")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

// tryDamage does the fault of a kind with a seed.
func tryDamage(t *testing.T, tally *damageTally, files []*damageFile, k int, seed uint64, dir string) {
	if *seedFlag != 0 && *seedFlag != seed+1 {
		return
	}
	rnd := rand.New(rand.NewPCG(seed, uint64(k)))
	d := &damageTry{damage: newDamage(files, damageKinds[k], rnd), rnd: rnd, verify: folio.VerifyMode(rnd.IntN(2))}
	if rnd.IntN(32) == 0 {
		d.verify = folio.VerifyAlways // which takes long
	}
	if rnd.IntN(8) == 0 {
		d.path = filepath.Join(dir, "db")
	}
	what := fmt.Sprintf("-seed %d: %s, file %q, %s", seed+1, damageKinds[k].name, d.f.name, d.what)
	stuck := time.AfterFunc(5*time.Minute, func() { panic(what + " takes for ever") })
	defer stuck.Stop()
	o, err := d.run()
	tally.count(damageKinds[k].name, o)
	tally.count(pageRow(d.kind), o)
	tally.count(d.f.name, o)
	if d.field != "" {
		tally.mu.Lock()
		tally.fields[fmt.Sprint(d.kind, ": ", d.field)] = true
		tally.mu.Unlock()
	}
	if err != nil || o > earlier {
		t.Errorf("%s: %s: %v", what, outcomeNames[o], err)
	}
}

func pageRow(k pageKind) string {
	if k == numPageKinds {
		return "cut off"
	}
	return k.String()
}

func (t *damageTally) pageRows() []string {
	var rows []string
	for k := range numPageKinds + 1 {
		rows = append(rows, pageRow(k))
	}
	return rows
}

func (t *damageTally) fileRows(files []*damageFile) []string {
	var rows []string
	for _, f := range files {
		rows = append(rows, f.name)
	}
	return rows
}

// coversFields makes sure that every field of every kind of page was hit.
func (t *damageTally) coversFields(tt *testing.T, files []*damageFile) {
	missing := map[string]bool{}
	for _, f := range files {
		for id, m := range f.fields {
			for _, name := range m.names {
				if field := fmt.Sprint(f.kinds[id], ": ", name); !t.fields[field] {
					missing[field] = true
				}
			}
		}
	}
	tt.Logf("%d fields were hit", len(t.fields))
	require.Empty(tt, missing, "fields that no fault has hit")
}
