package folio_test

// Transactions that share flushes. A gate decides how long a flush takes, so which
// transactions come meanwhile is known.

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs"
)

// groupDB is a database in memory behind a gate, with an empty bucket b.
type groupDB struct {
	*folio.DB
	t    *testing.T
	gate *foliotest.Gate
}

func openGroup(t *testing.T, o *folio.Options) *groupDB {
	gate := foliotest.NewGate(vfs.NewMem())
	db, err := folio.OpenFS(gate, "db", 0o600, o)
	require.NoError(t, err)
	g := &groupDB{db, t, gate}
	t.Cleanup(func() { gate.Open(); require.NoError(t, db.Close()) })
	require.NoError(t, db.Update(func(tx *folio.Tx) error {
		_, err := tx.CreateBucket([]byte("b"))
		return err
	}))
	return g
}

func putKey(key string) func(*folio.Tx) error {
	return func(tx *folio.Tx) error { return tx.Bucket([]byte("b")).Put([]byte(key), []byte(key)) }
}

// startFlush makes a commit whose flush waits at the gate, and returns its result.
func (g *groupDB) startFlush(key string) <-chan error {
	g.gate.Shut()
	result := make(chan error, 1)
	go func() { result <- g.Update(putKey(key)) }()
	g.gate.Await()
	return result
}

// join runs fn in an Update, which waits for the flush in progress. When it returns,
// fn has been run.
func (g *groupDB) join(fn func(*folio.Tx) error) <-chan error {
	result, ran := make(chan error, 1), make(chan bool)
	go func() {
		// A panic or Goexit leaves no result but this.
		err := errors.New("the function has not returned")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("panic: %v", p)
			}
			result <- err
		}()
		err = g.Update(func(tx *folio.Tx) error {
			defer close(ran)
			return fn(tx)
		})
	}()
	<-ran
	return result
}

func (g *groupDB) notYet(results ...<-chan error) {
	g.t.Helper()
	for i, r := range results {
		select {
		case err := <-r:
			g.t.Fatalf("transaction %d did not wait: %v", i, err)
		default:
		}
	}
}

// keys returns what readers see in b.
func (g *groupDB) keys() (keys []string) {
	require.NoError(g.t, g.View(func(tx *folio.Tx) error {
		for k := range tx.Bucket([]byte("b")).All() {
			keys = append(keys, string(k))
		}
		return foliotest.Check(tx)
	}))
	return keys
}

// TestGroupNoRoom: a transaction that is too large for the file fails, and the others of its
// group do not.
func TestGroupNoRoom(t *testing.T) {
	g := openGroup(t, &folio.Options{MaxSize: 1 << 20})
	results := []<-chan error{g.startFlush("1"), g.join(putKey("2"))}
	large := g.join(func(tx *folio.Tx) error {
		for i := range 2000 {
			if err := tx.Bucket([]byte("b")).Put(fmt.Appendf(nil, "large %d", i), make([]byte, 900)); err != nil {
				return err
			}
		}
		return nil
	})
	results = append(results, g.join(putKey("3")))
	g.gate.Open()
	require.ErrorIs(t, <-large, folio.ErrMaxSizeReached)
	for _, r := range results {
		require.NoError(t, <-r)
	}
	require.Equal(t, []string{"1", "2", "3"}, g.keys())
}

