package pager_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/internal/vfs/faultfs"
	"github.com/foliodb/folio/pager"
)

const pageSize = 4096

var errDevice = errors.New("the device is on fire")

// onEach runs a test on the heap and on the operating system.
func onEach(t *testing.T, test func(t *testing.T, open func(plan *faultfs.Plan, flag int) vfs.File)) {
	for _, tc := range []struct {
		name string
		fs   vfs.FS
		dir  string
	}{
		{"mem", vfs.NewMem(), "dir"},
		{"os", vfs.OS(), t.TempDir()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			test(t, func(plan *faultfs.Plan, flag int) vfs.File {
				t.Helper()
				if plan == nil {
					plan = faultfs.NewPlan()
				}
				f, err := faultfs.Wrap(tc.fs, plan).OpenFile(filepath.Join(tc.dir, "db"), flag|os.O_CREATE, 0o600)
				require.NoError(t, err)
				return f
			})
		})
	}
}

// newPager returns a pager on an empty file on the heap.
func newPager(t *testing.T, plan *faultfs.Plan, o pager.Options) (*pager.Pager, vfs.File) {
	t.Helper()
	f, err := faultfs.Wrap(vfs.NewMem(), plan).OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	return open(t, f, o), f
}

func open(t *testing.T, f vfs.File, o pager.Options) *pager.Pager {
	t.Helper()
	if o.PageSize == 0 {
		o.PageSize = pageSize
	}
	p, err := pager.New(f, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

func fill(c byte, pages int) []byte { return bytes.Repeat([]byte{c}, pages*pageSize) }

func requirePage(t *testing.T, v *pager.View, id page.ID, c byte) {
	t.Helper()
	p, _ := v.Page(id)
	require.Equal(t, page.Page(fill(c, 1)), p, "page %d", id)
}

func requireLength(t *testing.T, f vfs.File, want int64) {
	t.Helper()
	size, err := f.Size()
	require.NoError(t, err)
	require.Equal(t, want, size)
}

func TestNewOptions(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	for _, o := range []pager.Options{
		{},
		{PageSize: 2048},
		{PageSize: 5000},
		{PageSize: 128 << 10},
		{PageSize: -4096},
		{PageSize: pageSize, MaxSize: -1},
		{PageSize: pageSize, Reserve: -1},
	} {
		_, err := pager.New(f, o)
		require.Error(t, err, "%+v", o)
	}
	_, err = f.Size()
	require.NoError(t, err, "after an error the file is still the caller's")
}

func TestWriteAndRead(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		p := open(t, openFile(nil, os.O_RDWR), pager.Options{})
		require.NoError(t, p.EnsureSize(10))
		require.NoError(t, p.Write(2, [][]byte{fill('a', 1)}))
		b := append(fill('b', 1), fill('c', 2)...)
		require.NoError(t, p.Write(3, [][]byte{b[:100], b[100:5000], nil, b[5000:]}))
		v := p.View()
		requirePage(t, v, 2, 'a')
		requirePage(t, v, 3, 'b')
		requirePage(t, v, 9, 0)
		run := v.Run(4, 2)
		require.Equal(t, fill('c', 2), run)
		require.Equal(t, len(run), cap(run))
		one, _ := v.Page(4)
		require.Equal(t, pageSize, cap(one))
		got := make([]byte, 2*pageSize)
		require.NoError(t, p.ReadAt(got, 2))
		require.Equal(t, append(fill('a', 1), fill('b', 1)...), got)
		require.NoError(t, p.Sync())
		require.NoError(t, p.DropCache(2, 4))
		require.NoError(t, p.DropCache(0, 0))
		require.NoError(t, p.ReadAt(got[:pageSize], 3))
		require.Equal(t, fill('b', 1), got[:pageSize])
		s := p.Stats()
		require.EqualValues(t, 4, s.PagesWritten)
		require.EqualValues(t, 4*pageSize, s.BytesWritten)
		require.EqualValues(t, 2, s.Writes)
		require.EqualValues(t, 1, s.Syncs)
		require.EqualValues(t, 1, s.Grows)
		require.Equal(t, p.FileSize(), s.FileSize)
		require.GreaterOrEqual(t, s.Mapped, s.FileSize)
	})
}

