package folio_test

// Cases in which several handles, or processes, have one file open and something goes
// wrong. Each returns what it has found, so that planted bugs can be tried as well
// (crashbugs_test.go).

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

type shareCase struct {
	name string
	run  func(dir string) error
}

var shareCases = []shareCase{
	{"a snapshot beside a writer", func(dir string) error { return shareSnapshot(dir, false) }},
	{"a snapshot beside two writers", func(dir string) error { return shareSnapshot(dir, true) }},
	{"damage to a page that was verified before", shareDamage},
	{"damage after more than is noted", shareRing},
	{"damage after a death", shareForget},
	{"a failed flush", shareFailedFlush},
	{"turns", shareTurns},
	{"a turn without durability", shareSettle},
	{"death before a commit is published", shareDeath},
}

func TestShareCases(t *testing.T) {
	for _, c := range shareCases {
		t.Run(c.name, func(t *testing.T) { require.NoError(t, c.run(t.TempDir())) })
	}
}

// sharers are handles of one file, which are closed together.
type sharers struct {
	path string
	dbs  []*folio.DB
}

func newSharers(dir string) *sharers { return &sharers{path: filepath.Join(dir, "db")} }

func (s *sharers) open(o folio.Options) *folio.DB { return s.openFS(vfs.OS(), o) }

func (s *sharers) openFS(fs vfs.FS, o folio.Options) *folio.DB {
	if o.Timeout == 0 {
		o.Timeout = 10 * time.Second
	}
	db, err := folio.OpenFS(fs, s.path, 0o600, &o)
	must(err)
	s.dbs = append(s.dbs, db)
	return db
}

func (s *sharers) close() {
	for _, db := range s.dbs {
		_ = db.Close() // a case that wants to know has closed it
	}
}

// put puts n keys with a value that begins with text.
func put(db *folio.DB, n int, text string, d folio.Durability) error {
	return db.Update(func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		for i := range n {
			if err := b.Put(key(i), append([]byte(text), make([]byte, 300)...)); err != nil {
				return err
			}
		}
		return tx.SetDurability(d)
	})
}

// all returns an error if tx does not see n keys with values that begin with text.
func all(tx *folio.Tx, n int, text string) error {
	b, found := tx.Bucket([]byte("b")), 0
	if b != nil {
		for _, v := range b.All() {
			if !bytes.HasPrefix(v, []byte(text)) {
				return fmt.Errorf("%.10q instead of %q", v, text)
			}
			found++
		}
	}
	if found != n && tx.Err() == nil {
		return fmt.Errorf("%d keys with %q instead of %d", found, text, n)
	}
	return tx.Err()
}

func viewAll(db *folio.DB, n int, text string) error {
	return db.View(func(tx *folio.Tx) error { return errors.Join(all(tx, n, text), foliotest.Check(tx)) })
}

// shareSnapshot has readers of another handle hold snapshots while the file is
// written, by several handles one after the other.
func shareSnapshot(dir string, turns bool) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	o := folio.Options{}
	if turns {
		o = shareWriters
		s.open(o) // so that no writer is ever the last one
	}
	w, r := s.open(o), s.open(folio.Options{ReadOnly: true})
	held := map[string]*folio.Tx{}
	for i := range 12 {
		text := fmt.Sprintf("%d ", i)
		must(put(w, 200, text, folio.DurabilityFull))
		if i%3 == 0 {
			tx, err := r.Begin(false)
			must(err)
			defer tx.Rollback()
			held[text] = tx
		}
		for text, tx := range held {
			if err := all(tx, 200, text); err != nil {
				return fmt.Errorf("a snapshot after commit %d: %w", i, err)
			}
		}
		if i%4 == 3 {
			must(w.Close())
			w = s.open(o)
		}
	}
	return viewAll(r, 200, "11 ")
}

// shareDamage damages a page which a reader has verified when it had other bytes.
func shareDamage(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	w, r := s.followed()
	must(put(w, 1, "damaged", folio.DurabilityFull))
	s.damage("damaged")
	return noticed(r.View(func(tx *folio.Tx) error { return all(tx, 1, "Damaged") }))
}

