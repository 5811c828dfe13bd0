package main

// This file is responsible for runs that are to end early: by Ctrl-C, or by the system.

import (
	"bufio"
	"context"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// interruptible returns a context that is done when kvctl is to end: its cause is the
// failure that says so. A second signal ends kvctl at once, as it would without this.
func interruptible() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		select {
		case s := <-signals:
			signal.Stop(signals)
			if s == os.Interrupt {
				cancel(fail(exitInterrupted, "interrupted"))
			} else {
				cancel(fail(exitTerminated, "terminated"))
			}
		case <-ctx.Done():
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// patientInput returns a reader of r that gives up when ctx is done: nobody knows when the
// next input comes.
func patientInput(ctx context.Context, r io.Reader) *bufio.Reader {
	return bufio.NewReaderSize(&patientReader{ctx: ctx, from: r}, 1<<20)
}

// patientReader is a reader whose Read ends with the cause of ctx. It is not used
// after that: the last Read goes on in what was given to it.
type patientReader struct {
	ctx  context.Context
	from io.Reader
}

func (r *patientReader) Read(p []byte) (int, error) {
	type result struct {
		n   int
		err error
	}
	read := make(chan result, 1)
	go func() {
		n, err := r.from.Read(p)
		read <- result{n, err}
	}()
	select {
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	case got := <-read:
		return got.n, got.err
	}
}