// TestMisuse holds the checks of arguments. None of them latches.
func TestMisuse(t *testing.T) {
	p, _ := newPager(t, faultfs.NewPlan(), pager.Options{})
	require.Error(t, p.WriteMeta(0, []byte("no meta pages yet")))
	require.NoError(t, p.EnsureSize(4))
	one := [][]byte{fill('x', 1)}
	require.NoError(t, p.Write(3, nil))
	require.Error(t, p.Write(0, one))
	require.Error(t, p.Write(1, one))
	require.Error(t, p.Write(4, one))
	require.Error(t, p.Write(3, [][]byte{fill('x', 2)}))
	require.Error(t, p.Write(page.MaxID+1, one))
	require.Error(t, p.Write(2, [][]byte{{1, 2, 3}}))
	require.Error(t, p.WriteMeta(2, one[0]))
	require.Error(t, p.WriteMeta(-1, one[0]))
	require.Error(t, p.WriteMeta(0, fill('x', 2)))
	require.Error(t, p.Shrink(1))
	require.ErrorIs(t, p.EnsureSize(page.MaxID+1), pager.ErrMaxSize)
	require.ErrorIs(t, p.ReadAt(make([]byte, 1), 4), io.ErrUnexpectedEOF)
	require.ErrorIs(t, p.ReadAt(make([]byte, 2*pageSize), 3), io.ErrUnexpectedEOF)
	require.ErrorIs(t, p.ReadAt(make([]byte, 1), page.MaxID+1), io.ErrUnexpectedEOF)
	require.NoError(t, p.Err())
	require.NoError(t, p.Write(3, one))
}

func TestViewBounds(t *testing.T) {
	p, _ := newPager(t, faultfs.NewPlan(), pager.Options{Reserve: 8 * pageSize})
	require.NoError(t, p.EnsureSize(4))
	v := p.View()
	const end = 8 // pages in the mapping
	for _, id := range []page.ID{0, end - 1} {
		b, verified := v.Page(id)
		require.Len(t, b, pageSize)
		require.False(t, verified)
	}
	for _, id := range []page.ID{end, end + 1, 63, 64, 1 << 52, 1 << 63, ^page.ID(0)} {
		b, verified := v.Page(id)
		require.Nil(t, b, "page %d", id)
		require.False(t, verified)
		require.Nil(t, v.Run(id, 1))
		require.Error(t, v.Populate(id, 1))
		v.SetVerified(id)
		v.ClearVerified(id, 1)
	}
	require.Len(t, v.Run(2, 6), 6*pageSize)
	require.Nil(t, v.Run(2, 7))
	require.Nil(t, v.Run(2, ^uint64(0)))
	require.Error(t, v.Populate(2, ^uint64(0)))
	require.Empty(t, v.Run(2, 0))
}

