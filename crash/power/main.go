//go:build linux

// Power is the third tier of the crash tests: power cuts on file systems of the
// kernel.
//
//	go -C crash run ./power [-seed n] [-sessions n] [-states n] [-only cases] [-dir dir]
//	go -C crash run ./power -replay file
//	go -C crash run ./power -clean [-dir dir]
//
// A session is a recording: a worker process commits on an ext4 or xfs whose every
// block write and flush is logged. Then the disk is rebuilt, again and again, as a
// power cut may have left it, and mounted, and the database on it must hold what had
// been acknowledged as durable, and be the state after some transaction, whole.
//
// It needs root, /dev/fuse and /dev/loop-control. A failure keeps the recording;
// -replay rebuilds the state and looks at it again.
package main

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"

	"github.com/foliodb/folio/crash/disk"
	"github.com/foliodb/folio/crash/work"
)

// run is all that one call of the program does.
type run struct {
	seed        uint64
	first       int // session
	sessions    int
	states      int // in a session
	only        string
	parent      string // of the directory it works in
	skip        bool   // the controls
	interrupted atomic.Bool
}

func main() {
	if code, is := child(os.Args[1:]); is {
		os.Exit(code)
	}
	var r run
	flag.Uint64Var(&r.seed, "seed", 0, "seed of all; 0: a random one")
	flag.IntVar(&r.first, "session", 0, "number of the first session")
	flag.IntVar(&r.sessions, "sessions", 60, "recordings to make")
	flag.IntVar(&r.states, "states", 100, "power cuts to try in a recording")
	flag.StringVar(&r.only, "only", "", "run the cases whose names match this expression")
	flag.StringVar(&r.parent, "dir", os.TempDir(), "directory to work in")
	flag.BoolVar(&r.skip, "skip-controls", false, "do not make sure first that wrong workers and disks are found")
	replay := flag.String("replay", "", "look again at the state in a file that a failure has kept")
	clean := flag.Bool("clean", false, "remove what a run has left behind that could not do so")
	flag.Parse()
	if err := r.start(*replay, *clean); err != nil {
		fmt.Fprintln(os.Stderr, "power:", err)
		os.Exit(1)
	}
}

// child is the process if it is not the one that was started by a person.
func child(args []string) (code int, is bool) {
	if len(args) == 0 {
		return 0, false
	}
	switch args[0] {
	case work.Command:
		return work.Main(args[1:]), true
	case helpCommand:
		return helperMain(), true
	case guardCommand:
		return guardMain(args[1]), true
	}
	return 0, false
}

func (r *run) start(replay string, clean bool) error {
	if err := disk.Possible(); err != nil {
		fmt.Println("SKIPPED: there can be no power cuts here:", err)
		return nil
	}
	if clean {
		return cleanAll(r.parent)
	}
	if r.seed == 0 {
		r.seed = rand.Uint64() >> 32
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		fmt.Println("interrupted: ending")
		r.interrupted.Store(true)
	}()
	l, err := newLab(r.parent)
	if err != nil {
		return err
	}
	defer l.close() // after a panic; it may be called again
	if replay != "" {
		err = r.replay(l, replay)
	} else {
		err = r.all(l)
	}
	return errors.Join(err, l.close())
}