// TestGroup is transactions of all kinds that come while another is being flushed.
func TestGroup(t *testing.T) {
	g := openGroup(t, nil)
	before := g.Stats()
	first := g.startFlush("1")
	runs := 0
	counted := func(fn func(*folio.Tx) error) func(*folio.Tx) error {
		return func(tx *folio.Tx) error { runs++; return fn(tx) }
	}
	with := func(key string, then func()) func(*folio.Tx) error {
		return counted(func(tx *folio.Tx) error {
			err := putKey(key)(tx)
			then()
			return err
		})
	}
	r2 := g.join(with("2", func() {}))
	failed := g.join(counted(func(tx *folio.Tx) error {
		require.NoError(t, putKey("x")(tx))
		return errModel
	}))
	panicked := g.join(with("y", func() { panic("oops") }))
	gone := g.join(with("z", runtime.Goexit))
	r3 := g.join(counted(func(tx *folio.Tx) error {
		b := tx.Bucket([]byte("b"))
		require.EqualValues(t, 2, b.Len(), "it sees those before it")
		require.Equal(t, "2", string(b.Get([]byte("2"))))
		return errors.Join(foliotest.Check(tx), putKey("3")(tx))
	}))
	nothing := g.join(counted(func(*folio.Tx) error { return nil }))
	g.notYet(first, r2, failed, panicked, gone, r3, nothing)
	require.Empty(t, g.keys(), "nothing is durable yet")

	g.gate.PassOne()
	require.NoError(t, <-first)
	require.Equal(t, []string{"1"}, g.keys())
	g.gate.Await() // the flush of the others
	g.notYet(r2, failed, panicked, gone, r3, nothing)
	require.Equal(t, []string{"1"}, g.keys())

	g.gate.Open()
	require.NoError(t, <-r2)
	require.Equal(t, errModel, <-failed)
	require.EqualError(t, <-panicked, "panic: oops")
	require.EqualError(t, <-gone, "the function has not returned")
	require.NoError(t, <-r3)
	require.NoError(t, <-nothing)
	require.Equal(t, []string{"1", "2", "3"}, g.keys())
	require.Equal(t, 6, runs)
	after := g.Stats()
	d := after.Sub(&before)
	require.EqualValues(t, 3, d.TxStats.Commits)
	require.EqualValues(t, 2, d.TxStats.Groups)
	require.EqualValues(t, 2, d.Flushes)
	require.LessOrEqual(t, d.TxStats.Pages, int64(4), "a page that several have changed is written once")
}

// TestGroupPages: many transactions that change the same page write it once.
func TestGroupPages(t *testing.T) {
	g := openGroup(t, nil)
	first := g.startFlush("first")
	before := g.Stats()
	var results []<-chan error
	for i := range 50 {
		results = append(results, g.join(putKey(fmt.Sprintf("key %02d", i))))
	}
	g.gate.Open()
	require.NoError(t, <-first)
	for _, r := range results {
		require.NoError(t, <-r)
	}
	after := g.Stats()
	d := after.Sub(&before)
	require.EqualValues(t, 51, d.TxStats.Commits)
	require.EqualValues(t, 2, d.TxStats.Groups)
	require.LessOrEqual(t, d.TxStats.Pages, int64(4))
	require.Len(t, g.keys(), 51)
}

// TestGroupOrder: the transactions of a group are published together, functions of
// OnCommit are called once, after that, in their own goroutines.
func TestGroupOrder(t *testing.T) {
	g := openGroup(t, nil)
	first := g.startFlush("first")
	var mu sync.Mutex
	var ids []int
	calls := make(map[int]uint64)
	var results []<-chan error
	for i := range 10 {
		results = append(results, g.join(func(tx *folio.Tx) error {
			id := tx.ID()
			ids = append(ids, id)
			tx.OnCommit(func() {
				mu.Lock()
				defer mu.Unlock()
				require.NoError(t, g.View(func(tx *folio.Tx) error {
					calls[id] += tx.Bucket([]byte("b")).Len()
					return nil
				}))
			})
			return putKey(fmt.Sprint(i))(tx)
		}))
	}
	require.IsIncreasing(t, ids)
	require.Empty(t, calls)
	g.gate.Open()
	require.NoError(t, <-first)
	for _, r := range results {
		require.NoError(t, <-r)
	}
	require.Len(t, calls, 10)
	for _, n := range calls {
		require.EqualValues(t, 11, n)
	}
	require.Equal(t, ids[9], g.Info().TxID)
}

