package faultfs_test

import (
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/internal/vfs/vfstest"
)

var errFault = errors.New("injected")

func TestConformance(t *testing.T) {
	vfstest.TestFS(t, func(t *testing.T) (vfs.FS, string) {
		return faultfs.Wrap(vfs.NewMem(), faultfs.NewPlan()), "dir"
	})
}

func open(t *testing.T, p *faultfs.Plan) (vfs.FS, vfs.File) {
	t.Helper()
	fs := faultfs.Wrap(vfs.NewMem(), p)
	f, err := fs.OpenFile("f", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	return fs, f
}

func TestFaultPicksCalls(t *testing.T) {
	for _, tc := range []struct {
		name  string
		fault faultfs.Fault
		fails []bool
	}{
		{"the next", faultfs.Fault{}, []bool{true, false, false, false}},
		{"the second", faultfs.Fault{Nth: 2}, []bool{false, true, false, false}},
		{"two from the second", faultfs.Fault{Nth: 2, Count: 2}, []bool{false, true, true, false}},
		{"all from the third", faultfs.Fault{Nth: 3, Count: -1}, []bool{false, false, true, true}},
		{"another file", faultfs.Fault{Path: "g", Count: -1}, []bool{false, false, false, false}},
		{"this file", faultfs.Fault{Path: "f"}, []bool{true, false, false, false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.fault.Op, tc.fault.Err = faultfs.Sync, errFault
			p := faultfs.NewPlan(tc.fault)
			_, f := open(t, p)
			for i, fails := range tc.fails {
				require.Equal(t, fails, errors.Is(f.Sync(), errFault), "call %d", i+1)
			}
			require.Equal(t, len(tc.fails), p.Calls(faultfs.Sync))
		})
	}
}

func TestFaultEveryKind(t *testing.T) {
	calls := map[faultfs.Op]func(vfs.FS, vfs.File) error{
		faultfs.Read:        func(_ vfs.FS, f vfs.File) error { _, err := f.ReadAt(make([]byte, 1), 0); return err },
		faultfs.Write:       func(_ vfs.FS, f vfs.File) error { _, err := f.WriteAt([]byte{1}, 0); return err },
		faultfs.WriteVec:    func(_ vfs.FS, f vfs.File) error { return f.WriteVecAt([][]byte{{1}}, 0) },
		faultfs.Truncate:    func(_ vfs.FS, f vfs.File) error { return f.Truncate(9) },
		faultfs.Sync:        func(_ vfs.FS, f vfs.File) error { return f.Sync() },
		faultfs.Map:         func(_ vfs.FS, f vfs.File) error { _, err := f.Map(1); return err },
		faultfs.MapWritable: func(_ vfs.FS, f vfs.File) error { _, err := f.MapWritable(1); return err },
		faultfs.Open:        func(s vfs.FS, _ vfs.File) error { _, err := s.OpenFile("f", 0, 0); return err },
		faultfs.Publish:     func(s vfs.FS, _ vfs.File) error { return s.Publish("f", "g") },
		faultfs.Remove:      func(s vfs.FS, _ vfs.File) error { return s.Remove("f") },
		faultfs.SyncDir:     func(s vfs.FS, _ vfs.File) error { return s.SyncDir(".") },
	}
	for op, call := range calls {
		p := faultfs.NewPlan()
		fs, f := open(t, p)
		p.Add(faultfs.Fault{Op: op, Err: errFault})
		before := p.Calls(op)
		require.ErrorIs(t, call(fs, f), errFault, "op %d", op)
		require.Equal(t, before+1, p.Calls(op), "op %d", op)
	}
}

func TestFaultOfAnyChange(t *testing.T) {
	type call struct {
		op  faultfs.Op
		off int64
	}
	var hit []call
	p := faultfs.NewPlan(faultfs.Fault{
		Op: faultfs.Changes, Nth: 2, Count: 2, Err: errFault,
		Hit: func(op faultfs.Op, off int64) { hit = append(hit, call{op, off}) },
	})
	_, f := open(t, p)
	_, err := f.WriteAt([]byte("a"), 0)
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.ErrorIs(t, f.WriteVecAt([][]byte{{1}}, 5), errFault)
	require.ErrorIs(t, f.Truncate(9), errFault)
	require.NoError(t, f.Truncate(9))
	require.Equal(t, []call{{faultfs.WriteVec, 5}, {faultfs.Truncate, 0}}, hit)
	require.Equal(t, 4, p.Calls(faultfs.Changes))
	require.Equal(t, 2, p.Calls(faultfs.Truncate))
}

func TestFaultShortWrite(t *testing.T) {
	p := faultfs.NewPlan(
		faultfs.Fault{Op: faultfs.Write, Err: errFault, Short: 2},
		faultfs.Fault{Op: faultfs.WriteVec, Err: errFault, Short: 3},
	)
	_, f := open(t, p)
	n, err := f.WriteAt([]byte("abcd"), 0)
	require.ErrorIs(t, err, errFault)
	require.Equal(t, 2, n)
	require.ErrorIs(t, f.WriteVecAt([][]byte{[]byte("EF"), []byte("GH")}, 2), errFault)
	got := make([]byte, 5)
	size, err := f.Size()
	require.NoError(t, err)
	require.EqualValues(t, 5, size)
	_, err = f.ReadAt(got, 0)
	require.NoError(t, err)
	require.Equal(t, "abEFG", string(got))
}
