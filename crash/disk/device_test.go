//go:build linux

package disk

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestEveryErrorIsReported has each write to the disk fail in turn that one write to the
// device leads to, and requires that the kernel says so.
func TestEveryErrorIsReported(t *testing.T) {
	const size = 8 << 20
	if err := Possible(); err != nil {
		t.Skip(err)
	}
	dir, err := filepath.EvalSymlinks(t.TempDir())
	require.NoError(t, err)
	r := NewRecorder(make([]byte, size))
	fuse := filepath.Join(dir, "fuse")
	require.NoError(t, os.Mkdir(fuse, 0o700))
	d, err := NewDevice(fuse, size, r)
	t.Cleanup(func() { require.NoError(t, Clean(dir, false)) })
	require.NoError(t, err)
	// Another process writes: this one serves what is below. The cache would cut it up.
	write := func(length int) ([]byte, error) {
		return exec.Command("dd", "if=/dev/zero", "of="+d.Path, fmt.Sprintf("bs=%d", length), "count=1", "seek=1", "conv=fsync", "oflag=direct").CombinedOutput()
	}
	for _, length := range []int{4096, 513 << 10, 2 << 20} {
		for nth := 1; ; nth++ {
			r.SetFault(&Fault{Target: FailData, Nth: nth, Count: 1})
			said, err := write(length)
			if r.Fired() == 0 {
				require.NoError(t, err, "%s", said)
				break
			}
			require.Error(t, err, "%d bytes, write %d", length, nth)
			require.Contains(t, string(said), "Input/output error")
		}
	}
}