// TestGroupByHand: a transaction begun by hand first lets those go that wait.
func TestGroupByHand(t *testing.T) {
	for name, begin := range map[string]func(*groupDB) (*folio.Tx, error){
		"Begin":    func(g *groupDB) (*folio.Tx, error) { return g.Begin(true) },
		"TryBegin": func(g *groupDB) (*folio.Tx, error) { return g.TryBegin() },
	} {
		t.Run(name, func(t *testing.T) {
			g := openGroup(t, nil)
			first := g.startFlush("1")
			second := g.join(putKey("2"))
			third := g.join(putKey("3"))
			// Whoever has put 3 may still have the lock, for an instant.
			begun := make(chan *folio.Tx)
			go func() {
				for {
					tx, err := begin(g)
					if err == nil {
						begun <- tx
						return
					}
					if !errors.Is(err, folio.ErrWriterBusy) {
						t.Error(err)
						close(begun)
						return
					}
				}
			}()
			g.gate.PassOne()
			require.NoError(t, <-first)
			g.gate.Await()
			g.gate.PassOne()
			tx := <-begun
			require.NotNil(t, tx)
			require.NoError(t, <-second)
			require.NoError(t, <-third)
			require.Equal(t, []string{"1", "2", "3"}, g.keys())
			require.NoError(t, putKey("4")(tx))
			_, err := g.TryBegin()
			require.Equal(t, folio.ErrWriterBusy, err)
			g.gate.Open()
			require.NoError(t, tx.Commit())
			require.Equal(t, []string{"1", "2", "3", "4"}, g.keys())
		})
	}
}

// TestGroupReadOnlyWaits: what changes nothing, or fails, waits for what it has seen,
// also when nobody else does.
func TestGroupReadOnlyWaits(t *testing.T) {
	for name, want := range map[string]error{"nothing": nil, "fails": errModel} {
		t.Run(name, func(t *testing.T) {
			g := openGroup(t, nil)
			first := g.startFlush("1")
			r := g.join(func(tx *folio.Tx) error {
				require.EqualValues(t, 1, tx.Bucket([]byte("b")).Len())
				return want
			})
			g.notYet(first, r)
			require.Empty(t, g.keys())
			g.gate.Open()
			require.NoError(t, <-first)
			require.Equal(t, want, <-r)
			require.Equal(t, []string{"1"}, g.keys())
		})
	}
}

// TestGroupClose: Close lets those that wait become durable.
func TestGroupClose(t *testing.T) {
	g := openGroup(t, nil)
	first := g.startFlush("1")
	second := g.join(putKey("2"))
	closed := make(chan error, 1)
	go func() { closed <- g.Close() }()
	g.notYet(first, second, closed)
	g.gate.Open()
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	require.NoError(t, <-closed)
	require.Equal(t, folio.ErrDatabaseNotOpen, g.Update(putKey("3")))
	_, err := g.TryBegin()
	require.Equal(t, folio.ErrDatabaseNotOpen, err)
	db, err := folio.OpenFS(g.gate, "db", 0o600, nil)
	require.NoError(t, err)
	g.DB = db
	require.Equal(t, []string{"1", "2"}, g.keys())
	require.NoError(t, db.Close())
}

// TestGroupSpill: a group in which some transactions are larger than memory, and some
// of these fail.
func TestGroupSpill(t *testing.T) {
	g := openGroup(t, &folio.Options{MaxDirty: 64 << 10})
	fill := func(name string, err error) func(*folio.Tx) error {
		return func(tx *folio.Tx) error {
			b := tx.Bucket([]byte("b"))
			for i := range 1000 {
				if err := b.Put(fmt.Appendf(nil, "%s %d", name, i*7919%1000), make([]byte, 400)); err != nil {
					return err
				}
			}
			return errors.Join(foliotest.Check(tx), err)
		}
	}
	first := g.startFlush("first")
	results := []<-chan error{
		g.join(fill("x", errModel)), g.join(fill("a", nil)), g.join(fill("y", errModel)),
		g.join(putKey("small")), g.join(fill("b", nil)), g.join(fill("z", errModel)),
	}
	g.notYet(results...)
	g.gate.Open()
	require.NoError(t, <-first)
	for i, r := range results {
		if err := <-r; i%2 == 0 && i != 4 || i == 5 {
			require.ErrorIs(t, err, errModel)
		} else {
			require.NoError(t, err)
		}
	}
	require.Len(t, g.keys(), 2002)
	require.Less(t, g.Stats().Size, int64(6<<20))
}

