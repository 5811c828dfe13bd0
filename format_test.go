package folio_test

// Golden files of the format: what this version and all later ones must read.
// Each has its content beside it as text. -update-golden writes those that are
// missing, and never one that exists.

import (
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

var updateGolden = flag.Bool("update-golden", false, "write golden files that are missing")

const goldenDir = "testdata/format/v1"

// goldenFiles returns the contents of those whose names match pattern.
func goldenFiles(t testing.TB, pattern string) (contents [][]byte) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(goldenDir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatal("there are no golden files ", err)
	}
	for _, name := range files {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, content)
	}
	return contents
}

// goldens are the golden files, and how each was made.
var goldens = []struct {
	name  string
	make  func(t *testing.T) []byte
	kinds []string // of pages that are in it
}{
	{"empty-4096", func(t *testing.T) []byte { return emptyFile(t, 4096) }, nil},
	{"empty-16384", func(t *testing.T) []byte { return emptyFile(t, 16384) }, nil},
	{"all-4096", func(t *testing.T) []byte {
		_, newest, _ := specimenFile(t, true, 4096)
		return withoutSlack(t, newest)
	}, []string{"branch", "freelist", "leaf", "meta", "overflow"}},
	{"small-8192", func(t *testing.T) []byte {
		disk := foliotest.NewDisk()
		db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{PageSize: 8192})
		noErr(t, err)
		_, err = specimen(db, 1)
		noErr(t, err)
		noErr(t, db.Close())
		return withoutSlack(t, disk.Content("db"))
	}, []string{"leaf", "meta", "overflow"}},
	{"unclean-4096", uncleanFile, []string{"leaf", "meta"}},
}

// withoutSlack cuts off what lies behind the last page.
func withoutSlack(t *testing.T, content []byte) []byte {
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	defer db.Close()
	return content[:db.Stats().Size]
}

func emptyFile(t *testing.T, pageSize int) []byte {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{PageSize: pageSize})
	noErr(t, err)
	noErr(t, db.Close())
	return disk.Content("db")
}

// uncleanFile returns a file whose newest commit has a record and was not
// followed by a close.
func uncleanFile(t *testing.T) []byte {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	defer db.Close()
	for i := range 3 {
		noErr(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(err)
			return b.Put(number(i), []byte("value"))
		}))
	}
	return disk.Content("db")
}

// dump writes everything that tx sees as text.
func dump(w io.Writer, tx *folio.Tx) error {
	i := tx.DB().Info()
	fmt.Fprintf(w, "version %d, page size %d, file id %016x, txid %d\n", i.Version, i.PageSize, i.FileID, i.TxID)
	dumpBucket(w, tx.Cursor().Bucket(), "")
	return errors.Join(tx.Err(), foliotest.Check(tx))
}

func dumpBucket(w io.Writer, b *folio.Bucket, indent string) {
	for k, v := range b.All() {
		if v == nil {
			in := b.Bucket(k)
			fmt.Fprintf(w, "%sbucket %s, %d keys, sequence %d\n", indent, text(k), in.Len(), in.Sequence())
			dumpBucket(w, in, indent+"\t")
			continue
		}
		fmt.Fprintf(w, "%s%s = %s\n", indent, text(k), text(v))
	}
}

// text returns b quoted, or its length and checksum if it is long.
func text(b []byte) string {
	if len(b) <= 64 {
		return fmt.Sprintf("%q", b)
	}
	return fmt.Sprintf("%d bytes, sha256 %x", len(b), sha256.Sum256(b))
}

func TestGolden(t *testing.T) {
	for _, g := range goldens {
		t.Run(g.name, func(t *testing.T) {
			path := filepath.Join(goldenDir, g.name+".folio")
			if *updateGolden {
				writeGolden(t, path, g.make(t))
			}
			content, err := os.ReadFile(path)
			noErr(t, err)
			want, err := os.ReadFile(strings.TrimSuffix(path, ".folio") + ".txt")
			noErr(t, err)
			got, kinds := readGolden(t, content)
			if got != string(want) {
				t.Fatalf("the file holds\n%s\nexpected\n%s", got, want)
			}
			if g.kinds != nil && !slices.Equal(kinds, g.kinds) {
				t.Fatalf("pages of the kinds %v, expected %v", kinds, g.kinds)
			}
		})
	}
}

// readGolden returns the dump of a file, and the kinds of pages that are in use
// in it. The file is changed as well, for what can be read must be writable.
func readGolden(t *testing.T, content []byte) (string, []string) {
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, nil)
	noErr(t, err)
	var s strings.Builder
	kinds := map[string]bool{}
	noErr(t, db.View(func(tx *folio.Tx) error {
		for id := 0; ; id++ {
			p, err := tx.Page(id)
			if p == nil || err != nil {
				return errors.Join(err, dump(&s, tx))
			}
			if p.Err == nil {
				kinds[p.Type] = true
			}
			id += p.OverflowCount
		}
	}))
	noErr(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("new"))
		must(err)
		return b.Put([]byte("k"), []byte("v"))
	}))
	noErr(t, db.View(foliotest.Check))
	noErr(t, db.Close())
	var names []string
	for k := range kinds {
		names = append(names, k)
	}
	slices.Sort(names)
	return s.String(), names
}

// writeGolden writes a golden file, unless it is there.
func writeGolden(t *testing.T, path string, content []byte) {
	t.Helper()
	if _, err := os.Stat(path); err == nil {
		return
	}
	noErr(t, os.MkdirAll(filepath.Dir(path), 0o755))
	noErr(t, os.WriteFile(path, content, 0o644))
	s, _ := readGolden(t, content)
	noErr(t, os.WriteFile(strings.TrimSuffix(path, ".folio")+".txt", []byte(s), 0o644))
}
