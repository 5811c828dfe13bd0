package foliotest

import (
	"io/fs"
	"sync"

	"github.com/foliodb/folio/internal/vfs"
)

// Gate is a file system whose syncs wait while it is shut, so that a test decides how
// long a flush takes, and which transactions come meanwhile. It is open at first.
type Gate struct {
	vfs.FS
	arrived chan struct{}

	mu   sync.Mutex
	shut chan struct{} // closed when the gate opens; nil: it is open
	pass chan struct{} // lets one through
	err  error         // of all syncs
}

// NewGate returns a gate before fsys.
func NewGate(fsys vfs.FS) *Gate {
	return &Gate{FS: fsys, arrived: make(chan struct{}, 1000), pass: make(chan struct{})}
}

// Shut makes syncs wait from now on.
func (g *Gate) Shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut == nil {
		g.shut = make(chan struct{})
	}
}

// Open lets all go on.
func (g *Gate) Open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shut != nil {
		close(g.shut)
		g.shut = nil
	}
}

// Await returns when one more sync has come to the shut gate.
func (g *Gate) Await() { <-g.arrived }

// PassOne lets one sync go on, and waits until there is one.
func (g *Gate) PassOne() { g.pass <- struct{}{} }

// Break makes syncs fail from now on, those that wait among them.
func (g *Gate) Break(err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.err = err
}

func (g *Gate) broken() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *Gate) wait() {
	g.mu.Lock()
	shut := g.shut
	g.mu.Unlock()
	if shut == nil {
		return
	}
	g.arrived <- struct{}{}
	select {
	case <-shut:
	case <-g.pass:
	}
}

// OpenFile implements vfs.FS.
func (g *Gate) OpenFile(name string, flag int, perm fs.FileMode) (vfs.File, error) {
	f, err := g.FS.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &gateFile{f, g}, nil
}

type gateFile struct {
	vfs.File
	gate *Gate
}

func (f *gateFile) Sync() error {
	f.gate.wait()
	if err := f.gate.broken(); err != nil {
		return err
	}
	return f.File.Sync()
}
