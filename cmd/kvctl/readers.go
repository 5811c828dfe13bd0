package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) readersCmd() *cobra.Command {
	var asJSON, asLines bool
	c := &cobra.Command{
		Use:   "readers FILE",
		Short: "List who has a file open, and which snapshots are being read",
		Long: `Readers lists the processes that have a file open, this one left out, and the snapshots
that they read. A snapshot keeps the pages that were freed after it: that is what it
retains, with what newer ones do, as of the newest commit. A reader that is open for long makes the file grow.

  open for   how long the process has had the file open; there is a line for each
             time that it has opened it
  snapshot   the transaction whose state is read
  readers    read transactions on it, and for how long the oldest of them is open

A process in another container is listed with the number that it has there.
The readers inside of a process that is the only writer are not known to others. A
process that has ended without closing the file, killed or not, may be listed as such
until somebody opens the file or writes.`,
		Example: `  kvctl readers my.folio
  kvctl readers --json my.folio | jq '.processes[].pid'
  kvctl readers --jsonl my.folio | jq -c 'select(.role != "reader")'`,
		Args: argCount(1, 1),
		RunE: func(_ *cobra.Command, args []string) error {
			if asJSON && asLines {
				return errBothJSON
			}
			return e.readers(args[0], asJSON, asLines)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&asLines, "jsonl", false, "print a line of JSON for each process")
	return c
}

// processJSON is a process that has the file open.
type processJSON struct {
	PID       int            `json:"pid"`
	Foreign   bool           `json:"foreign,omitempty"` // the number counts in another container
	Program   string         `json:"program,omitempty"`
	Role      string         `json:"role"`
	Since     time.Time      `json:"since"`
	Dead      bool           `json:"dead,omitempty"` // it has ended without closing the file
	Snapshots []snapshotJSON `json:"snapshots"`
}

// snapshotJSON is a snapshot that a process reads.
type snapshotJSON struct {
	TxID     int       `json:"txid"`
	Readers  int       `json:"readers"`
	Since    time.Time `json:"since"` // of the oldest of them
	Retained int64     `json:"retained"`
}

// describe takes p apart; readers come in the order of their snapshots.
func describe(p *folio.Process) processJSON {
	j := processJSON{
		PID: p.PID, Foreign: p.Foreign, Program: program(p), Role: p.Role, Since: p.Since, Dead: p.Dead, Snapshots: []snapshotJSON{},
	}
	for _, r := range p.Readers {
		if n := len(j.Snapshots); n == 0 || j.Snapshots[n-1].TxID != r.TxID {
			j.Snapshots = append(j.Snapshots, snapshotJSON{TxID: r.TxID, Since: r.Since})
		}
		s := &j.Snapshots[len(j.Snapshots)-1]
		s.Readers++
		s.Retained = max(s.Retained, r.Retained)
		if r.Since.Before(s.Since) {
			s.Since = r.Since
		}
	}
	return j
}

func (e *env) readers(path string, asJSON, asLines bool) error {
	db, err := e.openReader(path)
	if err != nil {
		return err
	}
	list := []processJSON{}
	for _, p := range db.Processes() {
		if !p.Self {
			list = append(list, describe(&p))
		}
	}
	a, isShared := db.Activity()
	if err := db.Close(); err != nil {
		return err
	}
	switch {
	case !isShared:
		return errors.New(errNotShared(path))
	case asJSON:
		return writeJSON(e.out, map[string]any{"file": path, "txid": a.TxID, "processes": list})
	case asLines:
		for _, p := range list {
			if err := writeJSONLine(e.out, p); err != nil {
				return err
			}
		}
		return nil
	}
	return e.printReaders(path, a.TxID, list)
}

func (e *env) printReaders(path string, newest int, list []processJSON) error {
	if len(list) == 0 {
		_, err := fmt.Fprintf(e.out, "%s: nobody else has it open; the newest commit is transaction %s\n", path, number(newest))
		return err
	}
	fmt.Fprintf(e.out, "%s: the newest commit is transaction %s\n\n", path, number(newest))
	t := table{from: 3, to: 8}
	row := func(pid string, cells ...string) { t.row(append([]string{fmt.Sprintf("%7s", pid)}, cells...)...) }
	row("process", "program", "role", "open for", "snapshot", "readers", "for", "retains")
	for _, p := range list {
		name := p.Program
		switch {
		case p.Dead:
			name = "(has ended)"
		case p.Foreign:
			name = "(" + elsewhere + ")"
		case name == "":
			name = "-"
		}
		cells := []string{name, p.Role, age(time.Since(p.Since))}
		pid := fmt.Sprint(p.PID)
		if len(p.Snapshots) == 0 {
			row(pid, append(cells, "-")...)
		}
		for _, s := range p.Snapshots {
			row(pid, append(cells, number(s.TxID), number(s.Readers), age(time.Since(s.Since)), size(s.Retained))...)
			cells, pid = []string{"", "", ""}, ""
		}
	}
	return t.write(e.out)
}
