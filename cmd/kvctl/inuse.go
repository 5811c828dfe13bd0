package main

// This file is responsible for saying who has a file open.

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/foliodb/folio"
)

// others returns the handles of the file but db's own, and not those of the dead.
func others(db *folio.DB) []folio.Process {
	return slices.DeleteFunc(db.Processes(), func(p folio.Process) bool { return p.Self || p.Dead })
}

// writers returns those who write.
func writers(all []folio.Process) []folio.Process {
	return slices.DeleteFunc(slices.Clone(all), func(p folio.Process) bool { return p.Role == roleReader })
}

// The roles that folio tells.
const (
	roleReader       = "reader"
	roleSharedWriter = "shared writer"
)

// program returns the name of the program that a process runs, "" if it is not known.
func program(p *folio.Process) string {
	if p.Dead || p.Foreign { // the number can be another process's
		return ""
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", p.PID))
	if err != nil {
		return ""
	}
	return formatKey([]byte(strings.TrimSpace(string(b))))
}

// elsewhere is said of a process whose number counts in another container.
const elsewhere = "of another pid namespace"

// names lists processes: "process 12 (app) and process 13".
func names(list []folio.Process) string {
	var each []string
	for _, p := range list {
		s := fmt.Sprintf("process %d", p.PID)
		if name := program(&p); name != "" {
			s += " (" + name + ")"
		} else if p.Foreign {
			s += " (" + elsewhere + ")"
		}
		if !slices.Contains(each, s) {
			each = append(each, s)
		}
	}
	if len(each) < 2 {
		return strings.Join(each, "")
	}
	return strings.Join(each[:len(each)-1], ", ") + " and " + each[len(each)-1]
}

// lookTimeout is how long to try to find out who has a file open.
const lookTimeout = 100 * time.Millisecond

// whoWrites returns who has the file open for writing, if it is to be known.
func whoWrites(path string) []folio.Process {
	db, err := folio.Open(path, 0, &folio.Options{ReadOnly: true, Timeout: lookTimeout})
	if err != nil {
		return nil
	}
	defer db.Close()
	return writers(others(db))
}

// inUse names the processes that have the file open, where err says that it is.
func inUse(path string, err error) error {
	if !errors.Is(err, folio.ErrTimeout) {
		return err
	}
	ps := whoWrites(path)
	switch {
	case len(ps) == 0:
		return err
	case shared(ps):
		return fail(exitInUse, "%w: %s, and it was not our turn in time: wait for it longer with --timeout", err, haveOpen(ps))
	}
	return fail(exitInUse, "%w: %s: close it there, or wait for it longer with --timeout", err, haveOpen(ps))
}

// mustClose is inUse for a verb that takes no turns with others: no time is long enough
// as long as they have the file open.
func mustClose(path string, err error) error {
	ps := whoWrites(path)
	if len(ps) == 0 {
		return err
	}
	return fail(exitInUse, "%w: %s: close it there, or wait for that with --timeout", err, haveOpen(ps))
}

// haveOpen says who writes.
func haveOpen(ps []folio.Process) string {
	verb := " has"
	if names := names(ps); strings.Contains(names, " and ") {
		verb = " have"
	}
	return names(ps) + verb + " it open for writing"
}

// shared tells whether all that write let others write as well.
func shared(ps []folio.Process) bool {
	for _, p := range ps {
		if p.Role != roleSharedWriter {
			return false
		}
	}
	return len(ps) > 0
}

// errNotShared is for verbs that are about other processes.
func errNotShared(path string) string {
	return path + ": who has it open cannot be known, for it cannot be shared here, and nobody can write it while kvctl " +
		"reads it: " + path + "-lock cannot be created or written, the file system is one of a network, or the system is not Linux"
}

// age formats a duration for people.
func age(d time.Duration) string {
	d = max(d, 0)
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < time.Hour:
		return fmt.Sprintf("%d min %d s", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%d d %d h", int(d.Hours())/24, int(d.Hours())%24)
}
