package folio

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
)

// TestMoveLooksFirst: a page can be moved by who has never read it. What is wrong with
// it must not get a new checksum, and the trust of a page that this process has written.
func TestMoveLooksFirst(t *testing.T) {
	const pageSize = 4096
	for name, tc := range map[string]struct {
		damage func(p page.Page, id page.ID, fileID uint64)
		ok     bool
		after  bool // the process has verified it: then it must be the same bytes, at least
	}{
		"whole":    {func(page.Page, page.ID, uint64) {}, true, false},
		"checksum": {func(p page.Page, _ page.ID, _ uint64) { p[pageSize-1] ^= 1 }, false, false},
		"birth": {func(p page.Page, id page.ID, fileID uint64) {
			p.SetTxID(p.TxID() - 1)
			p.Seal(id, fileID)
		}, false, false},
		"verified, whole":    {func(page.Page, page.ID, uint64) {}, true, true},
		"verified, checksum": {func(p page.Page, _ page.ID, _ uint64) { p[pageSize-1] ^= 1 }, false, true},
		"verified, birth": {func(p page.Page, id page.ID, fileID uint64) {
			p.SetTxID(p.TxID() - 1)
			p.Seal(id, fileID)
		}, false, true},
		"structure": {func(p page.Page, id page.ID, fileID uint64) {
			binary.LittleEndian.PutUint16(p[page.OffCount:], 60000)
			p.Seal(id, fileID)
		}, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			fs := vfs.NewMem()
			db, err := openFS(fs, "db", 0o600, Options{})
			require.NoError(t, err)
			require.NoError(t, db.Update(func(tx *Tx) error {
				b, err := tx.CreateBucket([]byte("b"))
				for i := range uint32(100) {
					require.NoError(t, err)
					err = b.Put(binary.BigEndian.AppendUint32(nil, i), make([]byte, 100))
				}
				return err
			}))
			require.NoError(t, db.Close())
			db, err = openFS(fs, "db", 0o600, Options{})
			require.NoError(t, err)

			if tc.after {
				require.NoError(t, db.View(func(tx *Tx) error {
					for range tx.Bucket([]byte("b")).All() {
					}
					return tx.Err()
				}))
			}
			f, err := fs.OpenFile("db", os.O_RDWR, 0)
			require.NoError(t, err)
			p := make(page.Page, pageSize)
			id := page.FirstID
			for ; p.Kind() != page.KindLeaf; id++ {
				_, err = f.ReadAt(p, int64(id+1)*pageSize)
				require.NoError(t, err)
			}
			birth := p.TxID()
			tc.damage(p, id, db.current.Load().meta.FileID)
			_, err = f.WriteAt(p, int64(id)*pageSize)
			require.NoError(t, err)

			tx, err := db.Begin(true)
			require.NoError(t, err)
			ok := db.newCommit(tx.group).readIntact(make(page.Page, pageSize), id, birth)
			require.Equal(t, tc.ok, ok)
			require.NoError(t, tx.Rollback())
			require.NoError(t, f.Close())
			require.NoError(t, db.Close())
		})
	}
}

// TestHurry: small commits leave holes all over the file, and the larger ones after them
// need not write for long until there are long extents again. If they moved as many pages
// as they change at most, it would take them for ever here.
func TestHurry(t *testing.T) {
	if testing.Short() {
		t.Skip("it only counts")
	}
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	const keys = 150_000
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(n int) {
		require.NoError(t, db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for range n {
				require.NoError(t, err)
				err = b.Put(binary.BigEndian.AppendUint32(nil, rnd.Uint32N(keys)*2654435761), make([]byte, 100))
			}
			return err
		}))
	}
	for range 30 {
		put(10_000)
	}
	for range 30_000 {
		put(1)
	}
	inLong := func() bool {
		want := uint64(db.head.meta.HighWater) / reservePart
		return db.space.list.InLong(longExtent, want) > want*3/4
	}
	require.False(t, inLong())
	groups := 0
	for ; !inLong() && groups < 1000; groups++ {
		put(16)
	}
	require.Less(t, groups, 1000) // 219 when this was written
}

// TestManyBuckets: the branches of many buckets have few children each, and are rarely
// changed. So a window hardly ever becomes long, and commits must not go on moving pages
// for that.
func TestManyBuckets(t *testing.T) {
	if testing.Short() {
		t.Skip("it only counts")
	}
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	const buckets, keys = 2000, 100
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(n int) {
		require.NoError(t, db.Update(func(tx *Tx) error {
			for range n {
				b, err := tx.CreateBucketIfNotExists(binary.BigEndian.AppendUint32(nil, rnd.Uint32N(buckets)*2654435761))
				require.NoError(t, err)
				require.NoError(t, b.Put(binary.BigEndian.AppendUint32(nil, rnd.Uint32N(keys)*2654435761), make([]byte, 100)))
			}
			return nil
		}))
	}
	for range 25 {
		put(10_000)
	}
	for range 1000 {
		put(16)
	}
	const commits = 500
	before := db.Stats()
	for range commits {
		put(16)
	}
	after := db.Stats()
	d := after.Sub(&before)
	require.Less(t, d.TxStats.Pages, int64(90*commits)) // 60 a commit when this was written; 242 with young pages
	require.Less(t, d.Writes, uint64(7*commits))        // 3.4; 17.5
}