func TestVerified(t *testing.T) {
	p, _ := newPager(t, faultfs.NewPlan(), pager.Options{})
	require.NoError(t, p.EnsureSize(300))
	v := p.View()
	verified := func(v *pager.View, id page.ID) bool { _, ok := v.Page(id); return ok }
	all := func(v *pager.View) (ids []page.ID) {
		for id := range page.ID(300) {
			if verified(v, id) {
				ids = append(ids, id)
			}
		}
		return ids
	}
	for _, tc := range []struct {
		id page.ID
		n  uint64
	}{{2, 1}, {63, 1}, {63, 2}, {64, 64}, {60, 140}, {100, 0}, {0, 300}, {250, ^uint64(0)}} {
		var want []page.ID
		for id := range page.ID(300) {
			v.SetVerified(id)
			if id < tc.id || uint64(id-tc.id) >= tc.n {
				want = append(want, id)
			}
		}
		v.ClearVerified(tc.id, tc.n)
		require.Equal(t, want, all(v), "clear %d+%d", tc.id, tc.n)
	}
	// A larger View keeps the marks, and clearing through either clears both.
	v.SetVerified(7)
	v.SetVerified(8)
	require.NoError(t, p.EnsureSize(5000))
	w := p.View()
	require.NotSame(t, v, w)
	require.True(t, verified(w, 7))
	w.SetVerified(4999)
	require.True(t, verified(w, 4999))
	require.False(t, verified(v, 4999), "the old View has no bit")
	w.ClearVerified(7, 1)
	v.ClearVerified(8, 1)
	for _, id := range []page.ID{7, 8} {
		require.False(t, verified(v, id))
		require.False(t, verified(w, id))
	}
}

// countFile notes what reaches its mappings.
type countFile struct {
	vfs.File
	calls *[]string
	fail  error
}

type countMapping struct {
	vfs.Mapping
	file *countFile
}

func (f *countFile) Map(length int64) (vfs.Mapping, error) {
	m, err := f.File.Map(length)
	return &countMapping{m, f}, err
}

func (m *countMapping) Populate(off, n int64) error {
	*m.file.calls = append(*m.file.calls, "populate")
	return m.file.fail
}

func (m *countMapping) Fetch(off, n int64) error {
	*m.file.calls = append(*m.file.calls, "fetch")
	return m.file.fail
}

func (m *countMapping) Lock(off, n int64) error {
	*m.file.calls = append(*m.file.calls, "lock")
	return m.file.fail
}

func TestPopulate(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(100*pageSize))
	var calls []string
	cf := &countFile{File: f, calls: &calls}
	p := open(t, cf, pager.Options{})
	for _, tc := range []struct {
		id    page.ID
		n     uint64
		calls int
	}{{5, 1, 1}, {5, 1, 0}, {5, 0, 0}, {4, 3, 1}, {4, 3, 0}, {6, 1, 0}, {60, 10, 1}, {69, 1, 0}, {70, 1, 1}} {
		calls = nil
		require.NoError(t, p.View().Populate(tc.id, tc.n))
		require.Len(t, calls, tc.calls, "%d+%d", tc.id, tc.n)
	}
	// A failure is not remembered as success.
	cf.fail = errDevice
	require.ErrorIs(t, p.View().Populate(80, 1), errDevice)
	require.ErrorIs(t, p.View().Populate(80, 1), errDevice)
	_, err = pager.New(cf, pager.Options{PageSize: pageSize, Populate: true})
	require.ErrorIs(t, err, errDevice)
	cf.fail = nil
	// What was cut off and came back is populated anew.
	require.NoError(t, p.View().Populate(80, 1))
	require.NoError(t, p.Shrink(80))
	require.NoError(t, p.EnsureSize(100))
	calls = nil
	require.NoError(t, p.View().Populate(80, 1))
	require.Len(t, calls, 1)
}

// TestFetch: single pages are fetched by themselves, until a good part of the file has been.
func TestFetch(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	require.NoError(t, f.Truncate(320*pageSize))
	var calls []string
	cf := &countFile{File: f, calls: &calls}
	v := open(t, cf, pager.Options{}).View()
	for i := range page.ID(15) {
		require.NoError(t, v.Fetch(10*i, 1))
		require.NoError(t, v.Fetch(10*i, 1)) // is there
	}
	want := slices.Repeat([]string{"fetch"}, 11)
	require.Equal(t, append(want, slices.Repeat([]string{"populate"}, 4)...), calls)
	cf.fail = errDevice
	require.ErrorIs(t, v.Fetch(300, 1), errDevice)
}

