package folio

// This file is responsible for Salvage: what of a damaged file can be read goes
// into a new one. The order of things:
//
//	S1  Find the state to save: by the rule of recovery as far as the metas allow,
//	    else by the newest root that is whole (salvagestate.go). Page size and file
//	    id come from the pages themselves, if they must (salvagefile.go).
//	S2  Walk its trees from the root, and copy what is there. Every reference names
//	    a place and a birth, so nothing old can come in on this way. What is damaged,
//	    or not what its parent says, is noted: bucket, keys, level, birth and count
//	    (salvagewalk.go).
//	S3  Only if something was: look at all other pages for nodes that belong to the
//	    state and that nothing refers to any more, and fit them into the gaps
//	    (salvageorphans.go, salvagefit.go).
//	S4  Where a leaf is gone, take what it has in its bounds, if it is whole, and the
//	    newest older version of it that provably is one (salvagestale.go). That can
//	    be out of date, and is reported.
//	S5  Trees whose bucket lost its name go to the bucket lost+found.
//
// A page is taken once at most (salvager.claimed), which ends all walks and bounds
// what is written. Memory: bits and some bytes for each page of the file, and the
// longest value.

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/foliodb/folio/freelist"
	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/internal/vfs"
	"github.com/foliodb/folio/meta"
)

// SalvageOptions are the options of Salvage. The zero value, or nil, is fine.
type SalvageOptions struct {
	// Timeout is how long to wait for a process that has the file open for
	// writing: zero waits for ever, and less does not wait.
	Timeout time.Duration
	// CurrentOnly takes nothing that may be out of date: no older versions of
	// damaged leaves, and nothing of leaves that have keys of other places.
	CurrentOnly bool
	// Progress, if it is set, is called now and then with what is being done, and
	// how many pages of how many have been looked at for that.
	Progress func(what string, done, total uint64)
}

// SalvageReport says what Salvage found, and what it did not.
type SalvageReport struct {
	PageSize int
	FileID   uint64
	Pages    uint64 // whole pages that the damaged file has
	TxID     int    // of the state that was saved
	// State is empty if that is the newest commit as the meta pages tell. Else it
	// says in one sentence how it was found.
	State string

	Keys    uint64 // keys written, buckets not among them
	Buckets uint64 // buckets written
	// LostKeys is how many keys the parents of what is lost counted there, less
	// those found by scanning. Of a lost nested bucket this counts the bucket only,
	// and keys in lost+found count as lost: nobody knows which they are.
	LostKeys uint64
	Losses   []SalvageLoss
	Orphans  []SalvageOrphan
}

// SalvageLoss is a damage, and what it costs. Its bytes are copies; losses in one
// bucket share those of its path.
type SalvageLoss struct {
	// Bucket is the path of the bucket, nil for damage outside of all buckets.
	Bucket [][]byte
	// Lo and Hi bound the keys [Lo, Hi) that were there; nil is unbounded.
	Lo, Hi []byte
	Page   int    // that could not be used
	Keys   uint64 // that were there, as far as that is known
	// Found is how many keys of that range were found by scanning. If OutOfDate is
	// set, they can be older than the state that was saved, or deleted in it.
	Found     uint64
	OutOfDate bool
	// Buckets says that nested buckets can be among what was there.
	Buckets bool
	Err     error
}

// SalvageOrphan is a tree whose bucket is not known.
type SalvageOrphan struct {
	Bucket [][]byte // where it was put
	Page   int      // its root
	TxID   int      // that wrote the root
	Keys   uint64   // written, those in buckets of it not among them
	// OutOfDate says that it can be a version of something that is there as well,
	// or was deleted: the list of free pages could not be read.
	OutOfDate bool
}

// Salvage makes the new file out, with permissions mode (before umask), from what
// can be read of the damaged database in. It never changes in, which is locked
// against writers meanwhile, and returns fs.ErrExist if there is a file out. The
// new file is checked as a whole before it gets its name.
//
// What is intact is copied as it is, and so is what is below damaged branches. Keys
// of damaged leaves, and values in damaged runs, are missing, and reported: see
// SalvageReport. Where an older version of a damaged leaf is still in the file, its
// keys are taken, and reported as such. Trees of buckets whose names were lost come
// into a top-level bucket named lost+found.
//
// Errors are those of reading and writing files, ErrTimeout, ErrInvalid if there is
// no page of a folio file in it, and ErrVersionMismatch. Damage is no error.
func Salvage(in, out string, mode os.FileMode, o *SalvageOptions) (*SalvageReport, error) {
	return SalvageContext(context.Background(), in, out, mode, o)
}

// SalvageContext is Salvage that gives up when ctx is done, and leaves nothing behind
// then. The error wraps the cause.
func SalvageContext(ctx context.Context, in, out string, mode os.FileMode, o *SalvageOptions) (*SalvageReport, error) {
	return salvageFS(ctx, vfs.OS(), in, out, mode, o)
}

