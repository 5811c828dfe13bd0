package sidecar

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
)

// attachForTest attaches to the database at a path by a handle of its own.
func attachForTest(t *testing.T, path string, role Role) *Sidecar {
	data, err := vfs.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	t.Cleanup(func() { _ = data.Close() })
	s, err := Open(data, path, Options{Role: role})
	require.NoError(t, err)
	require.NoError(t, s.Ready())
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// TestGiveUpWhatWasGot gives up the turn to write when it was just got.
func TestGiveUpWhatWasGot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	a, b := attachForTest(t, path, SharedWriter), attachForTest(t, path, SharedWriter)
	p := a.want()
	<-p.done
	ok, err := b.TryLockTx()
	require.NoError(t, err)
	require.False(t, ok)
	why := errors.New("why")
	require.ErrorIs(t, a.giveUpX(p, why), why)
	ok, err = b.TryLockTx()
	require.NoError(t, err)
	require.True(t, ok)
}

// TestJoinTheDead joins when the last one has died after it was seen: who joins starts
// over, and is the first.
func TestJoinTheDead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	a, b := attachForTest(t, path, SharedWriter), attachForTest(t, path, SharedWriter)
	at := b.nonceAt
	for _, s := range []*Sidecar{a, b} {
		require.NoError(t, s.locks.UnlockRange(at, 1))
	}
	next, err := (&Sidecar{locks: a.locks}).join(at, true)
	require.NoError(t, err)
	require.Equal(t, startOver, next)
	require.NoError(t, a.locks.UnlockRange(at, 1))
	require.True(t, attachForTest(t, path, SharedWriter).First())
}

// TestHostile sees to it that numbers from the file do not lead outside of it.
func TestHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	s := attachForTest(t, path, SharedWriter)
	for range maxBlocks {
		_, err := s.Claim()
		require.NoError(t, err)
	}
	s.head.blocks.Store(1 << 63)
	require.Empty(t, s.Live())
	require.Len(t, s.Processes(), 1)
}

// TestOneNonce attaches and detaches from many goroutines while the file is deleted as
// fast as can be: all who are attached have the same nonce.
func TestOneNonce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	var mu sync.Mutex
	attached := map[*Sidecar]int64{}
	register := func(s *Sidecar) {
		mu.Lock()
		defer mu.Unlock()
		for _, at := range attached {
			assert.Equal(t, at, s.nonceAt)
		}
		attached[s] = s.nonceAt
	}
	once := func() error {
		data, err := vfs.OS().OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return err
		}
		defer data.Close()
		s, err := Open(data, path, Options{Role: Reader})
		if errors.Is(err, ErrReplaced) {
			return nil
		}
		if err != nil {
			return err
		}
		register(s)
		err = s.Ready()
		runtime.Gosched()
		mu.Lock()
		delete(attached, s)
		mu.Unlock()
		return errors.Join(err, s.Close())
	}
	rounds := 3000
	if testing.Short() {
		rounds = 500
	}
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range rounds {
				assert.NoError(t, once())
			}
		})
	}
	done := make(chan struct{})
	go func() { all.Wait(); close(done) }()
	for {
		select {
		case <-done:
			return
		default:
			_ = os.Remove(path + "-lock")
			runtime.Gosched()
		}
	}
}

// DieNoting is Written by one that is killed before the last store.
func (s *Sidecar) DieNoting(start, n uint64) {
	head := s.head.ring.head.Load()
	s.note(start, n)
	s.head.ring.head.Store(head)
}

// TestPublishOverRemains publishes metas that differ in little from those before, by turns
// from two handles, over what a third has stored of one before it was killed (P4).
func TestPublishOverRemains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	writers := [2]*Sidecar{attachForTest(t, path, SharedWriter), attachForTest(t, path, SharedWriter)}
	var model [2][MetaSize]byte
	for seq := uint64(1); seq < 3000; seq++ {
		w, buf := writers[rand.IntN(2)], &model[seq%2]
		if rand.IntN(3) == 0 {
			for range rand.IntN(20) {
				i, v := rand.IntN(MetaSize/8), rand.Uint64()
				w.meta(seq)[i].Store(v)
				binary.NativeEndian.PutUint64(buf[8*i:], v)
			}
		}
		meta := bytes.Clone(buf[:rand.IntN(MetaSize+1)])
		for range min(rand.IntN(30), len(meta)) {
			meta[rand.IntN(len(meta))] = byte(rand.Uint32())
		}
		if rand.IntN(10) == 0 {
			clear(meta[len(meta)/2:])
		}
		copy(buf[:], meta)
		require.Equal(t, seq, w.Publish(meta, len(meta)))
		var got [MetaSize]byte
		require.Equal(t, seq, writers[0].Read(got[:]))
		require.True(t, got == *buf, "publication %d of %d bytes", seq, len(meta))
	}
}

// TestPublishZeros publishes metas with more zeros or fewer than before, as the only one
// to write, over what another one has left; now and then the file is cut off (P5).
func TestPublishZeros(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	r := attachForTest(t, path, Reader)
	for seq := uint64(1); seq < 3000; {
		w := attachForTest(t, path, Writer)
		for range rand.IntN(300) {
			used := rand.IntN(1 + rand.IntN(MetaSize-8))
			var meta, got [MetaSize]byte
			for i := range meta {
				if i < used || i >= MetaSize-8 {
					meta[i] = byte(rand.Uint32())
				}
			}
			require.Equal(t, seq, w.Publish(meta[:], used))
			require.Equal(t, seq, r.Read(got[:]))
			require.True(t, got == meta, "publication %d, of %d bytes", seq, used)
			seq++
			if rand.IntN(50) == 0 {
				require.NoError(t, os.Truncate(path+"-lock", metaOff+rand.Int64N(2*pageSize)))
				require.NoError(t, os.Truncate(path+"-lock", mapLength))
			}
		}
		for i := range w.meta(seq) {
			w.meta(seq)[i].Store(rand.Uint64()) // a writer that is killed
		}
		require.NoError(t, w.Close())
	}
}

// TestSetWords stores what a copy would.
func TestSetWords(t *testing.T) {
	var words metaWords
	var model, got [MetaSize]byte
	for range 1000 {
		from := 8 * rand.IntN(MetaSize/8)
		b := model[from:][:rand.IntN(MetaSize-from+1)]
		for range min(len(b), rand.IntN(100)) {
			b[rand.IntN(len(b))] = byte(rand.Uint32())
		}
		setWords(words[from/8:], b)
		words.copyTo(got[:])
		require.True(t, got == model, "%d bytes at %d", len(b), from)
	}
}
