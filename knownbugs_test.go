package folio_test

// Bugs that others had, as far as they are about pages, keys and values. Each test
// names where it was seen. docs/testing.md lists those that other tests guard against.

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// openDisk opens the database of a disk.
func openDisk(t *testing.T, disk *foliotest.Disk, o *folio.Options) *folio.DB {
	t.Helper()
	db, err := folio.OpenFS(disk, "db", 0o600, o)
	require.NoError(t, err)
	return db
}

// requireSound compares a database with its model, and checks it.
func requireSound(t *testing.T, db *folio.DB, m *foliotest.Bucket, msg ...any) {
	t.Helper()
	require.NoError(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, m) }), msg...)
	require.NoError(t, db.View(foliotest.Check), msg...)
}

// abandoned are the ways in which a transaction can end without a commit.
var abandoned = []func(db *folio.DB, fn func(tx *folio.Tx)){
	func(db *folio.DB, fn func(tx *folio.Tx)) {
		_ = db.Update(func(tx *folio.Tx) error { fn(tx); return errModel })
	},
	func(db *folio.DB, fn func(tx *folio.Tx)) {
		defer func() { _ = recover() }()
		_ = db.Update(func(tx *folio.Tx) error { fn(tx); panic("no") })
	},
	func(db *folio.DB, fn func(tx *folio.Tx)) {
		done := make(chan bool)
		go func() {
			defer close(done)
			_ = db.Update(func(tx *folio.Tx) error { fn(tx); runtime.Goexit(); return nil })
		}()
		<-done
	},
	func(db *folio.DB, fn func(tx *folio.Tx)) {
		tx, err := db.Begin(true)
		must(err)
		fn(tx)
		must(tx.Rollback())
	},
	func(db *folio.DB, fn func(tx *folio.Tx)) {
		must(db.Update(func(tx *folio.Tx) error {
			sp, err := tx.Savepoint()
			must(err)
			fn(tx)
			return sp.Rollback()
		}))
	},
}

// TestRollbackReturnsPages: a transaction that is given up leaves no page allocated,
// whether it is rolled back, panics, ends its goroutine or goes back to a savepoint,
// and also if it was so large that its pages went to the file early.
//
// bbolt #797, #819, #823: allocations were not undone, and a page was handed out
// twice. redb: pages leaked after a panic that was caught.
func TestRollbackReturnsPages(t *testing.T) {
	for name, o := range map[string]*folio.Options{"small": {}, "spilled": {MaxDirty: 8 * 4096}} {
		t.Run(name, func(t *testing.T) {
			db := openDisk(t, foliotest.NewDisk(), o)
			m, err := specimen(db, 20)
			require.NoError(t, err)
			before := db.Stats()
			h := &crashHistory{rnd: rand.New(rand.NewPCG(1, 1))}
			for range 4 {
				for i, end := range abandoned {
					end(db, func(tx *folio.Tx) {
						scratch := m.Clone()
						for range 1 + h.rnd.IntN(6) {
							crashBuckets(h, tx, scratch)
							crashRuns(h, tx, scratch)
							h.next++
						}
						must(tx.DeleteBucket([]byte("plain")))
					})
					requireSound(t, db, m, "way %d", i)
					after := db.Stats()
					require.Equal(t, before.FreePageN+before.PendingPageN, after.FreePageN+after.PendingPageN)
					require.Equal(t, before.Size, after.Size)
				}
			}
			require.NoError(t, db.Close())
		})
	}
}

