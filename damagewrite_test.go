package folio_test

// Writing to a file that may be damaged: each change is made as it is, or is an error,
// and what could be read before can be read afterwards.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
)

// damageWrite is a change of a bucket and of its model.
type damageWrite func(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error

var damageWrites = []damageWrite{
	writeOver, writeOver, writeNew, writeDeletes, writeDeleteRange, writeDeleteBucket, writeNewBucket, writeSequence,
}

// keysOf returns some keys of m that have values.
func keysOf(rnd *rand.Rand, m *foliotest.Bucket, n int) []string {
	var keys []string
	for range 3 * n {
		if m.Len() == 0 || len(keys) == n {
			break
		}
		if k := m.Key(rnd.IntN(m.Len())); m.Sub(k) == nil {
			keys = append(keys, k)
		}
	}
	return keys
}

func writeOver(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	for _, k := range keysOf(rnd, m, 3) {
		v := make([]byte, rnd.IntN(600))
		if err := b.Put([]byte(k), v); err != nil {
			return err
		}
		m.Put(k, v)
	}
	return nil
}

// writeNew puts enough for splits.
func writeNew(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	for i := range 30 {
		k := fmt.Sprintf("a new key %d", i)
		if rnd.IntN(2) == 0 {
			k = fmt.Sprintf("%08x new", rnd.Uint32())
		}
		v := make([]byte, rnd.IntN(300))
		if err := b.Put([]byte(k), v); err != nil {
			return err
		}
		m.Put(k, v)
	}
	return nil
}

func writeDeletes(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	for _, k := range keysOf(rnd, m, 10) {
		if err := b.Delete([]byte(k)); err != nil {
			return err
		}
		m.Delete(k)
	}
	return nil
}

func writeDeleteRange(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	var bounds [2][]byte
	for i, k := range keysOf(rnd, m, 2) {
		bounds[i] = []byte(k)
	}
	before := m.Clone()
	want, ok := m.DeleteRange(bounds[0], bounds[1])
	n, err := b.DeleteRange(bounds[0], bounds[1])
	switch {
	case err == folio.ErrIncompatibleValue && !ok:
		*m = *before
		return nil
	case err == nil && (!ok || n != uint64(want)):
		return fmt.Errorf("DeleteRange removed %d keys, expected %d, %v", n, want, ok)
	}
	return err
}

func writeDeleteBucket(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	subs := m.Subs()
	if len(subs) == 0 {
		return nil
	}
	name := subs[rnd.IntN(len(subs))]
	m.Delete(name)
	return b.DeleteBucket([]byte(name))
}

func writeNewBucket(rnd *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	name := fmt.Sprintf("a new bucket %d", rnd.IntN(100))
	if m.Has(name) {
		return nil
	}
	in, err := b.CreateBucket([]byte(name))
	if err != nil {
		return err
	}
	m.PutSub(name, foliotest.NewBucket())
	return writeNew(rnd, in, m.Sub(name))
}

func writeSequence(_ *rand.Rand, b *folio.Bucket, m *foliotest.Bucket) error {
	_, err := b.NextSequence()
	m.Sequence++
	return err
}

// write makes n random changes, each in a transaction, and returns what the database
// should hold then; errs is what the others gave.
func (s *survey) write(n int) (after *foliotest.Bucket, errs []error) {
	after = s.want
	for range n {
		all := places(after.Clone())
		p := all[s.rnd.IntN(len(all))]
		err := s.db.Update(func(tx *folio.Tx) error {
			b := p.open(tx)
			if b == nil {
				s.differs(tx, "there is no bucket %q to write to", p.path)
				return tx.Err()
			}
			return damageWrites[s.rnd.IntN(len(damageWrites))](s.rnd, b, p.m)
		})
		if err != nil {
			errs = append(errs, err)
			continue
		}
		after = all[0].m
	}
	return after, errs
}

// writes writes to the file and looks what became of it. reopen opens the file again.
func (s *survey) writes(reopen func() (*folio.DB, error)) error {
	after, errs := s.write(3)
	for _, err := range errs {
		if !errors.Is(err, folio.ErrCorrupt) {
			return fmt.Errorf("a change gave %w", err)
		}
	}
	s.wrong = append(s.wrong, s.spread(after)...)
	found, err := checkErrors(s.db)
	for _, e := range found {
		if strings.Contains(e.Error(), "but also in use") || strings.Contains(e.Error(), "twice") {
			err = errors.Join(err, fmt.Errorf("a change made damage: %w", e))
		}
	}
	if err != nil || s.rnd.IntN(4) > 0 {
		return err
	}
	if err := s.db.Close(); err != nil {
		return err
	}
	if s.db, err = reopen(); err != nil {
		return err
	}
	s.wrong = append(s.wrong, s.spread(after)...)
	return nil
}

// spread reads everything again, and returns what is wrong: also what could be read
// before, and cannot any more. Long keys are apart: a search compares with those that
// begin alike, one of which may be damaged, and with which ones, changes can change.
func (s *survey) spread(after *foliotest.Bucket) []string {
	again := &survey{db: s.db, want: after, rnd: s.rnd, managed: s.managed, verify: s.verify}
	for _, p := range places(after) {
		again.gets(p)
		_ = again.read(p, func(tx *folio.Tx, b *folio.Bucket) { again.scans(p, tx, b) })
	}
	for key := range again.lost {
		if !s.lost[key] && len(key) < s.db.Info().PageSize/8 {
			again.wrong = append(again.wrong, fmt.Sprintf("%.80s cannot be read after changes", key))
		}
	}
	return again.wrong
}
