// Bolttests runs bbolt's own tests of its API on this module, as they are published,
// except for those that README.md lists with the reason.
//
//	go run ./internal/bolttests [-long]
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/bbolt/internal/published"
)

func main() {
	long := flag.Bool("long", false, "also run those that take minutes")
	flag.Parse()
	if err := run(*long); err != nil {
		fmt.Fprintln(os.Stderr, "bolttests:", err)
		os.Exit(1)
	}
}

func run(long bool) error {
	root, err := published.Root()
	if err != nil {
		return err
	}
	reasons, err := published.Reasons(root, "bbolt's own tests")
	if err != nil {
		return err
	}
	var errs []error
	for _, v := range published.Versions {
		errs = append(errs, test(root, v, reasons, long))
	}
	return errors.Join(errs...)
}

// test runs the tests of one version in a copy of this module.
func test(root, version string, reasons map[string]string, long bool) error {
	bolt, err := published.Download(published.Bbolt, version)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "bolttests-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir, root, bolt, reasons); err != nil {
		return err
	}
	args := []string{"-timeout", "30m", "-skip", published.Skip(reasons), "."}
	if !long {
		args = append([]string{"-short"}, args...)
	}
	start := time.Now()
	r := published.Test(dir, args...)
	fmt.Printf("bbolt %s: %d tests passed, %d skipped themselves, %d failed (%.0f s)\n",
		version, r.Passed, r.Skipped, len(r.Failed), time.Since(start).Seconds())
	if !r.OK() {
		return fmt.Errorf("bbolt %s: %w", version, r.Failure())
	}
	if r.Passed == 0 {
		return fmt.Errorf("bbolt %s: no test was run", version)
	}
	return nil
}

// prepare makes dir a copy of this module with bbolt's tests in it, and with what of
// bbolt only its tests use.
func prepare(dir, root, bolt string, reasons map[string]string) error {
	if err := published.Copy(dir, root); err != nil {
		return err
	}
	own, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		return err
	}
	for _, f := range append(own, filepath.Join(dir, "internal", "common")) {
		if err := os.RemoveAll(f); err != nil {
			return err
		}
	}
	for _, in := range []string{"common", "btesting", "guts_cli"} {
		if err := published.Copy(filepath.Join(dir, "internal", in), filepath.Join(bolt, "internal", in)); err != nil {
			return err
		}
	}
	tests, err := filepath.Glob(filepath.Join(bolt, "*_test.go"))
	if err != nil {
		return err
	}
	for _, f := range tests {
		if reasons[filepath.Base(f)] != "" {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(f)), text, 0o644); err != nil {
			return err
		}
	}
	return require(dir, root, bolt)
}

// require lets the copy use what bbolt's tests use.
func require(dir, root, bolt string) error {
	out, err := exec.Command("go", "mod", "edit", "-json", filepath.Join(bolt, "go.mod")).Output()
	if err != nil {
		return err
	}
	var mod struct {
		Require []struct{ Path, Version string }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return err
	}
	args := []string{"mod", "edit", "-replace", "github.com/foliodb/folio=" + filepath.Dir(root)}
	for _, m := range mod.Require {
		if !strings.HasPrefix(m.Path, "golang.org/x/sys") { // ours is newer
			args = append(args, "-require", m.Path+"@"+m.Version)
		}
	}
	return published.Go(dir, args...)
}