// followed returns a writer and a reader, who has seen 30 versions of a page.
func (s *sharers) followed() (w, r *folio.DB) {
	w, r = s.open(folio.Options{}), s.open(folio.Options{ReadOnly: true})
	for i := range 30 {
		text := fmt.Sprintf("version %d.", i)
		must(put(w, 1, text, folio.DurabilityFull))
		must(viewAll(r, 1, text))
	}
	return w, r
}

// damage changes the first byte of text in the file.
func (s *sharers) damage(text string) {
	file, err := os.ReadFile(s.path)
	must(err)
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	must(err)
	_, err = f.WriteAt([]byte("D"), int64(bytes.Index(file, []byte(text))))
	must(errors.Join(err, f.Close()))
}

// noticed returns an error unless err says that a page is damaged.
func noticed(err error) error {
	if errors.Is(err, folio.ErrCorrupt) {
		return nil
	}
	return fmt.Errorf("a damaged page was read: %v", err)
}

// shareRing is shareDamage with more commits since the reader has looked than are noted.
func shareRing(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	w, r := s.followed()
	for range 5000 {
		must(put(w, 1, "unseen", folio.DurabilityNone))
	}
	must(put(w, 1, "damaged", folio.DurabilityFull))
	s.damage("damaged")
	return noticed(r.View(func(tx *folio.Tx) error { return all(tx, 1, "Damaged") }))
}

// shareForget damages a page that a writer has verified, when another one has died in its
// turn, which can have written to any page that was free.
func shareForget(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	dies, w := s.open(shareWriters), s.open(shareWriters)
	must(put(w, 200, "text", folio.DurabilityFull))
	must(w.Update(func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put(key(150), []byte("text, damaged")) }))
	must(put(w, 1, "text", folio.DurabilityFull)) // recovery looks at what this has written
	look := func(tx *folio.Tx) error { return all(tx, 200, "text") }
	must(w.Update(look))
	_, err = dies.Begin(true)
	must(err)
	must(folio.Abandon(dies))
	s.dbs = s.dbs[1:]
	s.damage("text, damaged")
	return noticed(w.Update(look))
}

var errDisk = errors.New("the disk has failed")

// shareFailedFlush: nobody sees what could not be made durable, and nobody writes
// before all have closed the file.
func shareFailedFlush(dir string) (err error) {
	defer noPanic(&err)
	for _, o := range []folio.Options{{}, shareWriters} {
		s := newSharers(dir)
		defer s.close()
		plan := &faultfs.Plan{Shared: true}
		w, r := s.openFS(faultfs.Wrap(vfs.OS(), plan), o), s.open(folio.Options{ReadOnly: true})
		other := w
		if o.Sharing == folio.ShareWriters {
			other = s.open(o)
		}
		must(put(w, 10, "durable", folio.DurabilityFull))
		plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: errDisk})
		if err := put(w, 10, "lost", folio.DurabilityFull); !errors.Is(err, errDisk) {
			return fmt.Errorf("a flush failed, and the commit returned %w", err)
		}
		if err := viewAll(r, 10, "durable"); err != nil {
			return err
		}
		if err := put(other, 1, "x", 0); !errors.Is(err, folio.ErrLatched) {
			return fmt.Errorf("after a failed flush there was a commit: %w", err)
		}
		must(w.Close())
		must(other.Close())
		db, err := folio.Open(s.path, 0o600, &o)
		if err == nil { // with ShareWriters it can be read
			err = db.Update(func(*folio.Tx) error { return nil })
			must(db.Close())
		}
		if !errors.Is(err, folio.ErrLatched) {
			return fmt.Errorf("the file could be written before all had closed it: %v", err)
		}
		s.close()
		if err := viewAll(s.open(folio.Options{}), 10, "durable"); err != nil {
			return err
		}
		s.close()
	}
	return nil
}

// shareTurns lets handles write in turns, each on top of what it should see.
func shareTurns(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	var dbs []*folio.DB
	for range 3 {
		dbs = append(dbs, s.open(shareWriters))
	}
	for i := range 60 {
		err := dbs[i*i%3].Update(func(tx *folio.Tx) error {
			if i > 0 && tx.Bucket([]byte("b")).Sequence() != uint64(i) {
				return fmt.Errorf("turn %d begins with %d", i, tx.Bucket([]byte("b")).Sequence())
			}
			return addOne(tx)
		})
		if err != nil {
			return err
		}
	}
	return dbs[0].View(func(tx *folio.Tx) error { return foliotest.Check(tx) })
}

