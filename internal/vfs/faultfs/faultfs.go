// Package faultfs wraps a file system so that chosen calls fail, and counts
// calls by kind. It serves tests that ask what a database does about an error.
package faultfs

import (
	"errors"
	"io/fs"
	"sync"

	"github.com/foliodb/folio/internal/vfs"
)

// Op is a kind of call.
type Op uint8

// The kinds of calls that can fail and are counted. WriteAt and WriteVecAt are
// kinds of their own, and so are Map and MapWritable.
const (
	Read Op = iota
	Write
	WriteVec
	Truncate
	Sync
	StartWrite
	Map
	MapWritable
	Open
	Publish
	Remove
	SyncDir
	numOps
)

// Changes is a kind for faults and counts: Write, WriteVec and Truncate in one, as they
// come.
const Changes = numOps

func (op Op) is(kind Op) bool {
	return op == kind || kind == Changes && (op == Write || op == WriteVec || op == Truncate)
}

// Fault says which calls fail, and how.
type Fault struct {
	// Op is the kind of call. Path restricts the fault to files opened under
	// that name (for Publish: the new name); empty means any.
	Op   Op
	Path string
	// Nth is the first call that fails, counted from 1 over the calls that
	// match since the fault was added. Zero means the next one.
	Nth int
	// Count is how many calls fail from then on; zero means one, a negative
	// number means all.
	Count int
	// Err is what they return. It must not be nil.
	Err error
	// Short is how many bytes a failing Write or WriteVec still writes.
	Short int
	// Hit, if it is set, is called before each call that fails, with its kind and the
	// offset of a Write or WriteVec.
	Hit func(op Op, off int64)

	seen int
}

// Plan holds the faults and the counts of everything that is wrapped with it.
// Its methods may be called at any time, concurrently with the calls that it
// spoils. The zero value lets all calls through.
type Plan struct {
	// Shared lets the locks and the identity of a file be seen, which others need
	// that have it open. Set it before the plan is used.
	Shared bool

	mu     sync.Mutex
	faults []*Fault
	counts [numOps]int
}

// NewPlan returns a plan with the given faults.
func NewPlan(faults ...Fault) *Plan {
	p := &Plan{}
	p.Add(faults...)
	return p
}

// Add adds faults. When several match a call, the first added one decides.
func (p *Plan) Add(faults ...Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, f := range faults {
		f.seen = 0
		p.faults = append(p.faults, &f)
	}
}

// Clear removes all faults and keeps the counts.
func (p *Plan) Clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = nil
}

// Calls returns how many calls of a kind were made, failed ones included.
func (p *Plan) Calls(op Op) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for kind, calls := range p.counts {
		if Op(kind).is(op) {
			n += calls
		}
	}
	return n
}

// hit counts a call and returns the fault that spoils it, or nil.
func (p *Plan) hit(op Op, path string, off int64) *Fault {
	f := p.find(op, path)
	if f != nil && f.Hit != nil {
		f.Hit(op, off)
	}
	return f
}

func (p *Plan) find(op Op, path string) *Fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.counts[op]++
	var found *Fault
	for _, f := range p.faults {
		if !op.is(f.Op) || f.Path != "" && f.Path != path {
			continue
		}
		f.seen++
		first := max(f.Nth, 1)
		last := first + max(f.Count, 1) - 1
		if found == nil && f.seen >= first && (f.Count < 0 || f.seen <= last) {
			found = f
		}
	}
	return found
}

func (p *Plan) err(op Op, path string) error {
	if f := p.hit(op, path, 0); f != nil {
		return f.Err
	}
	return nil
}

// Wrap returns fs with the plan's faults.
func Wrap(fs vfs.FS, p *Plan) vfs.FS { return &faultFS{FS: fs, plan: p} }

// WrapFile returns f with the plan's faults.
func WrapFile(f vfs.File, p *Plan) vfs.File { return &faultFile{File: f, plan: p} }

type faultFS struct {
	vfs.FS
	plan *Plan
}

func (w *faultFS) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	if err := w.plan.err(Open, name); err != nil {
		return nil, err
	}
	f, err := w.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return WrapFile(f, w.plan), nil
}

func (w *faultFS) Publish(tmp, name string) error {
	if err := w.plan.err(Publish, name); err != nil {
		return err
	}
	return w.FS.Publish(tmp, name)
}

func (w *faultFS) Remove(name string) error {
	if err := w.plan.err(Remove, name); err != nil {
		return err
	}
	return w.FS.Remove(name)
}

func (w *faultFS) SyncDir(dir string) error {
	if err := w.plan.err(SyncDir, dir); err != nil {
		return err
	}
	return w.FS.SyncDir(dir)
}

type faultFile struct {
	vfs.File
	plan *Plan
}

// Unwrap is for vfs.Innermost.
func (w *faultFile) Unwrap() vfs.File {
	if w.plan.Shared {
		return w.File
	}
	return nil
}

func (w *faultFile) ReadAt(b []byte, off int64) (int, error) {
	if err := w.plan.err(Read, w.Name()); err != nil {
		return 0, err
	}
	return w.File.ReadAt(b, off)
}

func (w *faultFile) WriteAt(b []byte, off int64) (int, error) {
	f := w.plan.hit(Write, w.Name(), off)
	if f == nil {
		return w.File.WriteAt(b, off)
	}
	n := min(f.Short, len(b))
	if n > 0 {
		var err error
		if n, err = w.File.WriteAt(b[:n], off); err != nil {
			return n, errors.Join(f.Err, err)
		}
	}
	return n, f.Err
}

func (w *faultFile) WriteVecAt(bufs [][]byte, off int64) error {
	f := w.plan.hit(WriteVec, w.Name(), off)
	if f == nil {
		return w.File.WriteVecAt(bufs, off)
	}
	left := f.Short
	for _, b := range bufs {
		n := min(left, len(b))
		if n == 0 {
			continue
		}
		if _, err := w.File.WriteAt(b[:n], off); err != nil {
			return errors.Join(f.Err, err)
		}
		left -= n
		off += int64(n)
	}
	return f.Err
}

func (w *faultFile) Truncate(size int64) error {
	if err := w.plan.err(Truncate, w.Name()); err != nil {
		return err
	}
	return w.File.Truncate(size)
}

func (w *faultFile) StartWrite(off, length int64) error {
	if err := w.plan.err(StartWrite, w.Name()); err != nil {
		// As ext4 does it: the bytes are gone, and nobody else is told.
		_, zeroErr := w.File.WriteAt(make([]byte, length), off)
		return errors.Join(err, zeroErr)
	}
	return w.File.StartWrite(off, length)
}

func (w *faultFile) Sync() error {
	if err := w.plan.err(Sync, w.Name()); err != nil {
		return err
	}
	return w.File.Sync()
}

func (w *faultFile) Map(length int64) (vfs.Mapping, error) {
	if err := w.plan.err(Map, w.Name()); err != nil {
		return nil, err
	}
	return w.File.Map(length)
}

func (w *faultFile) MapWritable(length int64) (vfs.Mapping, error) {
	if err := w.plan.err(MapWritable, w.Name()); err != nil {
		return nil, err
	}
	return w.File.MapWritable(length)
}