// TestGroupContext: who waits for the lock can give up, and the lock goes on.
func TestGroupContext(t *testing.T) {
	g := openGroup(t, nil)
	tx, err := g.Begin(true)
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("enough")
	results := make(chan error, 10)
	for i := range 10 {
		go func() {
			if i%2 == 0 {
				_, err := g.BeginContext(ctx, true)
				results <- err
				return
			}
			results <- g.UpdateContext(ctx, func(*folio.Tx) error { return errors.New("it was called") })
		}()
	}
	cancel(cause)
	for range 10 {
		require.Equal(t, cause, <-results)
	}
	require.NoError(t, tx.Rollback())
	require.NoError(t, g.Update(putKey("1")))
}

// TestContextDone: what is done already begins nothing, though nothing is in its way.
func TestContextDone(t *testing.T) {
	g := openGroup(t, nil)
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	r, err := g.BeginContext(ctx, false)
	require.NoError(t, err)
	defer r.Rollback()
	require.NoError(t, g.UpdateContext(ctx, putKey("1")))
	cancel(cause)
	require.Equal(t, cause, g.UpdateContext(ctx, putKey("2")))
	for _, writable := range []bool{true, false} {
		tx, err := g.BeginContext(ctx, writable)
		if err == nil {
			require.NoError(t, tx.Rollback())
		}
		require.Equal(t, cause, err, "writable: %v", writable)
	}
	require.Equal(t, 1, g.Stats().OpenTxN, "the reader that was begun before")
	require.NoError(t, r.Rollback())
	tx, err := g.TryBegin()
	require.NoError(t, err, "the lock was let go")
	require.NoError(t, tx.Rollback())
	require.Len(t, g.keys(), 1)
}

// TestGroupSlowReader: the callback may use the database, whoever writes the group.
func TestGroupSlowReader(t *testing.T) {
	var g *groupDB
	var mu sync.Mutex
	var told []folio.SlowReader
	g = openGroup(t, &folio.Options{SlowReaderAge: 1, OnSlowReader: func(r folio.SlowReader) {
		mu.Lock()
		told = append(told, r)
		mu.Unlock()
		if err := g.Update(putKey("told")); err != nil {
			t.Error(err)
		}
	}})
	reader, err := g.Begin(false)
	require.NoError(t, err)
	require.Zero(t, g.Stats().OldestAge)
	require.NoError(t, g.Update(putKey("0")))
	require.Empty(t, told, "when it was published, the reader's snapshot was the newest")
	require.Equal(t, errModel, g.Update(func(tx *folio.Tx) error {
		require.NoError(t, putKey("x")(tx))
		return errModel
	}))
	require.Empty(t, told, "there was no commit")

	first := g.startFlush("1") // it tells, when it has ended
	second := g.join(putKey("2"))
	begun := make(chan *folio.Tx)
	go func() {
		tx, err := g.Begin(true)
		if err != nil {
			t.Error(err)
		}
		begun <- tx
	}()
	g.gate.Open()
	tx := <-begun
	require.NoError(t, <-second)
	require.NoError(t, tx.Rollback())
	require.NoError(t, <-first)
	require.Len(t, told, 1, "once for a snapshot")
	require.Equal(t, reader.ID(), told[0].TxID)
	require.Positive(t, told[0].Age)
	s := g.Stats()
	require.Equal(t, reader.ID(), s.Oldest)
	require.Positive(t, s.OldestAge)
	require.Positive(t, s.Retained)
	require.NoError(t, reader.Rollback())
	require.NoError(t, g.Update(putKey("3")))
	require.Zero(t, g.Stats().Retained)
	require.Len(t, told, 1)
}