// salvageFS is SalvageContext on any file system.
func salvageFS(ctx context.Context, fsys vfs.FS, in, out string, mode os.FileMode, o *SalvageOptions) (*SalvageReport, error) {
	if o == nil {
		o = &SalvageOptions{}
	}
	if f, err := fsys.OpenFile(out, os.O_RDONLY, 0); err == nil {
		return nil, errors.Join(&os.PathError{Op: "salvage", Path: out, Err: os.ErrExist}, f.Close())
	}
	s := &salvager{ctx: ctx, opts: o, fs: fsys}
	f, err := s.lockInput(in)
	if err != nil {
		return nil, err
	}
	err = s.salvage(f, out, mode)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return nil, fmt.Errorf("folio: salvage %s: %w", in, err)
	}
	return &s.report, nil
}

// lockInput opens the damaged file for reading.
func (s *salvager) lockInput(in string) (vfs.File, error) {
	f, err := s.fs.OpenFile(in, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	db := &DB{file: f, opts: Options{ReadOnly: true, Sharing: ShareNothing, Timeout: s.opts.Timeout}}
	patience := db.patience()
	wait := func() error {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		return patience()
	}
	if err := db.share(wait); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// salvager is one run of Salvage.
type salvager struct {
	ctx    context.Context
	opts   *SalvageOptions
	fs     vfs.FS
	in     salvageFile
	out    salvageOut
	report SalvageReport

	meta  meta.Meta // the state that is saved
	exact bool      // free is all that this state does not use
	blind bool      // both metas are lost
	guide nodeRef   // if the root is lost as well, an older version of it

	claimed bitmap            // pages that were used
	copied  uint64            // nodes among them
	free    []freelist.Extent // pages that the state does not use, ascending
	owner   owners            // trees of the nodes among them
	trees   uint32            // trees met so far
	lost    []*lostNode
	spare   []page.Page // buffers

	// If something is lost:
	orphans     []orphan
	candidates  []candidate // orphans that may be below lost branches, by their first keys
	spanned     bool        // candidates is filled in
	fitSteps    int         // what is left of fitStepsMax
	oldBranches []nodeRef   // versions of parents of leaves
	oldLeaves   []nodeRef   // versions of leaves with buckets
	successors  map[nodeKey]nodeRef
}

func (s *salvager) salvage(f vfs.File, out string, mode os.FileMode) error {
	if err := s.findState(f); err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.salvage-%016x", out, randomID())
	err := s.fill(tmp, mode)
	if err == nil {
		err = s.fs.Publish(tmp, out)
	}
	if err != nil {
		// What matters is why it failed; a file left behind is only litter.
		_ = s.fs.Remove(tmp)
		return err
	}
	return s.fs.SyncDir(filepath.Dir(out))
}

// fill makes the new file tmp and checks it.
func (s *salvager) fill(tmp string, mode os.FileMode) (err error) {
	if err := s.out.open(s.fs, tmp, mode, s.in.pageSize); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.out.close(err == nil)) }()
	defer endWalk(&err)
	if err := s.copyAll(); err != nil {
		return err
	}
	if err := s.out.commit(); err != nil {
		return err
	}
	if err := s.out.check(func(done, total uint64) { s.progress("checking", done, total) }); err != nil {
		return err
	}
	s.goOn()
	return nil
}

// copyAll writes what can be had, the best first.
func (s *salvager) copyAll() error {
	s.claimed, s.owner = make(bitmap), make(owners)
	root := s.meta.Root
	if err := s.out.sequence(root.Sequence); err != nil {
		return err
	}
	if root.ID != 0 {
		w := walk{s: s, tree: s.newTree()}
		r := nodeRef{id: root.ID, birth: root.Birth, level: -1, count: root.Count, flags: allFlags}
		if err := w.node(r, nil, nil); err != nil {
			return err
		}
	}
	if err := s.findLost(); err != nil {
		return err
	}
	s.finishReport()
	return nil
}

// findLost looks for what is missing after the walk.
func (s *salvager) findLost() error {
	lostNodes := slices.ContainsFunc(s.lost, func(l *lostNode) bool { return l.level != levelRun || l.Buckets })
	if !lostNodes && !s.blind {
		return nil
	}
	s.scan()
	if err := s.fitOrphans(); err != nil {
		return err
	}
	if !s.opts.CurrentOnly {
		if err := s.takeOld(); err != nil {
			return err
		}
		if err := s.fitOrphans(); err != nil { // what old leaves have given names to
			return err
		}
	}
	return s.lostAndFound()
}

// finishReport turns what is lost into what the report says.
func (s *salvager) finishReport() {
	slices.SortStableFunc(s.lost, func(a, b *lostNode) int {
		return cmp.Or(slices.CompareFunc(a.Bucket, b.Bucket, slices.Compare[[]byte]), slices.Compare(a.Lo, b.Lo))
	})
	for _, l := range s.lost {
		s.report.Losses = append(s.report.Losses, l.SalvageLoss)
		if l.Keys > l.Found {
			s.report.LostKeys += l.Keys - l.Found
		}
	}
	s.report.Keys, s.report.Buckets = s.out.keys, s.out.buckets
}

func (s *salvager) newTree() uint32 {
	s.trees++
	return s.trees
}

// goOn ends a salvage that is to end.
func (s *salvager) goOn() {
	if s.ctx.Err() != nil {
		panic(stopWalk{context.Cause(s.ctx)})
	}
}

func (s *salvager) progress(what string, done, total uint64) {
	s.goOn()
	if s.opts.Progress != nil {
		s.opts.Progress(what, done, total)
	}
}