// TestYoungStay: what has been written lately is not moved. Where many keys are changed again
// soon, and pages come and go by runs, that is much of what could be.
func TestYoungStay(t *testing.T) {
	if testing.Short() {
		t.Skip("it only counts")
	}
	db, err := openFS(vfs.NewMem(), "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	const keys = 20_000
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(n, size int) {
		require.NoError(t, db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for range n {
				require.NoError(t, err)
				err = b.Put(binary.BigEndian.AppendUint32(nil, rnd.Uint32N(keys)*2654435761), make([]byte, rnd.IntN(size)))
			}
			return err
		}))
	}
	for range 10 {
		put(3000, 4000)
	}
	for range 1500 {
		put(40, 8000)
	}
	const commits = 500
	before := db.Stats()
	for range commits {
		put(40, 8000)
	}
	after := db.Stats()
	d := after.Sub(&before)
	require.Less(t, d.TxStats.Pages, int64(90*commits)) // 62 a commit when this was written; 241 with young pages
}

// TestFullFile: in a file that has grown to MaxSize and was filled in the order of its keys,
// so that the zone is all leaves, commits need what little is free for themselves. Neither
// moves nor their freelist pages must make them fail.
func TestFullFile(t *testing.T) {
	const maxPages, perLeaf = 6000, 7 // of values of 500 bytes
	for _, tc := range []struct{ holes, n int }{{100, 36}, {150, 60}, {200, 80}} {
		t.Run(fmt.Sprintf("%d free, %d changed", tc.holes, tc.n), func(t *testing.T) {
			db, err := openFS(vfs.NewMem(), "db", 0o600, Options{PageSize: 4096, MaxSize: maxPages * 4096})
			require.NoError(t, err)
			defer db.Close()
			key := func(i int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(i)) }
			update := func(from, to int, fn func(b *Bucket, key []byte) error) error {
				return db.Update(func(tx *Tx) error {
					b, err := tx.CreateBucketIfNotExists([]byte("b"))
					for i := from; i < to && err == nil; i++ {
						err = fn(b, key(i))
					}
					return err
				})
			}
			put := func(b *Bucket, key []byte) error { return b.Put(key, make([]byte, 500)) }
			free := func() int { return int(db.space.list.Free()) }

			require.NoError(t, update(0, 5*perLeaf, put))
			keys := 5 * perLeaf
			for ; maxPages-int(db.head.meta.HighWater)+free()+int(db.space.list.Pending()) > 15; keys += 5 * perLeaf {
				require.NoError(t, update(keys, keys+5*perLeaf, put))
			}
			for leaf := 3000; free() < tc.holes; leaf += 10 {
				require.NoError(t, update(leaf*perLeaf, (leaf+1)*perLeaf, (*Bucket).Delete))
			}
			for round := range 300 {
				require.NoError(t, db.Update(func(tx *Tx) error {
					b := tx.Bucket([]byte("b"))
					for i := range 4 { // below the branches of what is in the zone
						require.NoError(t, put(b, key(i*100*perLeaf)))
					}
					for i := range tc.n - 12 {
						require.NoError(t, put(b, key((4500+round%10+10*i)*perLeaf%keys)))
					}
					return nil
				}), "round %d, %d free", round, free())
			}
		})
	}
}

// limitFS is a file system on a disk of so many bytes.
type limitFS struct {
	vfs.FS
	limit int64
}

type limitFile struct {
	vfs.File
	fs *limitFS
}

func (l *limitFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := l.FS.OpenFile(name, flag, perm)
	return limitFile{f, l}, err
}

func (f limitFile) room(end int64) error {
	if end > f.fs.limit {
		return syscall.ENOSPC
	}
	return nil
}

func (f limitFile) WriteAt(b []byte, off int64) (int, error) {
	if err := f.room(off + int64(len(b))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(b, off)
}

func (f limitFile) WriteVecAt(bufs [][]byte, off int64) error {
	end := off
	for _, b := range bufs {
		end += int64(len(b))
	}
	if err := f.room(end); err != nil {
		return err
	}
	return f.File.WriteVecAt(bufs, off)
}

func (f limitFile) Truncate(size int64) error {
	if err := f.room(size); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// TestFullDisk: where the file cannot grow, commits take what is free in it, in pieces,
// though they would rather grow.
func TestFullDisk(t *testing.T) {
	fsys := &limitFS{vfs.NewMem(), 1 << 40}
	db, err := openFS(fsys, "db", 0o600, Options{})
	require.NoError(t, err)
	defer db.Close()
	rnd := rand.New(rand.NewPCG(1, 2))
	put := func(n int) error {
		return db.Update(func(tx *Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			for range n {
				require.NoError(t, err)
				err = b.Put(binary.BigEndian.AppendUint32(nil, rnd.Uint32N(50_000)*2654435761), make([]byte, 300))
			}
			return err
		})
	}
	for range 20 {
		require.NoError(t, put(5000))
	}
	for range 20 {
		require.NoError(t, put(150))
	}
	fsys.limit = db.pager.FileSize()
	pages := uint64(db.head.meta.HighWater)
	require.Greater(t, db.space.list.Free(), pages/10)
	for range 300 {
		require.NoError(t, put(150))
	}
	require.ErrorIs(t, put(40_000), ErrNoSpace)
	require.NoError(t, put(150))
}