// shareSettle: what a transaction sees of another process is durable.
func shareSettle(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	plan := &faultfs.Plan{Shared: true}
	a, b := s.openFS(faultfs.Wrap(vfs.OS(), plan), shareWriters), s.open(shareWriters)
	for _, c := range []struct {
		keys, syncs int
		d           folio.Durability
	}{
		{10, 1, folio.DurabilityRelaxed}, {10, 1, folio.DurabilityNone},
		{10_000, 2, folio.DurabilityNone}, // too many for a record, so the meta is weak, and written again
	} {
		must(put(a, 10, "full", folio.DurabilityFull))
		before := plan.Calls(faultfs.Sync)
		must(put(a, c.keys, "weak", c.d))
		after := 0
		must(b.Update(func(tx *folio.Tx) error {
			after = plan.Calls(faultfs.Sync)
			return nil
		}))
		if after < before+c.syncs {
			return fmt.Errorf("a transaction saw what was not durable: %d syncs instead of %d", after-before, c.syncs)
		}
	}
	return nil
}

// shareDeath: a process dies when its commit is in the file, but not published; the
// next one begins to write, and dies as well. What the first has committed is there, or
// nothing of it.
func shareDeath(dir string) (err error) {
	defer noPanic(&err)
	s := newSharers(dir)
	defer s.close()
	a, err := startSharer(s.path, "A", 2)
	must(err)
	defer a.kill()
	b, err := startSharer(s.path, "B", 1)
	must(err)
	defer b.kill()
	for _, c := range []*sharer{a, b} {
		if err := c.die(); err != nil {
			return err
		}
	}
	db := s.open(folio.Options{})
	if err := viewAll(db, 500, "A"); err != nil {
		return err
	}
	return put(db, 500, "C", folio.DurabilityFull)
}

// sharer is a child process. When it is told so it commits a large transaction, and
// dies in one of the flushes.
type sharer struct {
	cmd *exec.Cmd
	in  *os.File
}

const sharerEnv = "FOLIO_SHARER"

func startSharer(path, text string, dieAt int) (*sharer, error) {
	in, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestSharer$", "-test.timeout=30s")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s %s", sharerEnv, dieAt, planted(), text, path))
	cmd.Stdin, cmd.Stderr = in, os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		_, err = bufio.NewReader(out).ReadString('\n') // it has opened the file
	}
	return &sharer{cmd, ours}, errors.Join(err, in.Close())
}

func (s *sharer) die() error {
	must(s.in.Close())
	var exit *exec.ExitError
	if err := s.cmd.Wait(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		return fmt.Errorf("a process was to die, and ended: %w", err)
	}
	return nil
}

func (s *sharer) kill() { _ = s.cmd.Process.Kill() }

// TestSharer is the child.
func TestSharer(t *testing.T) {
	var dieAt, bug int
	var text, path string
	if n, _ := fmt.Sscanf(os.Getenv(sharerEnv), "%d %d %s %s", &dieAt, &bug, &text, &path); n != 4 {
		t.Skip("it is a process of TestShareCases")
	}
	plantAlso(bug)
	fs := &dyingFS{FS: vfs.OS()}
	db, err := folio.OpenFS(fs, path, 0o600, &folio.Options{Sharing: folio.ShareWriters, MaxDirty: 64 << 10})
	require.NoError(t, err)
	if text == "A" {
		require.NoError(t, put(db, 100, "old", folio.DurabilityFull))
	}
	fmt.Println("ready")
	_, _ = os.Stdin.Read(make([]byte, 1))
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		for i := range 500 {
			if err := b.Put(key(i), []byte(text+strings.Repeat("x", 1000))); err != nil {
				return err
			}
		}
		fs.syncs = dieAt
		return nil
	}))
}

// dyingFS kills the process in a sync of the file.
type dyingFS struct {
	vfs.FS
	syncs int // until then; 0: never
}

func (d *dyingFS) OpenFile(name string, flag int, perm os.FileMode) (vfs.File, error) {
	f, err := d.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &dyingFile{f, d}, nil
}

type dyingFile struct {
	vfs.File
	fs *dyingFS
}

func (d *dyingFile) Unwrap() vfs.File { return d.File }

func (d *dyingFile) Sync() error {
	if d.fs.syncs--; d.fs.syncs == 0 {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	}
	return d.File.Sync()
}