// TestNoPageUsedAndFree: after each of many commits, rollbacks and reopens, with
// readers open across them, every page is in use, once, or free.
//
// bbolt #335, #402, #701, #778, boltdb #348, #548: pages reachable and free, or
// reached twice.
func TestNoPageUsedAndFree(t *testing.T) {
	disk := foliotest.NewDisk()
	db := openDisk(t, disk, nil)
	m := foliotest.NewBucket()
	h := &crashHistory{rnd: rand.New(rand.NewPCG(2, 2))}
	type reader struct {
		tx *folio.Tx
		m  *foliotest.Bucket
	}
	var readers []reader
	end := func(r reader) {
		require.NoError(t, foliotest.Diff(r.tx, r.m), "a snapshot has changed")
		require.NoError(t, foliotest.Check(r.tx))
		require.NoError(t, r.tx.Rollback())
	}
	for h.next = range 250 {
		next := m.Clone()
		kind := h.rnd.IntN(10)
		_ = db.Update(func(tx *folio.Tx) error {
			crashBuckets(h, tx, next)
			crashScatter(h, tx, next)
			if kind < 3 {
				return errModel
			}
			m = next
			return nil
		})
		switch {
		case kind == 3 && len(readers) < 4:
			tx, err := db.Begin(false)
			require.NoError(t, err)
			readers = append(readers, reader{tx, m})
		case kind == 4 && len(readers) > 0:
			i := h.rnd.IntN(len(readers))
			end(readers[i])
			readers = slices.Delete(readers, i, i+1)
		case kind == 5 && h.next%4 == 0:
			for _, r := range readers {
				end(r)
			}
			readers = nil
			require.NoError(t, db.Close())
			db = openDisk(t, disk, nil)
		}
		require.NoError(t, db.View(foliotest.Check), "step %d", h.next)
	}
	for _, r := range readers {
		end(r)
	}
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// usedPages returns the pages that a transaction's state needs.
func usedPages(t *testing.T, tx *folio.Tx) map[int]bool {
	used := map[int]bool{}
	require.NoError(t, tx.PageMap(func(u folio.PageUse) error {
		for id := u.ID; id < u.ID+u.Pages && u.Type != "free" && u.Type != "meta"; id++ {
			used[id] = true
		}
		return u.Err
	}))
	return used
}

// TestFreedPagesWaitForTheNextCommit: a commit writes over no page of the state before
// it, which is what a crash leads to, and none of a state that a reader has.
//
// LMDB b802bcf (2012): freed pages were reused one commit too early.
func TestFreedPagesWaitForTheNextCommit(t *testing.T) {
	disk := foliotest.NewDisk()
	db := openDisk(t, disk, nil)
	m, err := specimen(db, 30)
	require.NoError(t, err)
	reader, err := db.Begin(false)
	require.NoError(t, err)
	held := usedPages(t, reader)
	h := &crashHistory{rnd: rand.New(rand.NewPCG(3, 3))}
	for h.next = range 80 {
		var used map[int]bool
		require.NoError(t, db.View(func(tx *folio.Tx) error { used = usedPages(t, tx); return nil }))
		before := disk.Content("db")
		require.NoError(t, db.Update(func(tx *folio.Tx) error { crashScatter(h, tx, m); return nil }))
		after := disk.Content("db")
		for id := range len(before) / 4096 {
			if used[id] || held[id] {
				require.True(t, bytes.Equal(before[id*4096:][:4096], after[id*4096:][:4096]),
					"commit %d has written over page %d", h.next, id)
			}
		}
	}
	require.NoError(t, reader.Rollback())
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestRecoveryLeavesTwoNumbers: after a recovery to the older meta, and a commit, the
// two metas are of different transactions; again and again.
//
// libmdbx: recovery to an older meta left two metas with one txid.
func TestRecoveryLeavesTwoNumbers(t *testing.T) {
	content := uncleanFile(t)
	for round := range 6 {
		metas := decodeMetas(t, content)
		newest := 0
		if metas[1].TxID > metas[0].TxID {
			newest = 1
		}
		content[newest*4096+200] ^= 1 // as a crash leaves it
		disk := foliotest.NewDisk()
		disk.Put("db", content)
		db := openDisk(t, disk, nil)
		require.NotEmpty(t, db.Info().Recovered)
		require.Equal(t, int(metas[1-newest].TxID), db.Info().TxID)
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte("b"))
			must(err)
			return b.Put(number(round), []byte("again"))
		}))
		requireCheck(t, db)
		content = disk.Content("db")
		after := decodeMetas(t, content)
		require.Equal(t, metas[1-newest].TxID, after[1-newest].TxID, "the meta to go back to was touched")
		require.Greater(t, after[newest].TxID, after[1-newest].TxID)
		if round%2 == 1 {
			require.NoError(t, db.Close())
			content = disk.Content("db")
			after = decodeMetas(t, content)
			require.NotEqual(t, after[0].TxID, after[1].TxID)
		}
	}
}

func decodeMetas(t *testing.T, content []byte) (metas [page.NumMetas]meta.Meta) {
	t.Helper()
	for slot := range metas {
		var err error
		metas[slot], err = meta.Decode(content[slot*4096:], slot)
		require.NoError(t, err)
	}
	return metas
}

func requireCheck(t *testing.T, db *folio.DB) {
	t.Helper()
	require.NoError(t, db.View(foliotest.Check))
}

