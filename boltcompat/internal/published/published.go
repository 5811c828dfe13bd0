// Package published gets modules as they are published, and runs their tests with bbolt
// replaced by this module: what the checks of compatibility have in common.
package published

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Bbolt is the module that this one takes the place of.
const Bbolt = "go.etcd.io/bbolt"

// Folio is the module that this one is made of.
const Folio = "github.com/foliodb/folio"

// Versions are the versions of bbolt whose API this module has.
var Versions = []string{"v1.4.3", "v1.5.0"}

// Download returns the directory of a module, which must not be changed.
func Download(module, version string) (string, error) {
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = os.TempDir() // outside of any module
	out, err := cmd.Output()
	var m struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &m); jsonErr != nil {
		return "", fmt.Errorf("%s@%s: %w", module, version, err)
	}
	if m.Error != "" {
		return "", fmt.Errorf("%s@%s: %s", module, version, m.Error)
	}
	return m.Dir, nil
}

// Copy copies a directory, and makes the copy writable.
func Copy(to, from string) error {
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		return err
	}
	return filepath.WalkDir(to, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		return os.Chmod(path, info.Mode()|0o200)
	})
}

// Go runs the go command in dir.
func Go(dir string, args ...string) error {
	cmd := exec.Command("go", args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return nil
}

// Replace lets the module in dir use this one, which is at root, instead of bbolt. It
// drops replacements by directories that were next to dir where it was published from:
// they count for nobody else.
func Replace(dir, root string) error {
	cmd := exec.Command("go", "mod", "edit", "-json")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return err
	}
	var mod struct {
		Replace []struct{ Old, New struct{ Path string } }
	}
	if err := json.Unmarshal(out, &mod); err != nil {
		return err
	}
	args := []string{"mod", "edit"}
	for _, r := range mod.Replace {
		if strings.HasPrefix(r.New.Path, "../") {
			args = append(args, "-dropreplace", r.Old.Path)
		}
	}
	return Go(dir, append(args, "-replace", Bbolt+"="+root, "-replace", Folio+"="+filepath.Dir(root))...)
}

// Root returns the directory of this module, from which the checks are run.
func Root() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", Bbolt).Output()
	if err != nil {
		return "", fmt.Errorf("run this in the directory boltcompat: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Result is what a run of tests gave.
type Result struct {
	Passed, Skipped int
	Failed          []string // names of tests, or of packages that cannot be built
	Output          string   // of those that failed
	Err             error    // the tests could not be run
}

// OK tells whether nothing failed.
func (r *Result) OK() bool { return r.Err == nil && len(r.Failed) == 0 }

// Failure returns an error that says all about what failed.
func (r *Result) Failure() error {
	if r.Err != nil {
		return r.Err
	}
	return fmt.Errorf("%s\n%s", strings.Join(r.Failed, " "), r.Output)
}

// event is a line of go test -json.
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// Test runs go test with args in dir and counts the tests, without their parts. The
// go.mod there may be completed with what the replacement requires; vet is off because
// it says other things of old code when it takes it for new.
func Test(dir string, args ...string) Result {
	cmd := exec.Command("go", append([]string{"test", "-json", "-vet=off", "-mod=mod"}, args...)...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var r Result
	output := make(map[string]*strings.Builder)
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var e event
		if d.Decode(&e) != nil {
			break
		}
		r.add(&e, output)
	}
	if err != nil && len(r.Failed) == 0 {
		r.Err = fmt.Errorf("%w\n%s", err, tail(stderr.String()))
	}
	return r
}

func (r *Result) add(e *event, output map[string]*strings.Builder) {
	name := e.Package + "." + e.Test
	if e.Package == "" {
		name = e.ImportPath
	}
	switch e.Action {
	case "output", "build-output":
		if output[name] == nil {
			output[name] = new(strings.Builder)
		}
		output[name].WriteString(e.Output)
	case "fail", "build-fail":
		if b := output[name]; b != nil {
			r.Output += tail(b.String())
		}
		if !strings.Contains(e.Test, "/") {
			r.Failed = append(r.Failed, strings.TrimSuffix(name, "."))
		}
	case "pass", "skip":
		if e.Test == "" || strings.Contains(e.Test, "/") {
			return
		}
		if e.Action == "pass" {
			r.Passed++
		} else {
			r.Skipped++
		}
	}
}

// tail returns the end of what a test printed, which says why it failed.
func tail(s string) string {
	const most = 2000
	if len(s) > most {
		return "...\n" + s[len(s)-most:]
	}
	return s
}

// Skip returns the pattern of the tests that are left out: names of reasons that are not
// files.
func Skip(reasons map[string]string) string {
	names := slices.Sorted(maps.Keys(reasons))
	names = slices.DeleteFunc(names, func(n string) bool { return strings.HasSuffix(n, ".go") })
	return "^(" + strings.Join(names, "|") + ")$"
}

var code = regexp.MustCompile("`([^`]+)`")

// Reasons reads the table below a heading of README.md: the names in the first cells,
// and what the last cells say of them. So the tables that people read are those that
// the checks go by.
func Reasons(root, heading string) (map[string]string, error) {
	text, err := os.ReadFile(filepath.Join(root, "README.md"))
	if err != nil {
		return nil, err
	}
	_, section, ok := strings.Cut(string(text), "\n## "+heading+"\n")
	if !ok {
		return nil, fmt.Errorf("README.md has no heading %q", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	reasons := make(map[string]string)
	for line := range strings.Lines(section) {
		cells := strings.Split(strings.Trim(line, "|\n "), "|")
		if len(cells) < 2 || !strings.HasPrefix(line, "| `") {
			continue
		}
		for _, m := range code.FindAllStringSubmatch(cells[0], -1) {
			reasons[m[1]] = strings.TrimSpace(cells[len(cells)-1])
		}
	}
	return reasons, nil
}
