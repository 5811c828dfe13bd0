package folio_test

// The files that are damaged: every kind of content, of page and of meta, and what
// each held at each of its commits.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"testing/cryptotest"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// damageFile is a file, what it holds, and what it held before.
type damageFile struct {
	name     string
	pageSize int
	content  []byte
	versions [][]byte                  // earlier images of it
	foreign  []byte                    // another file with the same history
	states   map[int]*foliotest.Bucket // by transaction
	txid     int                       // of the newest state
	slot     int                       // where its meta is
	clean    bool                      // it was closed
	stats    map[int]folio.BucketStats // of the root bucket, by transaction

	pages  int        // below the high-water mark
	kinds  []pageKind // of all pages
	heads  []int      // first page of the run that a page belongs to
	byKind [numPageKinds][]int
	fields []fieldMap // of all pages
}

// damageBuild says how a damageFile is made.
type damageBuild struct {
	name    string
	options folio.Options
	commits int
	keep    int // an image is kept of each of the last commits
	close   bool
	tx      func(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket)
	sync    int // Sync is called after this commit, if it is not 0
}

var damageBuilds = []damageBuild{
	{name: "random", commits: 6, keep: 4, close: true, tx: damageRandom},
	{name: "sorted", commits: 6, keep: 4, close: true, tx: damageSorted},
	{name: "buckets", commits: 8, keep: 5, close: true, tx: damageBuckets},
	{name: "long", commits: 4, keep: 3, close: true, tx: damageLong},
	{name: "chain", commits: 700, keep: 6, close: true, tx: damageScatter},
	{name: "record", commits: 12, keep: 5, tx: damageBuckets},
	{name: "relaxed", commits: 10, keep: 6, sync: 4, tx: damageBuckets, options: folio.Options{Durability: folio.DurabilityNone}},
	{name: "weak", commits: 8, keep: 5, sync: 4, tx: damageWeak, options: folio.Options{Durability: folio.DurabilityNone}},
	{name: "two flushes", commits: 6, keep: 4, tx: damageSorted, options: folio.Options{TwoFlushes: true}},
	{name: "mixed", commits: 6, keep: 4, close: true, tx: damageMixed, options: folio.Options{PageSize: 16384}},
	{name: "mixed", commits: 6, keep: 4, tx: damageMixed, options: folio.Options{PageSize: 65536}},
}

// damageRandom loads random keys, more than one branch can refer to, and changes some.
func damageRandom(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "random")
	n := 60
	if h.next == 0 {
		n = 700
	}
	for range n {
		h.crashPut(b, bm, fmt.Sprintf("%08x", h.rnd.Uint32()%1e6), 60+h.rnd.IntN(180))
	}
	h.crashPut(b, bm, "0 empty", 0)
}

// damageSorted loads keys in order, with a common prefix, and deletes ranges.
func damageSorted(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "sorted")
	for i := range 200 {
		h.crashPut(b, bm, fmt.Sprintf("a common prefix/%05d", h.next*200+i), 10+i%70)
	}
	if h.next > 1 {
		lo := fmt.Sprintf("a common prefix/%05d", h.next*120)
		hi := fmt.Sprintf("a common prefix/%05d", h.next*120+90)
		_, err := b.DeleteRange([]byte(lo), []byte(hi))
		must(err)
		bm.DeleteRange([]byte(lo), []byte(hi))
	}
}

// damageBuckets makes buckets in buckets, with pages of their own and without.
func damageBuckets(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "buckets")
	for i := range 12 {
		name := fmt.Sprintf("bucket %d", (h.next*5+i)%25)
		c, err := b.CreateBucketIfNotExists([]byte(name))
		must(err)
		if bm.Sub(name) == nil {
			bm.PutSub(name, foliotest.NewBucket())
		}
		cm := bm.Sub(name)
		for j := range 1 + i*i/3 {
			h.crashPut(c, cm, fmt.Sprintf("key %03d", j), 12+h.rnd.IntN(60))
		}
		_, err = c.NextSequence()
		must(err)
		cm.Sequence++
		if i%4 == 0 {
			in, err := c.CreateBucketIfNotExists([]byte("in it"))
			must(err)
			if cm.Sub("in it") == nil {
				cm.PutSub("in it", foliotest.NewBucket())
			}
			h.crashPut(in, cm.Sub("in it"), fmt.Sprintf("deep %d", h.next%3), 20)
		}
	}
	crashSmall(h, tx, m)
}