// TestCheckWritesNothing: a check is no repair, and leaves nothing behind that a crash
// after it could make worse.
//
// redb: a commit was rolled back by a crash after check_integrity.
func TestCheckWritesNothing(t *testing.T) {
	disk := foliotest.NewDisk()
	disk.Put("db", uncleanFile(t))
	db := openDisk(t, disk, nil)
	before, events := disk.Content("db"), disk.Events()
	requireCheck(t, db)
	require.Equal(t, events, disk.Events())
	require.NoError(t, db.Close())
	require.True(t, bytes.Equal(before, disk.Content("db")))
}

// TestFailedChangeIsNotCommitted: when a change has failed halfway, for damage, the
// transaction cannot be committed, even if the application ignores the error.
//
// redb: a rename, or a restore, that had failed could still be committed.
func TestFailedChangeIsNotCommitted(t *testing.T) {
	_, content, m := specimenFile(t, true, 4096)
	// Every other page is damaged, so that some changes fail early and some late.
	for odd := range 2 {
		c := bytes.Clone(content)
		for at := (2 + odd) * 4096; at+4096 <= len(c); at += 2 * 4096 {
			c[at+3000] ^= 1
		}
		disk := foliotest.NewDisk()
		disk.Put("db", c)
		db := openDisk(t, disk, nil)
		failed := 0
		for _, name := range m.Subs() {
			tx, err := db.Begin(true)
			if err != nil {
				require.ErrorIs(t, err, folio.ErrCorrupt)
				failed++
				continue
			}
			err = tx.DeleteBucket([]byte(name))
			if err == nil {
				require.NoError(t, tx.Rollback())
				continue
			}
			failed++
			require.ErrorIs(t, err, folio.ErrCorrupt)
			if b, err := tx.CreateBucket([]byte("new")); err == nil {
				_ = b.Put([]byte("k"), []byte("v"))
			}
			require.ErrorIs(t, tx.Commit(), folio.ErrCorrupt)
		}
		require.Positive(t, failed)
		require.NoError(t, db.Close())
		require.True(t, bytes.Equal(c, disk.Content("db")), "something was written")
	}
}

// TestCallerChangesItsSlices: what a program does with a key or a value after it has
// put it is nothing to the database.
//
// bbolt #72, #637: a key buffer that was used again damaged a branch. bbolt #275,
// boltdb #143, #324: the value was not copied.
func TestCallerChangesItsSlices(t *testing.T) {
	db := openDisk(t, foliotest.NewDisk(), nil)
	m := foliotest.NewBucket()
	key, value := make([]byte, 6000), make([]byte, 3000)
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, bm := crashBucket(tx, m, "b")
		for i := range 300 {
			k, v := key[:8+i%5*700], value[:i%7*400]
			copy(k, fmt.Sprintf("%08d", i*7919%1000))
			copy(v, fmt.Sprint("value ", i))
			must(b.Put(k, v))
			bm.Put(string(k), bytes.Clone(v))
			for j := range k {
				k[j] ^= 0xa5
			}
			clear(v)
			name := []byte(fmt.Sprintf("bucket %d", i))
			_, err := b.CreateBucket(name)
			must(err)
			bm.PutSub(string(name), foliotest.NewBucket())
			clear(name)
			clear(k)
		}
		return foliotest.Diff(tx, m)
	}))
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestDeleteInLoops: a loop that deletes with its cursor, or the bucket, and goes on
// sees every key once.
//
// bbolt #146, #611, boltdb #357, #620: Next after Delete skipped a key.
func TestDeleteInLoops(t *testing.T) {
	for name, loop := range map[string]func(b *folio.Bucket, drop func(k []byte) bool) (seen int){
		"cursor, forward": func(b *folio.Bucket, drop func(k []byte) bool) (seen int) {
			c := b.Cursor()
			for k, _ := c.First(); k != nil; k, _ = c.Next() {
				if seen++; drop(k) {
					must(c.Delete())
				}
			}
			return seen
		},
		"cursor, backward": func(b *folio.Bucket, drop func(k []byte) bool) (seen int) {
			c := b.Cursor()
			for k, _ := c.Last(); k != nil; k, _ = c.Prev() {
				if seen++; drop(k) {
					must(c.Delete())
				}
			}
			return seen
		},
		"ForEach": func(b *folio.Bucket, drop func(k []byte) bool) (seen int) {
			must(b.ForEach(func(k, _ []byte) error {
				if seen++; drop(k) {
					return b.Delete(k)
				}
				return nil
			}))
			return seen
		},
		"All": func(b *folio.Bucket, drop func(k []byte) bool) (seen int) {
			for k := range b.All() {
				if seen++; drop(k) {
					must(b.Delete(k))
				}
			}
			return seen
		},
	} {
		for of, keep := range []int{1, 2, 3, 1000} { // every key but each keep-th goes
			t.Run(fmt.Sprintf("%s, %d", name, of), func(t *testing.T) {
				db := openDisk(t, foliotest.NewDisk(), nil)
				const n = 900
				require.NoError(t, db.Update(func(tx *folio.Tx) error {
					b, err := tx.CreateBucket([]byte("b"))
					must(err)
					for i := range n {
						must(b.Put(number(i), make([]byte, 20)))
					}
					return nil
				}))
				require.NoError(t, db.Update(func(tx *folio.Tx) error {
					b := tx.Bucket([]byte("b"))
					i := 0
					seen := loop(b, func([]byte) bool { i++; return keep == 1 || i%keep != 0 })
					require.Equal(t, n, seen)
					left := n / keep
					if keep == 1 {
						left = 0
					}
					require.EqualValues(t, left, b.Len())
					return nil
				}))
				requireCheck(t, db)
				require.NoError(t, db.Close())
			})
		}
	}
}

