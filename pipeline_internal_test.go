package folio

// What goroutines do in an unlucky order, which is brought about here step by step.
// Who has taken the token stands for a flush in progress.

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
)

func openInternal(t *testing.T, o Options) *DB {
	db, err := openFS(vfs.NewMem(), "db", 0o600, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	require.NoError(t, db.Update(putInternal("first"))) // it is flushed in any case
	return db
}

func putInternal(key string) func(*Tx) error {
	return func(tx *Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		if err != nil {
			return err
		}
		return b.Put([]byte(key), nil)
	}
}

// until waits for other goroutines.
func until(cond func() bool) {
	for !cond() {
		runtime.Gosched()
	}
}

// TestByHandDelaysNobody: a transaction that waits for its flush is told to lead, and
// before it gets the lock, somebody begins a transaction by hand, and so writes it
// out. It must not wait for the end of that one, which may be waiting for it (G5).
func TestByHandDelaysNobody(t *testing.T) {
	db := openInternal(t, Options{})
	db.token.take(false)
	result := make(chan error, 1)
	go func() { result <- db.Update(putInternal("second")) }()
	until(func() bool {
		db.token.mu.Lock()
		defer db.token.mu.Unlock()
		return len(db.token.sealed) == 1
	})
	require.NoError(t, db.writer.lock(context.Background()))
	db.token.release()
	until(func() bool {
		db.writer.mu.Lock()
		defer db.writer.mu.Unlock()
		return db.writer.first != nil
	})
	tx, err := db.beginByHand()
	require.NoError(t, err)
	select {
	case err = <-result:
		require.NoError(t, err)
	case <-time.After(30 * time.Second):
		t.Error("the Update has not returned")
	}
	require.NoError(t, tx.Rollback())
	require.NoError(t, db.Update(putInternal("third")))
}

// TestFlushLaterAgain: the timer of a relaxed commit comes when a full one has made it
// durable. The next relaxed commit needs a flush again.
func TestFlushLaterAgain(t *testing.T) {
	db := openInternal(t, Options{Durability: DurabilityRelaxed, FlushInterval: time.Hour})
	require.NoError(t, db.Update(putInternal("relaxed")))
	timer := db.flusher.timer
	require.NotNil(t, timer)
	require.NoError(t, db.Update(func(tx *Tx) error {
		require.NoError(t, tx.SetDurability(DurabilityFull))
		return putInternal("full")(tx)
	}))
	db.flushNow()
	require.NoError(t, db.Update(putInternal("relaxed again")))
	require.NotNil(t, db.flusher.timer)
	require.NotSame(t, timer, db.flusher.timer)
}