// damageLong puts keys and values that go to runs; the keys have so much in common
// that separators go to runs, too.
func damageLong(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "long")
	for i := range 12 {
		key := strings.Repeat("long key ", 70) + fmt.Sprintf("%03d", (h.next*5+i*3)%40)
		h.crashPut(b, bm, key, 5+h.rnd.IntN(300))
	}
	h.crashPut(b, bm, fmt.Sprintf("value %d", h.next%3), 1500+h.rnd.IntN(9000))
	if h.next == 1 {
		h.crashPut(b, bm, "value of two chunks", 70_000)
	}
	if h.next == 2 {
		h.crashPut(b, bm, "value that is not verified at once", unverifiedSize)
	}
	damageSorted(h, tx, m)
}

// damageWeak writes more than a commit record may list.
func damageWeak(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	damageLong(h, tx, m)
	if h.next == 5 {
		b, bm := crashBucket(tx, m, "long")
		h.crashPut(b, bm, "value of too many pages for a record", 2<<20)
	}
}

// unverifiedSize is the size of a value whose data a plain read does not verify
// (folio.VerifyFirst).
const unverifiedSize = 257 << 10

// damageScatter changes keys here and there, so that the free space falls to pieces.
func damageScatter(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	b, bm := crashBucket(tx, m, "scattered")
	if h.next == 0 {
		for i := range 200 {
			h.crashPut(b, bm, fmt.Sprintf("key %03d", i), 700)
		}
	}
	for range 25 {
		h.crashPut(b, bm, fmt.Sprintf("key %03d", h.rnd.IntN(200)), 600+h.rnd.IntN(200))
	}
}

// damageMixed has a little of everything.
func damageMixed(h *crashHistory, tx *folio.Tx, m *foliotest.Bucket) {
	damageSorted(h, tx, m)
	damageBuckets(h, tx, m)
	b, bm := crashBucket(tx, m, "long")
	h.crashPut(b, bm, strings.Repeat("k", 9000)+fmt.Sprint(h.next%4), 100)
	h.crashPut(b, bm, fmt.Sprintf("value %d", h.next%3), 20_000+h.rnd.IntN(9000))
}

// madeDamageFiles is what damageFiles returns; nobody changes them.
var madeDamageFiles []*damageFile

// damageFiles makes all files, once. They are the same in every run.
func damageFiles(t *testing.T) []*damageFile {
	t.Helper()
	if madeDamageFiles != nil {
		return madeDamageFiles
	}
	var files []*damageFile
	t.Run("files", func(t *testing.T) {
		for i := range damageBuilds {
			build := &damageBuilds[i]
			cryptotest.SetGlobalRandom(t, uint64(i)) // file ids
			f := build.file(t)
			f.foreign = build.file(t).content
			f.examine(t)
			files = append(files, f)
		}
	})
	require.Len(t, files, len(damageBuilds), "the files cannot be made")
	madeDamageFiles = files
	return files
}

