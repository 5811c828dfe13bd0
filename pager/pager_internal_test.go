package pager

import (
	"errors"
	"math/bits"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
)

// TestPageInlines keeps View.Page cheap enough for the inliner: it is called for
// every page of every lookup. On 32-bit machines 64-bit ids are too dear for it.
func TestPageInlines(t *testing.T) {
	if bits.UintSize == 32 {
		t.Skip("not on 32-bit machines")
	}
	goTool, err := exec.LookPath("go")
	if err != nil || testing.Short() {
		t.Skip("needs the go tool and some seconds")
	}
	out, err := exec.Command(goTool, "build", "-gcflags=-m", ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Regexp(t, regexp.MustCompile(`can inline \(\*View\)\.Page`), string(out))
}

// TestConcurrentSyncs starts a sync while another one is about to fail. The
// kernel reports a failure to one caller only, so the file returns nil to the
// second; the pager must not.
func TestConcurrentSyncs(t *testing.T) {
	mem, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	f := &failOnceFile{File: mem}
	p, err := New(f, Options{PageSize: 4096})
	require.NoError(t, err)
	defer p.Close()
	second := make(chan error, 1)
	f.inFirst = func() {
		go func() { second <- p.Sync() }()
		// Give the second sync every chance to overtake; it must not.
		for range 1000 {
			runtime.Gosched()
		}
		require.Empty(t, second)
	}
	require.ErrorIs(t, p.Sync(), ErrLatched)
	require.ErrorIs(t, <-second, ErrLatched)
	require.EqualValues(t, 1, p.Stats().Syncs)
}

// failOnceFile fails the first sync, after a call of inFirst.
type failOnceFile struct {
	vfs.File
	calls   atomic.Int32
	inFirst func()
}

func (f *failOnceFile) Sync() error {
	if f.calls.Add(1) > 1 {
		return nil
	}
	f.inFirst()
	return errors.New("failed")
}