// TestLastAfterDeletes: where pages have become empty, First, Last, Next and Prev go
// to the keys that are left, inside the transaction and after it.
//
// bbolt #341: Last returned nothing after deletes had left empty pages.
func TestLastAfterDeletes(t *testing.T) {
	const n = 2000
	for _, gone := range [][2]int{{0, 1999}, {1, 2000}, {1000, 2000}, {0, 1000}, {3, 1997}, {500, 1500}, {0, 2000}} {
		db := openDisk(t, foliotest.NewDisk(), nil)
		m := foliotest.NewBucket()
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "b")
			for i := range n {
				must(b.Put(number(i), make([]byte, 30)))
				bm.Put(string(number(i)), make([]byte, 30))
			}
			return nil
		}))
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "b")
			c := b.Cursor()
			for i := gone[0]; i < gone[1]; i++ {
				must(b.Delete(number(i)))
				bm.Delete(string(number(i)))
				if i%97 == 0 || i+1 == gone[1] {
					first, last := "", ""
					if bm.Len() > 0 {
						first, last = bm.Key(0), bm.Key(bm.Len()-1)
					}
					k, _ := c.First()
					require.Equal(t, first, string(k))
					k, _ = c.Last()
					require.Equal(t, last, string(k))
				}
			}
			return foliotest.Diff(tx, m)
		}))
		s := &survey{db: db, want: m, rnd: rand.New(rand.NewPCG(4, 4)), verify: folio.VerifyFirst}
		s.all()
		require.Empty(t, s.wrong)
		require.Empty(t, s.errs)
		require.NoError(t, db.Close())
	}
}

// TestNilEmptyAbsent: an absent key has a nil value, an empty value is not nil, and a
// bucket's is nil; the same from every read, in the transaction and after it.
//
// bbolt #726: a value of length 0 came back changed.
func TestNilEmptyAbsent(t *testing.T) {
	db := openDisk(t, foliotest.NewDisk(), nil)
	look := func(b *folio.Bucket) {
		keys := [][]byte{[]byte("absent"), []byte("bucket"), []byte("empty"), []byte("nil"), []byte("zero")}
		want := [][]byte{nil, nil, {}, {}, {0}}
		many := make([][]byte, len(keys))
		b.GetMany(keys, many)
		c := b.Cursor()
		for i, k := range keys {
			require.Equal(t, want[i], b.Get(k), "%s", k)
			require.Equal(t, want[i], many[i], "%s", k)
			if i > 0 {
				_, v := c.Seek(k)
				require.Equal(t, want[i], v, "%s", k)
				_, v = b.At(uint64(i - 1))
				require.Equal(t, want[i], v, "%s", k)
			}
		}
	}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		must(err)
		_, err = b.CreateBucket([]byte("bucket"))
		must(err)
		must(b.Put([]byte("empty"), []byte{}))
		must(b.Put([]byte("nil"), nil))
		must(b.Put([]byte("zero"), []byte{0}))
		look(b)
		return nil
	}))
	require.NoError(t, db.View(func(tx *folio.Tx) error { look(tx.Bucket([]byte("b"))); return nil }))
	require.NoError(t, db.Close())
}

