package folio_test

// A database whose flushes are held up, so that it is known which transactions share
// the next one.

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio"
	"github.com/foliodb/folio/internal/foliotest"
	"github.com/foliodb/folio/internal/vfs/faultfs"
)

// heldDisk is a disk whose next Sync can be held up, and a database on it.
type heldDisk struct {
	t    *testing.T
	disk *foliotest.Disk
	plan *faultfs.Plan
	db   *folio.DB

	mu      sync.Mutex
	arrived chan struct{} // nil: the next Sync just goes on
	release chan error
}

func newHeld(t *testing.T, o folio.Options) *heldDisk {
	h := &heldDisk{t: t, disk: foliotest.NewDisk(), plan: faultfs.NewPlan()}
	h.disk.OnSync = h.onSync
	db, err := folio.OpenFS(faultfs.Wrap(h.disk, h.plan), crashFile, 0o600, &o)
	require.NoError(t, err)
	h.db = db
	return h
}

func (h *heldDisk) onSync() error {
	h.mu.Lock()
	arrived, release := h.arrived, h.release
	h.arrived = nil
	h.mu.Unlock()
	if arrived == nil {
		return nil
	}
	close(arrived)
	return <-release
}

// hold makes the next Sync wait until something comes through release, which is its
// result, and tells through arrived that it does.
func (h *heldDisk) hold() (arrived chan struct{}, release chan error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.arrived, h.release = make(chan struct{}), make(chan error, 1)
	return h.arrived, h.release
}

// syncHeld starts a Sync and returns, once it is held up, where its result will be and
// what lets it go on, as hold does.
func (h *heldDisk) syncHeld() (synced, release chan error) {
	arrived, release := h.hold()
	synced = make(chan error, 1)
	go func() { synced <- h.db.Sync() }()
	<-arrived
	return synced, release
}

// update starts an Update, waits until its function has run, and returns where the
// result will be. It is nil if the function cannot run before the flush is over.
func (h *heldDisk) update(fn func(*folio.Tx) error) chan error {
	ran, result := make(chan struct{}), make(chan error, 1)
	go func() {
		result <- h.db.Update(func(tx *folio.Tx) error {
			defer close(ran)
			return fn(tx)
		})
	}()
	select {
	case <-ran:
	case err := <-result: // the database has latched, and it has not
		result <- err
	}
	return result
}

func nothing(*folio.Tx) error { return nil }

// putAs returns a function that puts keys which have name in them.
func putAs(name string, n, size int) func(*folio.Tx) error {
	return func(tx *folio.Tx) error {
		b, err := tx.CreateBucketIfNotExists([]byte("b"))
		for i := 0; i < n && err == nil; i++ {
			err = b.Put(fmt.Appendf(nil, "%s %d", name, i), make([]byte, size))
		}
		return err
	}
}

// names returns the names whose keys are in the database, each followed by how many.
func names(db *folio.DB) (s string, err error) {
	err = db.View(func(tx *folio.Tx) error {
		count := map[string]int{}
		var order []string
		if b := tx.Bucket([]byte("b")); b != nil {
			for k := range b.All() {
				name, _, _ := strings.Cut(string(k), " ")
				if count[name]++; count[name] == 1 {
					order = append(order, name)
				}
			}
		}
		for _, name := range order {
			s += fmt.Sprintf("%s%d ", name, count[name])
		}
		return foliotest.Check(tx)
	})
	return s, err
}

func (h *heldDisk) mustHold(want string) {
	h.t.Helper()
	got, err := names(h.db)
	require.NoError(h.t, err)
	require.Equal(h.t, want, got)
}