func TestMlock(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	var calls []string
	cf := &countFile{File: f, calls: &calls}
	p := open(t, cf, pager.Options{Mlock: true})
	require.Empty(t, calls)
	require.NoError(t, p.EnsureSize(4))
	require.NoError(t, p.EnsureSize(4))
	require.Len(t, calls, 1)
	cf.fail = errDevice
	require.ErrorIs(t, p.EnsureSize(5), errDevice)
	require.ErrorIs(t, p.EnsureSize(5), errDevice, "the file is long enough now, but not pinned")
	require.NoError(t, p.Err())
	cf.fail = nil
	require.NoError(t, p.EnsureSize(5))
	cf.fail = errDevice
	_, err = pager.New(cf, pager.Options{PageSize: pageSize, Mlock: true})
	require.ErrorIs(t, err, errDevice)
}

// TestWriteMeta: a meta is written by one call, and through no mapping.
func TestWriteMeta(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		plan := faultfs.NewPlan()
		p := open(t, openFile(plan, os.O_RDWR), pager.Options{})
		require.NoError(t, p.EnsureSize(4))
		require.NoError(t, p.WriteMeta(0, fill('a', 1)))
		require.NoError(t, p.WriteMeta(1, []byte("short")))
		got := make([]byte, 2*pageSize)
		require.NoError(t, p.ReadAt(got, 0))
		require.Equal(t, fill('a', 1), got[:pageSize])
		require.Equal(t, "short\x00", string(got[pageSize:pageSize+6]))
		requirePage(t, p.View(), 0, 'a')
		require.NoError(t, p.Sync())
		require.Equal(t, 2, plan.Calls(faultfs.Write))
		require.Zero(t, plan.Calls(faultfs.MapWritable))
		require.EqualValues(t, 2, p.Stats().PagesWritten)
	})
}

func TestReadOnly(t *testing.T) {
	onEach(t, func(t *testing.T, openFile func(*faultfs.Plan, int) vfs.File) {
		w := open(t, openFile(nil, os.O_RDWR), pager.Options{})
		require.NoError(t, w.EnsureSize(4))
		plan := faultfs.NewPlan()
		r := open(t, openFile(plan, os.O_RDONLY), pager.Options{ReadOnly: true, Populate: true})
		require.NoError(t, w.Write(3, [][]byte{fill('a', 1)}))
		requirePage(t, r.View(), 3, 'a')
		require.ErrorIs(t, r.Write(2, [][]byte{fill('b', 1)}), pager.ErrReadOnly)
		require.ErrorIs(t, r.WriteMeta(0, []byte("x")), pager.ErrReadOnly)
		require.ErrorIs(t, r.Shrink(2), pager.ErrReadOnly)
		require.ErrorIs(t, r.EnsureSize(4), pager.ErrReadOnly)
		// It follows the writer.
		require.NoError(t, w.EnsureSize(2000))
		require.NoError(t, w.Write(1999, [][]byte{fill('b', 1)}))
		require.NoError(t, r.Refresh())
		require.Equal(t, w.FileSize(), r.FileSize())
		requirePage(t, r.View(), 1999, 'b')
		// A sync is best effort and does not latch.
		require.NoError(t, r.Sync())
		plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: errDevice})
		require.ErrorIs(t, r.Sync(), errDevice)
		plan.Add(faultfs.Fault{Op: faultfs.Sync, Err: syscall.EACCES})
		require.NoError(t, r.Sync())
		require.NoError(t, r.Err())
	})
}

func TestClose(t *testing.T) {
	f, err := vfs.NewMem().OpenFile("db", os.O_RDWR|os.O_CREATE, 0o600)
	require.NoError(t, err)
	p, err := pager.New(f, pager.Options{PageSize: pageSize})
	require.NoError(t, err)
	require.NoError(t, p.EnsureSize(4))
	require.NoError(t, p.Close())
	require.NoError(t, p.Close())
	b, _ := p.View().Page(0)
	require.Nil(t, b)
	require.ErrorIs(t, f.Sync(), os.ErrClosed)
	require.Error(t, p.Sync())
}
