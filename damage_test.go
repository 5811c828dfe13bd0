package folio_test

// Damaged files: whatever the bytes are, Open and every transaction give an error
// or the right data. A test fails on a panic, and on data that differs from what
// was written without an error that says so.

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// specimen fills a database with something of everything and returns what is in
// it. From a hundred commits on there are freelist pages as well.
func specimen(db *folio.DB, commits int) (*foliotest.Bucket, error) {
	m := foliotest.NewBucket()
	h := &crashHistory{rnd: rand.New(rand.NewPCG(3, 3))}
	for i := range commits {
		err := db.Update(func(tx *folio.Tx) error {
			h.next = i
			b, bm := crashBucket(tx, m, "plain")
			for j := range 10 {
				h.crashPut(b, bm, fmt.Sprintf("key %03d", (i*7+j*13)%90), 10+j*20)
			}
			h.crashPut(b, bm, "empty", 0)
			if i%3 != 0 {
				return nil
			}
			n, nm := crashBucket(tx, m, "nested")
			in, err := n.CreateBucketIfNotExists([]byte(fmt.Sprintf("inline %d", i%9)))
			must(err)
			inm := nm.Sub(fmt.Sprintf("inline %d", i%9))
			if inm == nil {
				inm = foliotest.NewBucket()
				nm.PutSub(fmt.Sprintf("inline %d", i%9), inm)
			}
			h.crashPut(in, inm, "small", 5)
			_, err = in.NextSequence()
			must(err)
			inm.Sequence++
			r, rm := crashBucket(tx, m, "runs")
			h.crashPut(r, rm, "long value", 4500)
			h.crashPut(r, rm, strings.Repeat("long key ", 600), 3)
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return m, nil
}

// specimenFile returns the bytes of a file with a specimen, and those that it had
// some commits before its last.
func specimenFile(t *testing.T, large bool, pageSize int) (older, newest []byte, m *foliotest.Bucket) {
	t.Helper()
	commits := 6
	if large {
		commits = 120
	}
	disk := foliotest.NewDisk()
	for range 2 {
		db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{PageSize: pageSize})
		noErr(t, err)
		if m != nil {
			noErr(t, db.Update(func(tx *folio.Tx) error {
				b, bm := crashBucket(tx, m, "plain")
				h := &crashHistory{next: 99}
				for i := range 30 {
					h.crashPut(b, bm, fmt.Sprintf("key %03d", i*3), 40)
				}
				return nil
			}))
			noErr(t, db.Close())
			continue
		}
		m, err = specimen(db, commits)
		noErr(t, err)
		noErr(t, db.Close())
		older = disk.Content("db")
	}
	return older, disk.Content("db"), m
}

func noErr(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// damaged opens a file with the given bytes and uses it in many ways. It returns
// an error if something is wrong and nothing says so.
func damaged(content []byte, want *foliotest.Bucket, verify folio.VerifyMode) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	disk := foliotest.NewDisk()
	disk.Put("db", content)
	db, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{Verify: verify})
	if err != nil {
		return said(err)
	}
	recovered := db.Info().Recovered != ""
	defer func() { err = errors.Join(err, db.Close()) }()
	var readErr error
	err = db.View(func(tx *folio.Tx) error {
		readErr = foliotest.Diff(tx, want)
		return readErr
	})
	if err != nil && said(err) != nil && !recovered {
		return err // it differs, and nothing says so
	}
	if err := byHand(db, want); err != nil && !recovered {
		return err
	}
	return said(db.Update(func(tx *folio.Tx) error {
		for _, name := range want.Subs() {
			if err := tx.DeleteBucket([]byte(name)); err != nil && err != folio.ErrBucketNotFound {
				return err
			}
		}
		return nil
	}))
}

// said returns nil if err says what is wrong with the file.
func said(err error) error {
	for _, kind := range []error{folio.ErrCorrupt, folio.ErrInvalid, folio.ErrVersionMismatch, folio.ErrFault} {
		if errors.Is(err, kind) {
			return nil
		}
	}
	return err
}

// byHand looks keys up in a transaction begun by hand.
func byHand(db *folio.DB, want *foliotest.Bucket) error {
	tx, err := db.Begin(false)
	if err != nil {
		return said(err)
	}
	defer tx.Rollback()
	for _, name := range want.Subs() {
		b, m := tx.Bucket([]byte(name)), want.Sub(name)
		if b == nil {
			return missing(tx, name)
		}
		for i := 0; i < m.Len(); i += 7 {
			key := m.Key(i)
			if v := b.Get([]byte(key)); !bytes.Equal(v, m.Get(key)) {
				return missing(tx, name+" "+key)
			}
			if k, _ := b.At(uint64(i)); string(k) != key {
				return missing(tx, fmt.Sprint(name, " at ", i))
			}
			if b.Rank([]byte(key)) != uint64(i) {
				return missing(tx, fmt.Sprint(name, " rank ", i))
			}
		}
	}
	return said(tx.Err())
}

// missing is the error for what a transaction did not find, unless it has an
// error that tells why.
func missing(tx *folio.Tx, what string) error {
	if tx.Err() == nil {
		return fmt.Errorf("%.40q is missing or wrong, and Err is nil", what)
	}
	return said(tx.Err())
}

func TestDamageBytes(t *testing.T) {
	_, file, want := specimenFile(t, false, 4096)
	step := rounds(211, 13, 1)
	for part := range 4 {
		t.Run(fmt.Sprintf("part %d of a file of %d bytes", part, len(file)), func(t *testing.T) {
			t.Parallel()
			rnd := rand.New(rand.NewPCG(uint64(part), 1))
			content := bytes.Clone(file)
			for i := part * step; i < len(file); i += 4 * step {
				for _, c := range []byte{content[i] ^ byte(1+rnd.IntN(255)), 0, 0xff} {
					if c == file[i] {
						continue
					}
					content[i] = c
					if err := damaged(content, want, folio.VerifyMode(i%3)); err != nil {
						t.Fatalf("byte %d is %#x instead of %#x: %v", i, c, file[i], err)
					}
				}
				content[i] = file[i]
			}
		})
	}
}

// TestDamagePages damages files by the page.
func TestDamagePages(t *testing.T) {
	for _, ps := range []int{4096, 16384} {
		t.Run(fmt.Sprint(ps), func(t *testing.T) {
			t.Parallel()
			older, file, want := specimenFile(t, true, ps)
			pages := len(file) / ps
			at := func(b []byte, i int) []byte { return b[i*ps : (i+1)*ps] }
			try := func(what string, i int, change func(content []byte) []byte) {
				t.Helper()
				if err := damaged(change(bytes.Clone(file)), want, folio.VerifyMode(i%3)); err != nil {
					t.Fatalf("%s, page %d: %v", what, i, err)
				}
			}
			for i := range pages {
				try("zeroed", i, func(c []byte) []byte { clear(at(c, i)); return c })
				try("noise", i, func(c []byte) []byte {
					for j := range at(c, i) {
						at(c, i)[j] = byte(j * i)
					}
					return c
				})
				if i > 0 { // an empty file becomes a new database
					try("cut off", i, func(c []byte) []byte { return c[:i*ps] })
				}
				try("cut off in it", i, func(c []byte) []byte { return c[:i*ps+ps/3] })
				try("swapped", i, func(c []byte) []byte {
					copy(at(c, i), at(file, (i+1)%pages))
					copy(at(c, (i+1)%pages), at(file, i))
					return c
				})
				if len(older) >= (i+1)*ps && i >= 2 {
					// The write of the page was lost: what is there is whole, and old.
					try("stale", i, func(c []byte) []byte { copy(at(c, i), at(older, i)); return c })
				}
				for s := i % 4; s < ps/512; s += 4 {
					try("sector zeroed", i, func(c []byte) []byte { clear(at(c, i)[s*512:][:512]); return c })
				}
			}
		})
	}
}

func TestDamageMetas(t *testing.T) {
	_, file, want := specimenFile(t, false, 4096)
	open := func(content []byte) (*folio.DB, error) {
		disk := foliotest.NewDisk()
		disk.Put("db", content)
		return folio.OpenFS(disk, "db", 0o600, nil)
	}
	t.Run("either", func(t *testing.T) {
		for slot := range 2 {
			content := bytes.Clone(file)
			content[slot*4096+100] ^= 1
			db, err := open(content)
			noErr(t, err)
			if db.Info().Recovered == "" {
				t.Fatal("nothing says that a meta page is damaged")
			}
			noErr(t, db.View(func(tx *folio.Tx) error { return foliotest.Diff(tx, want) }))
			noErr(t, db.Close())
		}
	})
	t.Run("both", func(t *testing.T) {
		content := bytes.Clone(file)
		content[100] ^= 1
		content[4196] ^= 1
		_, err := open(content)
		wantIs(t, err, folio.ErrCorrupt)
		clear(content[:2*4096])
		_, err = open(content)
		wantIs(t, err, folio.ErrInvalid)
	})
	t.Run("zeroed file", func(t *testing.T) {
		_, err := open(make([]byte, len(file)))
		if len(file) > 2*page.MaxSize {
			wantIs(t, err, folio.ErrInvalid)
		}
	})
	t.Run("newer version", func(t *testing.T) {
		for slot := range 2 {
			content := bytes.Clone(file)
			b := content[slot*4096:][:meta.Size]
			binary.LittleEndian.PutUint32(b[8:], meta.Version+1)
			sealMeta(b, slot)
			_, err := open(content)
			wantIs(t, err, folio.ErrVersionMismatch)
		}
	})
	t.Run("not a folio file", func(t *testing.T) {
		_, err := open([]byte(strings.Repeat("some text\n", 5000)))
		wantIs(t, err, folio.ErrInvalid)
		_, err = open([]byte("short"))
		wantIs(t, err, folio.ErrInvalid)
	})
	t.Run("page size", func(t *testing.T) {
		disk := foliotest.NewDisk()
		disk.Put("db", file)
		_, err := folio.OpenFS(disk, "db", 0o600, &folio.Options{PageSize: 8192})
		if err == nil || !strings.Contains(err.Error(), "4096") {
			t.Fatalf("error %v", err)
		}
	})
}

// sealMeta makes a meta page whole.
func sealMeta(b []byte, slot int) {
	fileID := binary.LittleEndian.Uint64(b[16:])
	sum := page.Sum(b[:meta.Size-8], page.Seed(page.ID(slot), fileID))
	binary.LittleEndian.PutUint64(b[meta.Size-8:], sum)
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, expected %v", err, want)
	}
}