// TestGroupFails: when a flush fails, so does all that was built on it, and readers go
// on to see the state before.
func TestGroupFails(t *testing.T) {
	for _, members := range []bool{false, true} {
		g := openGroup(t, nil)
		require.NoError(t, g.Update(putKey("0")))
		first := g.startFlush("1")
		var results []<-chan error
		if members {
			results = append(results, g.join(putKey("2")))
		}
		seen := func(tx *folio.Tx) error {
			require.NotNil(t, tx.Bucket([]byte("b")).Get([]byte("1")))
			return nil
		}
		results = append(results, g.join(seen))
		oops := errors.New("the disk is gone")
		g.gate.Break(oops)
		g.gate.Open()
		require.ErrorIs(t, <-first, oops)
		for _, r := range results {
			require.ErrorIs(t, <-r, folio.ErrLatched, "it has seen what is not there")
		}
		require.Equal(t, []string{"0"}, g.keys())
		require.ErrorIs(t, g.Update(putKey("3")), folio.ErrLatched)
		_, err := g.TryBegin()
		require.ErrorIs(t, err, folio.ErrLatched)
	}
}

// TestGroupDurability: transactions that share a flush share the strongest durability
// of theirs.
func TestGroupDurability(t *testing.T) {
	g := openGroup(t, nil)
	with := func(key string, d folio.Durability) func(*folio.Tx) error {
		return func(tx *folio.Tx) error { return errors.Join(tx.SetDurability(d), putKey(key)(tx)) }
	}
	flushes := func(fn func()) uint64 {
		before := g.Stats().Flushes
		fn()
		return g.Stats().Flushes - before
	}
	require.Zero(t, flushes(func() { require.NoError(t, g.Update(with("0", folio.DurabilityNone))) }))
	require.Equal(t, []string{"0"}, g.keys())
	for i, d := range []folio.Durability{folio.DurabilityNone, folio.DurabilityFull} {
		first := g.startFlush(fmt.Sprintf("%d first", i))
		weak := g.join(with(fmt.Sprintf("%d weak", i), folio.DurabilityNone))
		other := g.join(with(fmt.Sprintf("%d other", i), d))
		g.notYet(weak, other)
		more := 0
		if d == folio.DurabilityFull {
			more = 1
		}
		require.EqualValues(t, more, flushes(func() {
			g.gate.PassOne()
			require.NoError(t, <-first)
			if d == folio.DurabilityFull {
				g.gate.Await()
				g.notYet(weak, other)
			}
			g.gate.Open()
			require.NoError(t, <-weak)
			require.NoError(t, <-other)
		}))
	}
	require.Len(t, g.keys(), 7)
	require.NotZero(t, flushes(func() { require.NoError(t, g.Sync()) }))
}

// TestGroupByHandWaits: whoever has a transaction begun by hand can wait for the
// Updates that have run before it, however the flushes fall.
func TestGroupByHandWaits(t *testing.T) {
	db := openTemp(t, nil)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	var mu sync.Mutex
	changed := sync.NewCond(&mu)
	ran, returned := 0, 0
	stop := make(chan bool)
	var updaters sync.WaitGroup
	for i := range 4 {
		updaters.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := db.Update(func(tx *folio.Tx) error {
					mu.Lock()
					defer mu.Unlock()
					ran++
					return tx.Cursor().Bucket().Put(number(i), number(ran))
				})
				mu.Lock()
				returned++
				changed.Broadcast()
				mu.Unlock()
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	for range rounds {
		tx, err := db.Begin(true)
		require.NoError(t, err)
		mu.Lock()
		for want := ran; returned < want; {
			changed.Wait()
		}
		mu.Unlock()
		require.NoError(t, tx.Rollback())
	}
	close(stop)
	updaters.Wait()
}

// TestGroupSync: a function given to Update may call Sync while a transaction that
// waits has been told to write its group, for which it needs the lock that the
// function has.
func TestGroupSync(t *testing.T) {
	g := openGroup(t, nil)
	first := g.startFlush("a")
	second := g.join(putKey("b"))
	started, goOn := make(chan bool), make(chan bool)
	third := make(chan error, 1)
	go func() {
		third <- g.Update(func(tx *folio.Tx) error {
			close(started)
			<-goOn
			return errors.Join(g.Sync(), putKey("c")(tx))
		})
	}()
	<-started
	g.gate.Open()
	require.NoError(t, <-first)
	close(goOn)
	require.NoError(t, <-third)
	require.NoError(t, <-second)
}
