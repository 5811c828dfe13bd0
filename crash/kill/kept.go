//go:build unix

package main

// This file is responsible for what a failure leaves behind.

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/foliodb/folio/crash/work"
)

// kept says what the file beside it must hold.
type kept struct {
	Seed        uint64
	Shape       work.Shape
	Least, Most uint64
}

const keptName = "expected.json"

func (k kept) save(dir string) error {
	b, err := json.MarshalIndent(k, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, keptName), b, 0o644)
}

// verifyKept looks again at a file that a failure has kept.
func verifyKept(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, keptName))
	if err != nil {
		return err
	}
	var k kept
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	found, err := work.Check(work.CheckConfig{Path: filepath.Join(dir, "db"), Seed: k.Seed, Shape: k.Shape})
	if err == nil {
		err = work.NewOracle(k.Seed, k.Shape).Verify(found, k.Least, k.Most)
	}
	if err == nil {
		fmt.Printf("it holds the state after transaction %d, as it may\n", found.N)
	}
	return err
}
