package sidecar_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
)

func TestSlots(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.Reader), openReady(t, path, sidecar.Writer)
	var mine []*sidecar.Slot
	for i := range 3 {
		s, err := a.Claim()
		require.NoError(t, err)
		require.Len(t, s, sidecar.SlotsPerBlock)
		s[i].TxID.Store(uint64(10 + i))
		mine = append(mine, &s[i])
	}
	theirs, err := b.Claim()
	require.NoError(t, err)
	theirs[62].TxID.Store(10)
	for _, h := range []*handle{a, b} {
		require.ElementsMatch(t, []uint64{10, 10, 11, 12}, h.Live())
	}

	b.Retain(10, 4096)
	require.EqualValues(t, 4096, mine[0].Retained.Load())
	require.EqualValues(t, 4096, theirs[62].Retained.Load())
	require.Zero(t, mine[1].Retained.Load())

	list := b.Processes()
	require.Len(t, list, 2)
	require.Equal(t, []int{os.Getpid(), os.Getpid()}, []int{list[0].PID, list[1].PID})
	require.Equal(t, []sidecar.Role{sidecar.Reader, sidecar.Writer}, []sidecar.Role{list[0].Role, list[1].Role})
	require.Len(t, list[0].Slots, 3)
	require.EqualValues(t, 4096, list[1].Slots[0].Retained)
	require.True(t, list[0].Alive)
	require.True(t, list[1].Alive)

	require.NoError(t, a.close())
	require.Equal(t, []uint64{10}, b.Live())
	require.Len(t, b.Processes(), 1)
}

// TestDeadOwners kills a process that reads: until somebody looks it is shown as
// dead, its slots are freed by who looks, and its block is claimed again.
func TestDeadOwners(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Writer)
	for range 3 {
		p, q := start(t), start(t)
		for i, c := range []*process{p, q} {
			c.must("open %s %d", path, sidecar.Reader)
			c.must("claim")
			c.must("enter 5 %d", 100+i)
			c.must("enter 62 %d", 200+i)
		}
		require.ElementsMatch(t, []uint64{100, 101, 200, 201}, a.Live())
		p.kill()
		list := a.Processes()
		require.Len(t, list, 2)
		require.False(t, list[0].Alive)
		require.True(t, list[1].Alive)
		require.ElementsMatch(t, []uint64{101, 201}, a.Live())
		require.Len(t, a.Processes(), 1)
		require.Equal(t, "101", q.do("slot 5"))

		// A new owner finds the block free.
		p = start(t)
		p.must("open %s %d", path, sidecar.Reader)
		p.must("claim")
		require.Equal(t, "0", p.do("slot 5"))
		p.must("enter 5 300")
		require.ElementsMatch(t, []uint64{101, 201, 300}, a.Live())
		p.kill()
		q.kill()
	}
	require.Empty(t, a.Live())
	info, err := os.Stat(path + "-lock")
	require.NoError(t, err)
	require.EqualValues(t, (19+2)*4096, info.Size(), "blocks are used again")
}

// TestClaimOfDead claims the block of a dead owner that nobody has cleaned.
func TestClaimOfDead(t *testing.T) {
	path := dbPath(t)
	a := openReady(t, path, sidecar.Reader)
	p := start(t)
	p.must("open %s %d", path, sidecar.Reader)
	p.must("claim")
	p.must("enter 5 100")
	p.kill()
	slots, err := a.Claim()
	require.NoError(t, err)
	for i := range slots {
		require.Zero(t, slots[i].TxID.Load())
	}
	require.Empty(t, a.Live())
}

// TestShow is seen, and sees the slots of others, and those that it claims itself.
func TestShow(t *testing.T) { // B6
	path := dbPath(t)
	w, r := openReady(t, path, sidecar.Writer), openReady(t, path, sidecar.Reader)
	require.NoError(t, w.Show())
	for _, h := range []*handle{w, r} {
		list := h.Processes()
		require.Len(t, list, 1)
		require.Equal(t, sidecar.Writer, list[0].Role)
	}
	require.Empty(t, w.Live())
	for i, h := range []*handle{r, w} {
		slots, err := h.Claim()
		require.NoError(t, err)
		slots[0].TxID.Store(uint64(7 + i))
	}
	require.ElementsMatch(t, []uint64{7, 8}, w.Live())
	require.ElementsMatch(t, []uint64{7, 8}, r.Live())
}

func TestFull(t *testing.T) {
	path := dbPath(t)
	a, b := openReady(t, path, sidecar.Reader), openReady(t, path, sidecar.Reader)
	for i := range 4096 {
		h := a
		if i >= 4000 {
			h = b
		}
		slots, err := h.Claim()
		require.NoError(t, err)
		slots[0].TxID.Store(uint64(i + 1))
	}
	_, err := a.Claim()
	require.ErrorIs(t, err, sidecar.ErrFull)
	require.Len(t, a.Live(), 4096)
	require.NoError(t, b.close())
	require.Len(t, a.Live(), 4000)
	_, err = a.Claim()
	require.NoError(t, err)
}

// TestNoRoom limits the size of files: the error comes from a system call, and
// nothing is lost.
func TestNoRoom(t *testing.T) {
	path := dbPath(t)
	p := start(t)
	p.must("limit %d", 18*4096)
	require.Contains(t, p.do("open %s %d", path, sidecar.Writer), "file too large")
	require.NoFileExists(t, path+"-lock")

	p.must("limit %d", (19+2)*4096)
	p.must("open %s %d", path, sidecar.Writer)
	p.must("ready")
	p.must("claim")
	p.must("claim")
	for range 2 {
		require.Contains(t, p.do("claim"), "file too large")
	}
	// The block that it could not have is free for others.
	a := openReady(t, path, sidecar.Reader)
	_, err := a.Claim()
	require.NoError(t, err)
	info, err := os.Stat(path + "-lock")
	require.NoError(t, err)
	require.EqualValues(t, (19+3)*4096, info.Size())
	p.must("limit %d", (19+4)*4096)
	p.must("claim")
	p.must("enter 62 8")
	require.Equal(t, []uint64{8}, a.Live())
}

// TestChurn claims, uses and closes from many goroutines, with handles of their own
// and shared, while a writer looks: no slot in use is freed, none in use is missed.
func TestChurn(t *testing.T) {
	path := dbPath(t)
	w := openReady(t, path, sidecar.Writer)
	stay, err := w.Claim()
	require.NoError(t, err)
	stay[0].TxID.Store(1)
	rounds := 300
	if testing.Short() {
		rounds = 60
	}
	done := make(chan error)
	for g := range 4 {
		go func() {
			done <- func() error {
				for i := range rounds {
					h, err := openWith(path, sidecar.Reader, patient())
					if err != nil {
						return err
					}
					slots, err := h.Claim()
					if err != nil {
						return err
					}
					id := uint64(1000*(g+1) + i)
					s := &slots[rand.IntN(len(slots))]
					s.TxID.Store(id)
					if !contains(w.Live(), id) || !contains(h.Live(), id) || s.TxID.Load() != id {
						return errMissed
					}
					if err := h.close(); err != nil {
						return err
					}
					if contains(w.Live(), id) {
						return errMissed
					}
				}
				return nil
			}()
		}()
	}
	for range 4 {
		require.NoError(t, <-done)
	}
	require.Equal(t, []uint64{1}, w.Live())
}
