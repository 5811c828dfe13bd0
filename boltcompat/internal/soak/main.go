// Soak runs a small service on a database for a while: goroutines that keep accounts of
// their own in nested buckets, by all ways there are to write, and others that read
// everybody's, while backups are made and the database is opened again now and then.
// Each writer compares what it reads with what it remembers.
//
//	go run ./internal/soak [-for d] [-seed n] [-nosync] [-rest d]
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"
)

func main() {
	length := flag.Duration("for", time.Minute, "how long")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the random numbers")
	noSync := flag.Bool("nosync", false, "commits without flushes")
	rest := flag.Duration("rest", 0, "how long a goroutine rests after each transaction")
	flag.Parse()
	if err := run(*length, *seed, *noSync, *rest); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

const (
	writers  = 4
	readers  = 2
	sessions = 10 // parts of the time, with the database closed between them
)

// service is what all goroutines share.
type service struct {
	db       *bolt.DB
	end      time.Time
	rest     time.Duration
	writes   atomic.Int64
	reads    atomic.Int64
	keys     atomic.Int64
	accounts []*account
}

func run(length time.Duration, seed uint64, noSync bool, rest time.Duration) error {
	dir, err := os.MkdirTemp("", "soak-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Printf("seed %d, for %v\n", seed, length)
	s := &service{rest: rest}
	for i := range writers {
		s.accounts = append(s.accounts, &account{
			s: s, r: rand.New(rand.NewPCG(seed, uint64(i))), name: fmt.Appendf(nil, "writer %d", i), want: make(map[string]string),
		})
	}
	for range sessions {
		if err := s.session(filepath.Join(dir, "soak.db"), length/sessions, noSync); err != nil {
			return err
		}
	}
	return nil
}

// session opens the database, lets everybody run for d, and checks it.
func (s *service) session(path string, d time.Duration, noSync bool) (err error) {
	if s.db, err = bolt.Open(path, 0o600, &bolt.Options{NoSync: noSync}); err != nil {
		return err
	}
	s.end = time.Now().Add(d)
	errs := make(chan error, writers+readers+1)
	var wg sync.WaitGroup
	start := func(fn func() error) { wg.Go(func() { errs <- fn() }) }
	for _, a := range s.accounts {
		start(a.run)
	}
	for range readers {
		start(s.read)
	}
	start(s.backup)
	wg.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	for _, a := range s.accounts {
		err = errors.Join(err, s.db.View(a.compare))
	}
	err = errors.Join(err, s.db.View(func(tx *bolt.Tx) error {
		var found error
		for e := range tx.Check() {
			found = errors.Join(found, e)
		}
		return found
	}))
	st := s.db.Stats()
	fmt.Printf("%s  %d commits, %d reads of %d keys; file %.1f MiB, %d pages free, %d pending\n", time.Now().Format(time.TimeOnly),
		s.writes.Load(), s.reads.Load(), s.keys.Load(), float64(s.db.Folio().Stats().FileSize)/(1<<20), st.FreePageN, st.PendingPageN)
	return errors.Join(err, s.db.Close())
}

// read goes through everybody's keys, and makes sure that they do not change under it.
func (s *service) read() error {
	for time.Now().Before(s.end) {
		err := s.db.View(func(tx *bolt.Tx) error {
			first, n := s.sum(tx)
			second, _ := s.sum(tx)
			s.reads.Add(1)
			s.keys.Add(n)
			if first != second {
				return errors.New("a transaction saw two states")
			}
			return nil
		})
		if err != nil {
			return err
		}
		time.Sleep(max(s.rest, 5*time.Millisecond)) // the machine is for the writers too
	}
	return nil
}

// sum returns a number that depends on all keys and values.
func (s *service) sum(tx *bolt.Tx) (sum uint64, n int64) {
	for _, a := range s.accounts {
		for _, part := range parts {
			b := a.bucket(tx, part)
			if b == nil {
				continue
			}
			c := b.Cursor()
			for k, v := c.First(); k != nil; k, v = c.Next() {
				for _, x := range v {
					sum = sum*31 + uint64(x)
				}
				sum = sum*31 + uint64(len(k))
				n++
			}
		}
	}
	return sum, n
}

// backup copies the database again and again.
func (s *service) backup() error {
	for time.Now().Before(s.end) {
		err := s.db.View(func(tx *bolt.Tx) error {
			n, err := tx.WriteTo(io.Discard)
			if err == nil && n != tx.Size() {
				err = fmt.Errorf("a backup of %d bytes of %d", n, tx.Size())
			}
			return err
		})
		if err != nil {
			return err
		}
		time.Sleep(50*time.Millisecond + s.rest)
	}
	return nil
}

// account is a writer, and what it remembers of its keys.
type account struct {
	s    *service
	r    *rand.Rand
	name []byte
	want map[string]string // part and key
}

var parts = [][]byte{[]byte("sessions"), []byte("orders"), []byte("log")}

// bucket returns where the account keeps a part, or nil.
func (a *account) bucket(tx *bolt.Tx, part []byte) *bolt.Bucket {
	b := tx.Bucket([]byte("v1"))
	if b != nil {
		b = b.Bucket(a.name)
	}
	if b != nil {
		b = b.Bucket(part)
	}
	return b
}

var errOnPurpose = errors.New("rolled back on purpose")

func (a *account) run() error {
	for n := 0; time.Now().Before(a.s.end); n++ {
		time.Sleep(a.s.rest)
		next := maps.Clone(a.want)
		seed := a.r.Uint64()
		undo := a.r.IntN(10) == 0
		// The function may be run more than once, and does the same each time.
		fn := func(tx *bolt.Tx) error {
			next = maps.Clone(a.want)
			if err := a.change(tx, rand.New(rand.NewPCG(seed, 0)), next); err != nil {
				return err
			}
			if undo {
				return errOnPurpose
			}
			return nil
		}
		err := a.write(n, fn)
		switch {
		case undo && err == errOnPurpose:
			continue
		case err != nil:
			return err
		}
		a.want = next
		a.s.writes.Add(1)
		if n%50 == 0 {
			if err := a.s.db.View(a.compare); err != nil {
				return err
			}
		}
	}
	return nil
}

// write runs fn in a transaction of one of the kinds.
func (a *account) write(n int, fn func(tx *bolt.Tx) error) error {
	switch n % 4 {
	case 0:
		return a.s.db.Batch(fn)
	case 1:
		tx, err := a.s.db.Begin(true)
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			if end := tx.Rollback(); end != nil {
				return end
			}
			return err
		}
		return tx.Commit()
	}
	return a.s.db.Update(fn)
}

// change makes a few random changes.
func (a *account) change(tx *bolt.Tx, r *rand.Rand, want map[string]string) error {
	b, err := tx.CreateBucketIfNotExists([]byte("v1"))
	if err == nil {
		b, err = b.CreateBucketIfNotExists(a.name)
	}
	if err != nil {
		return err
	}
	for range 1 + r.IntN(10) {
		name := parts[r.IntN(len(parts))]
		part, err := b.CreateBucketIfNotExists(name)
		if err != nil {
			return err
		}
		key := fmt.Sprintf("%05d", r.IntN(2000))
		switch r.IntN(20) {
		case 0: // all of it, rarely
			if r.IntN(20) != 0 {
				continue
			}
			maps.DeleteFunc(want, func(k, _ string) bool { return bytes.HasPrefix([]byte(k), name) })
			if err := b.DeleteBucket(name); err != nil {
				return err
			}
		case 1, 2, 3, 4, 5, 6: // some, with a cursor
			c := part.Cursor()
			k, _ := c.Seek([]byte(key))
			for i := 0; k != nil && i < 5; i++ {
				delete(want, string(name)+string(k))
				if err := c.Delete(); err != nil {
					return err
				}
				k, _ = c.Next()
			}
		default:
			size := r.IntN(200)
			if r.IntN(30) == 0 {
				size = r.IntN(30000)
			}
			value := bytes.Repeat([]byte{byte(r.Uint32())}, size)
			want[string(name)+key] = string(value)
			if err := part.Put([]byte(key), value); err != nil {
				return err
			}
		}
	}
	return nil
}

// compare makes sure that the account is as remembered.
func (a *account) compare(tx *bolt.Tx) error {
	got := make(map[string]string)
	for _, part := range parts {
		if b := a.bucket(tx, part); b != nil {
			err := b.ForEach(func(k, v []byte) error {
				got[string(part)+string(k)] = string(v)
				return nil
			})
			if err != nil {
				return err
			}
		}
	}
	if maps.Equal(got, a.want) {
		return nil
	}
	for _, k := range slices.Sorted(maps.Keys(a.want)) {
		if v, ok := got[k]; !ok || v != a.want[k] {
			return fmt.Errorf("%s: key %s is not as written (there: %t)", a.name, k, ok)
		}
	}
	return fmt.Errorf("%s: %d keys instead of %d", a.name, len(got), len(a.want))
}