func (d *damageBuild) file(t testing.TB) *damageFile {
	disk := foliotest.NewDisk()
	db, err := folio.OpenFS(disk, "db", 0o600, &d.options)
	require.NoError(t, err)
	f := &damageFile{name: d.name, clean: d.close, states: map[int]*foliotest.Bucket{}}
	f.pageSize = db.Info().PageSize
	if f.pageSize != page.DefaultSize {
		f.name = fmt.Sprintf("%s, %d KiB pages", d.name, f.pageSize>>10)
	}
	h := &crashHistory{rnd: rand.New(rand.NewPCG(9, 9))}
	m := foliotest.NewBucket()
	f.states[db.Info().TxID] = m
	for h.next = range d.commits {
		m = m.Clone()
		require.NoError(t, db.Update(func(tx *folio.Tx) error { d.tx(h, tx, m); return nil }))
		if h.next == d.sync && d.sync > 0 {
			require.NoError(t, db.Sync())
		}
		f.states[db.Info().TxID] = m
		if h.next >= d.commits-1-d.keep && h.next < d.commits-1 {
			f.versions = append(f.versions, disk.Content("db"))
		}
	}
	f.content = disk.Content("db")
	require.NoError(t, db.Close())
	if d.close {
		f.versions = append(f.versions, f.content)
		f.content = disk.Content("db")
	}
	f.states[-1] = m
	return f
}

// examine finds out what each page is for, and makes sure that the file is sound.
func (f *damageFile) examine(t testing.TB) {
	disk := foliotest.NewDisk()
	disk.Put("db", f.content)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{ReadOnly: true})
	require.NoError(t, err)
	defer db.Close()
	info := db.Info()
	require.Empty(t, info.Recovered)
	f.txid, f.slot = info.TxID, info.MetaSlot
	f.states[f.txid] = f.states[-1]
	f.pages = int(db.Stats().Size) / f.pageSize
	n := len(f.content) / f.pageSize
	f.kinds, f.heads, f.fields = make([]pageKind, n), make([]int, n), make([]fieldMap, n)
	for id := range n {
		f.kinds[id], f.heads[id] = kindSlack, id
	}
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		require.NoError(t, foliotest.Diff(tx, f.states[f.txid]))
		require.NoError(t, foliotest.Check(tx))
		f.stats = map[int]folio.BucketStats{f.txid: tx.Cursor().Bucket().Stats()}
		return tx.PageMap(func(u folio.PageUse) error {
			for id := u.ID; id < u.ID+u.Pages; id++ {
				f.heads[id] = u.ID
				f.kinds[id] = kindOf(u.Type, page.Page(f.page(f.content, id)), id == u.ID)
			}
			return u.Err
		})
	}))
	for id, kind := range f.kinds {
		if kind == kindFree {
			f.heads[id] = id
		}
		f.byKind[kind] = append(f.byKind[kind], id)
		f.fields[id] = fieldsOf(kind, f.page(f.content, id), f.page(f.content, f.heads[id]))
	}
	if f.name == "chain" {
		f.chainHasCheckpoint(t)
	}
	m, err := meta.Decode(f.page(f.content, f.slot), f.slot)
	require.NoError(t, err)
	require.Equal(t, f.name == "weak", m.Weak, f.name)
	t.Logf("%s: %d pages, %d of each kind; %d versions, state %d in slot %d", f.name, f.pages, f.perKind(), len(f.versions), f.txid, f.slot)
}

// chainHasCheckpoint makes sure that the free space is in pages of both kinds.
func (f *damageFile) chainHasCheckpoint(t testing.TB) {
	levels := map[int]int{}
	for _, id := range f.byKind[kindFreelist] {
		levels[page.Page(f.page(f.content, id)).Level()]++
	}
	require.Len(t, levels, 2, "%v freelist pages by level", levels)
}

// perKind returns how many pages of each kind there are.
func (f *damageFile) perKind() (n [numPageKinds]int) {
	for k, ids := range f.byKind {
		n[k] = len(ids)
	}
	return n
}

// page returns the bytes of page id in an image of the file; nil if it is shorter.
func (f *damageFile) page(image []byte, id int) []byte {
	if len(image) < (id+1)*f.pageSize {
		return nil
	}
	return image[id*f.pageSize:][:f.pageSize]
}

// older returns the images in which page id is another than it is now, as far back as
// they go.
func (f *damageFile) older(id int) [][]byte {
	var pages [][]byte
	for _, v := range f.versions {
		if p := f.page(v, id); p != nil && !bytes.Equal(p, f.page(f.content, id)) {
			pages = append(pages, p)
		}
	}
	return pages
}