// TestSizeBoundaries: keys and values of all sizes around those at which they are kept
// in another way.
//
// bbolt #978: a crash on huge values.
func TestSizeBoundaries(t *testing.T) {
	for _, ps := range pageSizes {
		db := openDisk(t, foliotest.NewDisk(), &folio.Options{PageSize: ps})
		m := foliotest.NewBucket()
		around := func(sizes ...int) (all []int) {
			for _, n := range sizes {
				all = append(all, n-2, n-1, n, n+1, n+2)
			}
			return all
		}
		keys := around(3, ps/16, ps/8)
		keys = append(keys, folio.MaxKeySize-1, folio.MaxKeySize)
		values := around(2, ps/4-30, ps/4-10, ps/2-38, ps/2-34, ps/2-16, ps-48, ps, 2*ps-48, 64<<10, 128<<10)
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "b")
			put := func(key string, n int) {
				v := bytes.Repeat([]byte{byte(n)}, n)
				must(b.Put([]byte(key), v))
				bm.Put(key, v)
			}
			for i, n := range keys {
				put(strings.Repeat("k", min(n, folio.MaxKeySize)), i)
			}
			for i, n := range values {
				put(fmt.Sprintf("value %d", i), n)
			}
			return nil
		}))
		requireSound(t, db, m, "pages of %d bytes", ps)
		// Everything changes its size by a little.
		require.NoError(t, db.Update(func(tx *folio.Tx) error {
			b, bm := crashBucket(tx, m, "b")
			for i := range bm.Len() {
				v := make([]byte, max(0, len(bm.Get(bm.Key(i)))+i%5-2))
				must(b.Put([]byte(bm.Key(i)), v))
				bm.Put(bm.Key(i), v)
			}
			return nil
		}))
		requireSound(t, db, m, "pages of %d bytes", ps)
		require.NoError(t, db.Close())
	}
}

// TestTinyCells: as many entries as fit into the largest page, and in a bucket's own
// leaf, of the least size.
//
// redb: a panic at 65,536 entries in a leaf.
func TestTinyCells(t *testing.T) {
	db := openDisk(t, foliotest.NewDisk(), &folio.Options{PageSize: 65536})
	m := foliotest.NewBucket()
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, bm := crashBucket(tx, m, "b")
		in, inm := crashBucket(tx, m, "small")
		for i := range 70_000 {
			key := string(number(i)[1:]) // three bytes
			must(b.Put([]byte(key), nil))
			bm.Put(key, nil)
			if i < 256 {
				must(in.Put([]byte{byte(i)}, nil))
				inm.Put(string([]byte{byte(i)}), nil)
			}
		}
		return nil
	}))
	requireSound(t, db, m)
	require.NoError(t, db.View(func(tx *folio.Tx) error {
		s := tx.Bucket([]byte("b")).Stats()
		require.Less(t, s.LeafPageN, 40)
		return nil
	}))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, bm := crashBucket(tx, m, "b")
		lo, hi := []byte(bm.Key(10)), []byte(bm.Key(69_000))
		n, err := b.DeleteRange(lo, hi)
		want, _ := bm.DeleteRange(lo, hi)
		require.EqualValues(t, want, n)
		return err
	}))
	requireSound(t, db, m)
	require.NoError(t, db.Close())
}

// TestPrefixes: a prefix of the highest bytes has no end, one that no key has ends at
// once, and an empty one is everything.
//
// bbolt #154, #167: scans of a prefix that were written by hand went too far.
func TestPrefixes(t *testing.T) {
	db := openDisk(t, foliotest.NewDisk(), nil)
	keys := []string{"a", "ab", "ab\xff", "ab\xff\xff", "b", "\xff", "\xff\xff", "\xff\xff\x00"}
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucket([]byte("b"))
		must(err)
		for _, k := range keys {
			must(b.Put([]byte(k), []byte(k)))
		}
		for _, prefix := range []string{"", "a", "ab", "ab\xff", "ac", "b", "\xff", "\xff\xff", "\xff\xff\xff", "c"} {
			var want, got, back []string
			for _, k := range keys {
				if strings.HasPrefix(k, prefix) {
					want = append(want, k)
				}
			}
			for k := range b.Prefix([]byte(prefix)) {
				got = append(got, string(k))
			}
			for k := range b.PrefixBackward([]byte(prefix)) {
				back = append(back, string(k))
			}
			slices.Reverse(back)
			require.Equal(t, want, got, "%q", prefix)
			require.Equal(t, want, back, "%q", prefix)
		}
		return nil
	}))
	require.NoError(t, db.Close())
}
