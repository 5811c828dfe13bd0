package folio_test

// Everything at once, on a real file: what has returned is visible, whatever was read
// is consistent, and nobody waits for ever.

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/invariants"
)

// stress is counters, one for each worker, and their sum, in a database and beside it.
type stress struct {
	*folio.DB
	t       *testing.T
	visible []atomic.Uint64 // by worker: increments that have returned
}

var sumKey = []byte("sum")

func counter(b *folio.Bucket, key []byte) uint64 {
	if v := b.Get(key); v != nil {
		return binary.BigEndian.Uint64(v)
	}
	return 0
}

// add is a transaction that increments the counter of w, and the sum.
func (s *stress) add(tx *folio.Tx, w int) error {
	b, err := tx.CreateBucketIfNotExists([]byte("counters"))
	if err != nil {
		return err
	}
	for _, k := range [][]byte{number(w), sumKey} {
		if err := b.Put(k, binary.BigEndian.AppendUint64(nil, counter(b, k)+1)); err != nil {
			return err
		}
	}
	// Something to free, and to write.
	return b.Put([]byte("filler"), make([]byte, 100*int(counter(b, number(w))%50)))
}

// look makes sure that the sum is right, and that it sees at least what had returned
// before.
func (s *stress) look(tx *folio.Tx, atLeast []uint64) error {
	b := tx.Bucket([]byte("counters"))
	if b == nil {
		return nil
	}
	var sum uint64
	for w, n := range atLeast {
		got := counter(b, number(w))
		if got < n {
			return fmt.Errorf("worker %d has made %d increments, but %d are seen", w, n, got)
		}
		sum += got
	}
	if all := counter(b, sumKey); all != sum {
		return fmt.Errorf("the sum is %d, the counters make %d", all, sum)
	}
	return nil
}

func (s *stress) returned() []uint64 {
	n := make([]uint64, len(s.visible))
	for w := range n {
		n[w] = s.visible[w].Load()
	}
	return n
}

var errGivenUp = errors.New("given up")

// step does something; true if it has incremented the counter of w.
func (s *stress) step(rnd *rand.Rand, w int) (bool, error) {
	add := func(tx *folio.Tx) error { return s.add(tx, w) }
	fail := func(tx *folio.Tx) error { return errors.Join(s.add(tx, w), errGivenUp) }
	switch rnd.IntN(14) {
	case 0, 1, 2:
		err := s.Update(add)
		return err == nil, err
	case 3:
		if err := s.Update(fail); !errors.Is(err, errGivenUp) {
			return false, err
		}
	case 4:
		return s.byHand(rnd, w, func() (*folio.Tx, error) { return s.Begin(true) })
	case 5:
		done, err := s.byHand(rnd, w, s.TryBegin)
		if err == folio.ErrWriterBusy {
			err = nil
		}
		return done, err
	case 6:
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rnd.IntN(2000))*time.Microsecond)
		defer cancel()
		err := s.UpdateContext(ctx, add)
		if errors.Is(err, context.DeadlineExceeded) {
			return false, nil
		}
		return err == nil, err
	case 7:
		ctx, cancel := context.WithCancelCause(context.Background())
		go cancel(errGivenUp) // before it waits, while it does, or after it
		done, err := s.byHand(rnd, w, func() (*folio.Tx, error) { return s.BeginContext(ctx, true) })
		if err == errGivenUp {
			err = nil
		}
		return done, err
	case 8:
		return false, s.Sync()
	case 9:
		err := s.Batch(add)
		return err == nil, err
	case 10:
		d := folio.Durability(rnd.IntN(3))
		err := s.Update(func(tx *folio.Tx) error { return errors.Join(tx.SetDurability(d), add(tx)) })
		return err == nil, err
	case 11:
		err := s.Update(func(tx *folio.Tx) error {
			if err := tx.Nested(fail); !errors.Is(err, errGivenUp) {
				return err
			}
			return tx.Nested(add)
		})
		return err == nil, err
	default:
		before := s.returned()
		return false, s.View(func(tx *folio.Tx) error { return s.look(tx, before) })
	}
	return false, nil
}

// byHand is an increment in a transaction that is committed, or not, by hand.
func (s *stress) byHand(rnd *rand.Rand, w int, begin func() (*folio.Tx, error)) (bool, error) {
	tx, err := begin()
	if err != nil {
		return false, err
	}
	if err := errors.Join(s.look(tx, s.returned()), s.add(tx, w)); err != nil {
		return false, errors.Join(err, tx.Rollback())
	}
	if rnd.IntN(3) == 0 {
		return false, tx.Rollback()
	}
	err = tx.Commit()
	return err == nil, err
}

func TestStress(t *testing.T) {
	steps := 60
	if testing.Short() || invariants.Enabled {
		steps = 15
	}
	seed := max(1, *seedFlag)
	for name, o := range map[string]*folio.Options{
		"full": {}, "relaxed": {Durability: folio.DurabilityRelaxed, FlushInterval: time.Millisecond},
		"two flushes": {TwoFlushes: true}, "spilling": {MaxDirty: 8 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			db := openTemp(t, o)
			db.MaxBatchDelay, db.MaxBatchSize = time.Millisecond, 8
			s := &stress{DB: db, t: t, visible: make([]atomic.Uint64, 64)}
			var workers sync.WaitGroup
			for w := range s.visible {
				workers.Go(func() {
					rnd := rand.New(rand.NewPCG(seed, uint64(w)))
					for range steps {
						done, err := s.step(rnd, w)
						if err != nil {
							t.Errorf("worker %d: %v", w, err)
							return
						}
						if done {
							s.visible[w].Add(1)
						}
					}
				})
			}
			workers.Wait()
			want := s.returned()
			require.NoError(t, db.View(func(tx *folio.Tx) error {
				b := tx.Bucket([]byte("counters"))
				for w, n := range want {
					require.Equal(t, n, counter(b, number(w)))
				}
				return errors.Join(s.look(tx, want), foliotest.Check(tx))
			}))
		})
	}
}

// TestStressClose closes a database that everybody is using.
func TestStressClose(t *testing.T) {
	for round := range 10 {
		db, err := folio.Open(t.TempDir()+"/db", 0o600, nil)
		require.NoError(t, err)
		db.StrictMode = round%2 == 0
		s := &stress{DB: db, t: t, visible: make([]atomic.Uint64, 16)}
		var workers sync.WaitGroup
		for w := range s.visible {
			workers.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(round), uint64(w)))
				for {
					done, err := s.step(rnd, w)
					if err == folio.ErrDatabaseNotOpen {
						return
					}
					if err != nil {
						t.Errorf("worker %d: %v", w, err)
						return
					}
					if done {
						s.visible[w].Add(1)
					}
				}
			})
		}
		for s.visible[0].Load() < 3 && !t.Failed() {
			time.Sleep(100 * time.Microsecond) // no more than a pause between two looks
		}
		require.NoError(t, db.Close())
		workers.Wait()
		want := s.returned()
		db, err = folio.Open(db.Path(), 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.View(func(tx *folio.Tx) error { return errors.Join(s.look(tx, want), foliotest.Check(tx)) }))
		require.NoError(t, db.Close())
	}
}
