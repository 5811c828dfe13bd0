package sidecar_test

// Processes that are killed at any instant while they attach, claim, enter and leave
// slots, publish and detach. What went wrong is found by who is alive, each in its
// own words and slots, and afterwards from the order of what they have noted.

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/sidecar"
)

// TestStorm kills processes while nobody else is attached, so that the first and the
// last one come and go, and while somebody stays.
func TestStorm(t *testing.T) {
	t.Run("Alone", func(t *testing.T) { storm(t, stormAlone) })
	t.Run("Watched", func(t *testing.T) { storm(t, stormWatched) })
	t.Run("Deleted", func(t *testing.T) { storm(t, stormDeleted) })
}

type stormKind string

const (
	stormAlone   stormKind = "alone"
	stormWatched stormKind = "watched"
	stormDeleted stormKind = "deleted" // the file's name is removed again and again
)

// stormSteps is more than the blocks that a handle claims.
const stormSteps = 30

func storm(t *testing.T, kind stormKind) {
	path := dbPath(t)
	f, err := openData(path)
	require.NoError(t, err)
	defer f.Close()
	require.NoError(t, os.WriteFile(path+"-log", nil, 0o600))
	var h *handle
	if kind == stormWatched {
		h = openReady(t, path, sidecar.Reader)
	}
	kills := 100
	if testing.Short() {
		kills = 40
	}
	const processes = 4
	running := make([]*exec.Cmd, processes)
	run := func(i int) {
		running[i] = startChild(t, "storm", path, string(kind))
		require.NoError(t, running[i].Start())
	}
	for i := range running {
		run(i)
	}
	for k := range kills {
		time.Sleep(time.Duration(rand.IntN(int(20 * time.Millisecond))))
		i := k % processes
		if kind == stormDeleted {
			_ = os.Remove(path + "-lock")
		}
		_ = running[i].Process.Kill()
		requireKilled(t, running[i].Wait())
		run(i)
		if h != nil {
			_ = h.Live()
			_ = h.Processes()
		}
	}
	for _, c := range running {
		_ = c.Process.Kill()
		requireKilled(t, c.Wait())
	}
	checkLog(t, path+"-log", h == nil)

	if h == nil {
		last := open(t, path, sidecar.Writer)
		require.True(t, last.First())
		require.Empty(t, last.Live())
		require.NoError(t, last.close())
		require.NoFileExists(t, path+"-lock")
		return
	}
	require.Empty(t, h.Live(), "slots leak")
	info, err := os.Stat(path + "-lock")
	require.NoError(t, err)
	require.LessOrEqual(t, info.Size(), int64((19+stormSteps*processes)*4096), "blocks leak")
	meta := make([]byte, sidecar.MetaSize)
	n, err := checkMeta(meta[:h.readInto(meta)])
	require.NoError(t, err)
	require.Equal(t, h.Seq(), n)
	require.True(t, tryLock(t, h))
}

// readInto reads the meta and returns its length.
func (h *handle) readInto(b []byte) int {
	h.Read(b)
	return len(b)
}

// requireKilled fails unless a child ended because it was killed.
func requireKilled(t *testing.T, err error) {
	t.Helper()
	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, -1, exit.ExitCode(), "a child has found something wrong")
}

// checkLog makes sure that no First was attached together with somebody who lived
// through it: between a handle's "in" and its "out" nobody is First. A handle that
// was killed has no "out", and proves nothing.
func checkLog(t *testing.T, name string, alone bool) {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	var firsts []int
	in, out := map[string]int{}, map[string]int{}
	i := 0
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); i++ {
		what, who, _ := strings.Cut(lines.Text(), " ")
		switch what {
		case "first":
			firsts = append(firsts, i)
			in[who] = i
		case "in":
			in[who] = i
		case "out":
			out[who] = i
		}
	}
	for who, end := range out {
		for _, f := range firsts {
			require.False(t, in[who] < f && f < end, "%s was attached when there was a first: %s", who, name)
		}
	}
	t.Logf("%d attachments, %d firsts, %d ended well", len(in), len(firsts), len(out))
	require.NotEmpty(t, out)
	if alone {
		require.NotEmpty(t, firsts)
	} else {
		require.Empty(t, firsts)
	}
}

// stormChild attaches and detaches until it is killed, or finds something wrong.
func stormChild() {
	log, err := os.OpenFile(os.Args[1]+"-log", os.O_WRONLY|os.O_APPEND, 0)
	for n := 0; err == nil; n++ {
		name := fmt.Sprintf("%d.%d", os.Getpid(), n)
		err = stormOnce(os.Args[1], func(what string) { fmt.Fprintf(log, "%s %s\n", what, name) })
		if errors.Is(err, sidecar.ErrReplaced) && os.Args[2] == string(stormDeleted) {
			err = nil
		}
	}
	fmt.Fprintln(os.Stderr, "storm:", err)
	os.Exit(3)
}

func stormOnce(path string, note func(string)) error {
	role := []sidecar.Role{sidecar.Reader, sidecar.SharedWriter}[rand.IntN(2)]
	h, err := openWith(path, role, patient())
	if err != nil {
		return err
	}
	if h.First() {
		note("first")
		if h.Seq() != 0 || len(h.Live()) != 0 || len(h.Processes()) != 0 {
			return errors.New("first, and something is there")
		}
		if rand.IntN(4) == 0 {
			note("out")
			return h.close()
		}
		time.Sleep(time.Duration(rand.IntN(int(time.Millisecond))))
	} else {
		note("in")
	}
	if err := h.Ready(); err != nil {
		return err
	}
	for range rand.IntN(stormSteps) {
		if err := h.stormStep(role); err != nil {
			return err
		}
	}
	note("out")
	return h.close()
}

// stormStep does one thing.
func (h *handle) stormStep(role sidecar.Role) error {
	if role == sidecar.SharedWriter && rand.IntN(2) == 0 {
		return h.stormPublish()
	}
	meta := make([]byte, sidecar.MetaSize)
	if seq := h.Read(meta); seq != 0 {
		if n, err := checkMeta(meta); err != nil || n != seq {
			return fmt.Errorf("meta %d holds %d: %v", seq, n, err)
		}
	}
	return h.stormRead()
}

// stormRead claims a block now and then, and uses one slot for a while.
func (h *handle) stormRead() error {
	slots, err := h.Claim()
	if err != nil {
		return err
	}
	for range 20 {
		s := &slots[rand.IntN(len(slots))]
		if v := s.TxID.Load(); v != 0 {
			return fmt.Errorf("a slot of ours holds %d", v)
		}
		id := rand.Uint64() | 1
		s.TxID.Store(id)
		if rand.IntN(3) == 0 && !contains(h.Live(), id) {
			return errMissed
		}
		if v := s.TxID.Load(); v != id {
			return fmt.Errorf("a slot in use became %d", v)
		}
		s.TxID.Store(0)
	}
	return nil
}

// stormPublish is a write transaction: nobody else publishes during it.
func (h *handle) stormPublish() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(int(20*time.Millisecond))))
	defer cancel()
	if err := h.LockTx(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return nil
		}
		return err
	}
	before := h.Seq()
	meta := make([]byte, sidecar.MetaSize)
	fillMeta(meta, before+1)
	noteNumbered(h, before, 3)
	h.OthersWait()
	if got := h.Publish(meta, len(meta)); got != before+1 || h.Seq() != got {
		return fmt.Errorf("published %d after %d", got, before)
	}
	h.Live()
	return h.UnlockTx()
}
