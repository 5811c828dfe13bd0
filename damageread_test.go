package folio_test

// Everything that can be read from a file that may be damaged, in every way, compared
// with what was stored: each read gives that, or an error.

import (
	"bytes"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// survey is what came of reading a file.
type survey struct {
	db      *folio.DB
	want    *foliotest.Bucket
	rnd     *rand.Rand
	managed bool             // Views, not transactions begun by hand
	verify  folio.VerifyMode // of the database

	errs       []error
	wrong      []string
	unverified int             // long values that differ, which only Check verifies
	lost       map[string]bool // keys that cannot be read, with their path
}

// place is a bucket of the model.
type place struct {
	path []string
	m    *foliotest.Bucket
}

// places returns m and all buckets in it.
func places(m *foliotest.Bucket) []place {
	all := []place{{nil, m}}
	for i := 0; i < len(all); i++ {
		p := all[i]
		for _, name := range p.m.Subs() {
			all = append(all, place{append(p.path[:len(p.path):len(p.path)], name), p.m.Sub(name)})
		}
	}
	return all
}

func (p *place) key(k string) string { return fmt.Sprintf("%q %q", p.path, k) }

// open returns the bucket of a place, or nil if that cannot be read.
func (p *place) open(tx *folio.Tx) *folio.Bucket {
	b := tx.Cursor().Bucket()
	for _, name := range p.path {
		if b = b.Bucket([]byte(name)); b == nil {
			return nil
		}
	}
	return b
}

// differs takes note of a read that returned something else than what was stored, if
// no error says so.
func (s *survey) differs(tx *folio.Tx, format string, args ...any) {
	if tx.Err() == nil {
		s.wrong = append(s.wrong, fmt.Sprintf(format, args...))
	}
}

// read runs fn with a bucket, and returns the error that reading it gave.
func (s *survey) read(p place, fn func(tx *folio.Tx, b *folio.Bucket)) error {
	in := func(tx *folio.Tx) error {
		b := p.open(tx)
		if b == nil {
			s.differs(tx, "there is no bucket %q", p.path)
			return tx.Err()
		}
		fn(tx, b)
		return tx.Err()
	}
	var err error
	if s.managed {
		err = s.db.View(in)
	} else {
		var tx *folio.Tx
		if tx, err = s.db.Begin(false); err == nil {
			err = in(tx)
			if end := tx.Rollback(); err == nil {
				err = end
			}
		}
	}
	if err != nil {
		s.errs = append(s.errs, err)
	}
	return err
}

// same compares a value. nil and empty ones differ.
func (s *survey) same(got, want []byte) bool {
	if bytes.Equal(got, want) && (got == nil) == (want == nil) {
		return true
	}
	if s.verify == folio.VerifyFirst && len(want) >= unverifiedSize && len(got) == len(want) {
		s.unverified++
		return true
	}
	return false
}

// all reads everything.
func (s *survey) all() {
	for _, p := range places(s.want) {
		s.gets(p)
		for _, fn := range []func(place, *folio.Tx, *folio.Bucket){
			s.scans, s.iterators, s.seeks, s.positions, s.many, s.buckets,
		} {
			_ = s.read(p, func(tx *folio.Tx, b *folio.Bucket) { fn(p, tx, b) })
		}
	}
}

// gets looks up every key, and each that is not there, and remembers which failed.
func (s *survey) gets(p place) {
	if s.lost == nil {
		s.lost = map[string]bool{}
	}
	for i := 0; i < p.m.Len(); i++ {
		opened := false
		err := s.read(p, func(tx *folio.Tx, b *folio.Bucket) {
			for opened = true; i < p.m.Len(); i++ {
				if s.get(p, tx, b, p.m.Key(i)); tx.Err() != nil {
					return
				}
			}
		})
		for ; err != nil && !opened && i < p.m.Len(); i++ {
			s.lost[p.key(p.m.Key(i))] = true
		}
		if i < p.m.Len() {
			s.lost[p.key(p.m.Key(i))] = true
		}
	}
}

func (s *survey) get(p place, tx *folio.Tx, b *folio.Bucket, key string) {
	if v := b.Get([]byte(key)); !s.same(v, p.m.Get(key)) {
		s.differs(tx, "Get(%.40q) in %q is %s", key, p.path, foliotest.Short(v))
	}
	if s.rnd.IntN(4) > 0 {
		return
	}
	if in := b.Bucket([]byte(key)); (in != nil) != (p.m.Sub(key) != nil) {
		s.differs(tx, "Bucket(%.40q) in %q is %v", key, p.path, in)
	}
	if absent := key + "\x00"; !p.m.Has(absent) && b.Get([]byte(absent)) != nil {
		s.differs(tx, "Get(%.40q) in %q is not nil", absent, p.path)
	}
}

// scans goes through a bucket with a cursor, both ways.
func (s *survey) scans(p place, tx *folio.Tx, b *folio.Bucket) {
	c := b.Cursor()
	i := 0
	for k, v := c.First(); k != nil && i <= p.m.Len(); k, v = c.Next() {
		s.entry(p, tx, i, k, v)
		i++
	}
	if i != p.m.Len() {
		s.differs(tx, "%d keys in %q, forward", i, p.path)
	}
	for k, v := c.Last(); k != nil && i >= 0; k, v = c.Prev() {
		i--
		s.entry(p, tx, i, k, v)
	}
	if i != 0 {
		s.differs(tx, "%d keys in %q are left, backward", i, p.path)
	}
}

// entry compares key i and its value.
func (s *survey) entry(p place, tx *folio.Tx, i int, k, v []byte) {
	if i < 0 || i >= p.m.Len() {
		s.differs(tx, "a key %s in %q that is not there", foliotest.Short(k), p.path)
		return
	}
	if string(k) != p.m.Key(i) || !s.same(v, p.m.Get(p.m.Key(i))) {
		s.differs(tx, "key %d in %q is %s, its value %s", i, p.path, foliotest.Short(k), foliotest.Short(v))
	}
}

// iterators goes through a bucket, and parts of it, with iterators.
func (s *survey) iterators(p place, tx *folio.Tx, b *folio.Bucket) {
	var lo, hi []byte
	if n := p.m.Len(); n > 0 {
		lo, hi = []byte(p.m.Key(s.rnd.IntN(n))), []byte(p.m.Key(s.rnd.IntN(n)))
	}
	from, to := p.m.Range(lo, hi)
	whole := p.m.Len()
	s.iterate(p, tx, b.All(), 0, whole, 1)
	s.iterate(p, tx, b.Backward(), whole-1, -1, -1)
	s.iterate(p, tx, b.Range(lo, hi), from, to, 1)
	s.iterate(p, tx, b.RangeBackward(lo, hi), to-1, from-1, -1)
	if len(lo) > 0 {
		prefix := lo[:1+len(lo)/2]
		from, to := p.m.Range(prefix, folio.PrefixEnd(prefix))
		s.iterate(p, tx, b.Prefix(prefix), from, to, 1)
		s.iterate(p, tx, b.PrefixBackward(prefix), to-1, from-1, -1)
	}
}

func (s *survey) iterate(p place, tx *folio.Tx, seq iter.Seq2[[]byte, []byte], i, end, step int) {
	for k, v := range seq {
		if i == end {
			s.differs(tx, "an iterator of %q goes on with %s", p.path, foliotest.Short(k))
			return
		}
		s.entry(p, tx, i, k, v)
		i += step
	}
	if i != end {
		s.differs(tx, "an iterator of %q ends at %d, not %d", p.path, i, end)
	}
}

// seeks goes to some keys, and to what is beside them.
func (s *survey) seeks(p place, tx *folio.Tx, b *folio.Bucket) {
	c := b.Cursor()
	for i := s.rnd.IntN(5); i < p.m.Len(); i += 5 {
		k, v := c.Seek([]byte(p.m.Key(i)))
		s.entry(p, tx, i, k, v)
		absent := p.m.Key(i) + "\x00"
		if k, _ = c.Seek([]byte(absent)); k == nil && i+1 < p.m.Len() ||
			k != nil && (i+1 >= p.m.Len() || string(k) != p.m.Key(i+1)) {
			s.differs(tx, "Seek behind key %d of %q leads to %s", i, p.path, foliotest.Short(k))
		}
		if tx.Err() != nil {
			return
		}
	}
}

// positions asks for what the counts in the branches tell.
func (s *survey) positions(p place, tx *folio.Tx, b *folio.Bucket) {
	n := p.m.Len()
	if b.Len() != uint64(n) || b.Count(nil, nil) != uint64(n) || b.Sequence() != p.m.Sequence {
		s.differs(tx, "%q has %d keys, sequence %d", p.path, b.Len(), b.Sequence())
	}
	for i := s.rnd.IntN(3); i < n && tx.Err() == nil; i += 1 + s.rnd.IntN(7) {
		k, v := b.At(uint64(i))
		s.entry(p, tx, i, k, v)
		key := []byte(p.m.Key(i))
		if at := b.Rank(key); at != uint64(i) {
			s.differs(tx, "the rank of key %d in %q is %d", i, p.path, at)
		}
		if c := b.Count(key, nil); c != uint64(n-i) {
			s.differs(tx, "%d keys from key %d of %q on", c, i, p.path)
		}
	}
	if k, _ := b.At(uint64(n)); k != nil {
		s.differs(tx, "%q has a key behind the last", p.path)
	}
}

// many looks all keys up together.
func (s *survey) many(p place, tx *folio.Tx, b *folio.Bucket) {
	keys := make([][]byte, p.m.Len())
	for i := range keys {
		keys[i] = []byte(p.m.Key(i))
	}
	values := make([][]byte, len(keys))
	b.GetMany(keys, values)
	for i, v := range values {
		if !s.same(v, p.m.Get(p.m.Key(i))) {
			s.differs(tx, "GetMany of key %d in %q gives %s", i, p.path, foliotest.Short(v))
			return
		}
	}
}

// buckets goes through the nested buckets in the ways there are for them.
func (s *survey) buckets(p place, tx *folio.Tx, b *folio.Bucket) {
	subs := p.m.Subs()
	check := func(how string, seen int, err error) {
		if err == nil && seen != len(subs) {
			s.differs(tx, "%s sees %d buckets in %q", how, seen, p.path)
		}
	}
	seen := 0
	err := b.ForEachBucket(func(k []byte) error {
		if seen >= len(subs) || subs[seen] != string(k) {
			s.differs(tx, "ForEachBucket sees %s in %q", foliotest.Short(k), p.path)
		}
		seen++
		return nil
	})
	check("ForEachBucket", seen, err)
	seen = 0
	for _, in := range b.Buckets() {
		if in != nil {
			seen++
		}
	}
	check("Buckets", seen, nil)
	seen = 0
	err = b.ForEach(func(_, v []byte) error {
		if v == nil {
			seen++
		}
		return nil
	})
	check("ForEach", seen, err)
}

// outside looks at the file as kvctl does. stats is what the statistics should be.
func (s *survey) outside(stats *folio.BucketStats) {
	_ = s.read(place{nil, s.want}, func(tx *folio.Tx, b *folio.Bucket) {
		if got := b.Stats(); stats != nil && got != *stats {
			s.differs(tx, "statistics %+v, expected %+v", got, *stats)
		}
	})
	_ = s.read(place{nil, s.want}, func(tx *folio.Tx, b *folio.Bucket) {
		if err := tx.PageMap(func(u folio.PageUse) error { return nil }); err != nil {
			s.errs = append(s.errs, err)
		}
		for id := 0; ; id++ {
			info, err := tx.Page(id)
			if err != nil {
				s.errs = append(s.errs, err)
			}
			if info == nil {
				return
			}
		}
	})
}

// copyOf returns a copy of the database, or nil if an error says that there is none.
func (s *survey) copyOf() []byte {
	var copied bytes.Buffer
	err := s.db.View(func(tx *folio.Tx) error { _, err := tx.WriteTo(&copied); return err })
	if err != nil {
		s.errs = append(s.errs, err)
		return nil
	}
	return copied.Bytes()
}

// checkErrors returns all that Check finds, and an error that is not about damage.
func checkErrors(db *folio.DB) (found []error, foreign error) {
	err := db.View(func(tx *folio.Tx) error {
		for err := range tx.Check() {
			found = append(found, err)
			if !errors.Is(err, folio.ErrCorrupt) {
				foreign = errors.Join(foreign, err)
			}
		}
		return nil
	})
	return found, errors.Join(foreign, err)
}
