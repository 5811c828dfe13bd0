package main

// This file is responsible for what all verbs share: the root command, how a run
// ends, and what an error says.

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// Exit codes; the root help documents them.
const (
	exitOK       = 0
	exitError    = 1
	exitNotFound = 2
	exitDamaged  = 3
	exitInUse    = 4

	exitInterrupted = 130 // 128 and the signal, as a shell says it
	exitTerminated  = 143
)

// failure ends kvctl with a code and a message.
type failure struct {
	code int
	err  error
}

func (e *failure) Error() string { return e.err.Error() }
func (e *failure) Unwrap() error { return e.err }

func fail(code int, format string, args ...any) error {
	return &failure{code, fmt.Errorf(format, args...)}
}

// env is what a run works with.
type env struct {
	in       io.Reader
	out      *bufio.Writer
	err      io.Writer
	timeout  time.Duration
	pageSize int // of a file that is created; 0: the default
	progress bool
	terminal bool // the output is one
}

// run runs kvctl and returns its exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	e := &env{in: stdin, out: bufio.NewWriterSize(stdout, 64<<10), err: stderr}
	e.progress, e.terminal = isTerminal(stderr), isTerminal(stdout)
	root := e.root()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(e.out)
	root.SetErr(stderr)
	err := root.Execute()
	if flushErr := e.out.Flush(); !errors.Is(err, flushErr) { // else it has been met before
		err = errors.Join(err, flushErr)
	}
	if err == nil {
		return exitOK
	}
	code, text := explain(err)
	fmt.Fprintf(stderr, "kvctl: %s\n", strings.ReplaceAll(text, "\n", "; "))
	return code
}

func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// explain returns the exit code of an error, and what to say about it.
func explain(err error) (code int, text string) {
	var own *failure
	text = strings.TrimPrefix(err.Error(), "folio: ")
	switch {
	case errors.As(err, &own):
		return own.code, text
	case errors.Is(err, folio.ErrTimeout):
		return exitInUse, text + ": close it there, or wait for it longer with --timeout"
	case errors.Is(err, folio.ErrInvalid):
		return exitError, text + ": is this the right file? If it is one of bbolt, take it over with kvctl import; if it is folio's, its beginning is damaged: try kvctl salvage"
	case errors.Is(err, folio.ErrVersionMismatch):
		return exitError, text + ": use a newer kvctl"
	case errors.Is(err, folio.ErrCorrupt), errors.Is(err, folio.ErrFault):
		return exitDamaged, text + ": kvctl check tells what is affected, kvctl salvage saves the rest"
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, folio.ErrBucketNotFound):
		return exitNotFound, text
	case errors.Is(err, folio.ErrIncompatibleValue):
		return exitError, text + ": a bucket is not a value, nor the other way round"
	}
	return exitError, text
}

const rootLong = `Kvctl looks into folio database files, and changes them.

Buckets are given by path: /users/by-name is the bucket by-name in the bucket
users, and / is the top level. Keys and path elements are text in which
  \n \r \t \\   are a newline, a return, a tab and a backslash
  \/            is a slash that is part of a name
  \xNN          is any byte
and 0x with an even number of hex digits is binary as a whole (\x30x0a1b is the
text 0x0a1b).
Kvctl prints them by the same rules, so they can be pasted back. With --hex, keys on
the command line are hex digits only, with 0x before them or without.

Verbs that only read can be used while programs have the file open, and write it
(docs/processes.md has the exceptions): they see the newest commit. Put, del and load
take turns with programs that share writing, and else wait until nobody writes.

Exit codes:
  0  success
  1  wrong use, or an error that is none of the following
  2  the file, the bucket or the key does not exist
  3  the file is damaged
  4  another process has the file open, for longer than --timeout, in a way that
     keeps kvctl out
  130, 143  interrupted, by Ctrl-C or by SIGTERM; watch has done its work then: 0
  141  in a shell: nobody reads the output any more, such as head when it has enough`

func (e *env) root() *cobra.Command {
	root := &cobra.Command{
		Use:           "kvctl",
		Short:         "Look into folio database files, and change them",
		Long:          rootLong,
		SilenceErrors: true,
		SilenceUsage:  true,
		Example: `  kvctl info my.folio
  kvctl buckets my.folio
  kvctl scan my.folio /users --prefix a --limit 10
  kvctl check my.folio`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fail(exitError, "there is no verb %q: kvctl --help lists them", args[0])
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentFlags().DurationVar(&e.timeout, "timeout", time.Second,
		"how long to wait while another process keeps kvctl out; 0 waits for ever")
	root.PersistentFlags().BoolVar(&e.progress, "progress", e.progress,
		"show progress on stderr, where a verb takes long; the default is whether stderr is a terminal")
	root.PersistentPreRunE = func(*cobra.Command, []string) error {
		if e.timeout < 0 {
			return fail(exitError, "--timeout %v: it must be 0 or more", e.timeout)
		}
		return nil
	}
	root.SetFlagErrorFunc(flagError)
	root.SetHelpCommand(helpCmd())
	root.Version = version()
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddCommand(e.infoCmd(), e.statsCmd(), e.bucketsCmd(), e.getCmd(), e.putCmd(), e.delCmd(), e.scanCmd(),
		e.countCmd(), e.loadCmd(), e.checkCmd(), e.scrubCmd(), e.salvageCmd(), e.copyCmd(), e.compactCmd(), e.importCmd(), e.exportCmd(), e.pagesCmd(),
		e.pageCmd(), e.layoutCmd(), e.readersCmd(), e.watchCmd(), e.versionCmd())
	return root
}

func helpCmd() *cobra.Command {
	return &cobra.Command{
		Use:   "help [VERB]",
		Short: "Say what a verb does, and how it is used",
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			verb, _, err := root.Find(args)
			if err != nil || verb == root && len(args) > 0 {
				return fail(exitError, "there is no verb %q: kvctl --help lists them", args[0])
			}
			return verb.Help()
		},
	}
}

// flagError says what is wrong with a flag, without the names of functions of Go.
func flagError(c *cobra.Command, err error) error {
	const invalid = "invalid argument "
	text, _, _ := strings.Cut(err.Error(), " flag: ")
	i := strings.LastIndex(text, "--")
	if !strings.HasPrefix(text, invalid) || i < 0 {
		return fail(exitError, "%v: see %s --help", err, c.CommandPath())
	}
	name := strings.Trim(text[i:], `"`)
	value, _, _ := strings.Cut(strings.TrimPrefix(text, invalid), " for ")
	must := "something else"
	if f := c.Flag(strings.TrimPrefix(name, "--")); f != nil {
		switch f.Value.Type() {
		case "uint64":
			must = "a whole number, 0 or more"
		case "int":
			must = "a whole number"
		case "duration":
			must = "a time, such as 500ms, 10s or 1h"
		case "bool":
			must = "true or false, or left out"
		}
	}
	return fail(exitError, "%s %s: it must be %s: see %s --help", name, value, must, c.CommandPath())
}

// notNegative refuses flags whose number is below 0.
func notNegative(flags map[string]int) error {
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		if flags[name] < 0 {
			return fail(exitError, "--%s %d: it must be 0 or more", name, flags[name])
		}
	}
	return nil
}

// argCount is cobra's check of the number of arguments, with a message that shows
// how the verb is used.
func argCount(least, most int) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) >= least && (most < 0 || len(args) <= most) {
			return nil
		}
		return fail(exitError, "usage: %s; see %s --help", c.UseLine(), c.CommandPath())
	}
}
