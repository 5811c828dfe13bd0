package folio_test

// The borders between the packages, and what the core may depend on.

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/foliodb/folio"

// allowedImports are the packages of the core, what each may import of the
// module, and of others.
var allowedImports = map[string][]string{
	"": {
		"btree", "freelist", "meta", "pager", "internal/page", "internal/sidecar", "internal/vfs", "internal/invariants", "internal/bugs",
	},
	"btree":               {"internal/page", "internal/prefetch", "internal/invariants"},
	"freelist":            {"internal/page", "internal/invariants", "github.com/google/btree"},
	"meta":                {"internal/page", "internal/invariants"},
	"pager":               {"internal/page", "internal/vfs", "internal/invariants", "internal/bugs"},
	"internal/page":       {"github.com/cespare/xxhash/v2"},
	"internal/sidecar":    {"internal/vfs"},
	"internal/vfs":        {"golang.org/x/sys/unix", "golang.org/x/sys/windows"},
	"internal/invariants": {},
	"internal/bugs":       {},
	"internal/prefetch":   {},
}

// allowedModules are what the core may be built from.
var allowedModules = []string{"github.com/cespare/xxhash/v2", "github.com/google/btree", "golang.org/x/sys"}

type listedPackage struct {
	ImportPath string
	Standard   bool
	Imports    []string
	Module     *struct{ Path string }
}

// listDeps returns the core and everything that it is built from on a system.
func listDeps(t *testing.T, goos string) []listedPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Standard,Imports,Module", module)
	cmd.Env = append(os.Environ(), "GOOS="+goos, "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	noErr(t, err)
	var pkgs []listedPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p listedPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func TestImports(t *testing.T) {
	for _, goos := range []string{"linux", "darwin", "windows"} {
		t.Run(goos, func(t *testing.T) {
			for _, p := range listDeps(t, goos) {
				if p.Standard {
					continue
				}
				if p.Module.Path != module {
					if !slices.Contains(allowedModules, p.Module.Path) {
						t.Errorf("the core depends on %s", p.ImportPath)
					}
					continue
				}
				name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
				allowed, known := allowedImports[name]
				if !known {
					t.Errorf("a new package in the core: %q", name)
				}
				for _, i := range p.Imports {
					if !strings.Contains(i, ".") {
						continue // of the standard library
					}
					if !slices.Contains(allowed, strings.TrimPrefix(i, module+"/")) {
						t.Errorf("%q imports %s", name, i)
					}
				}
			}
		})
	}
}

// allowedUnsafe are the files that may import unsafe, each of which argues why.
var allowedUnsafe = []string{"internal/sidecar/overlay.go", "internal/vfs/vacate_unix.go", "internal/vfs/os_windows.go"}

func TestUnsafe(t *testing.T) {
	for dir := range allowedImports {
		files, err := filepath.Glob(filepath.Join(".", filepath.FromSlash(dir), "*.go"))
		noErr(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
			noErr(t, err)
			for _, i := range f.Imports {
				name := path.Join(dir, filepath.Base(file))
				if i.Path.Value == `"unsafe"` && !slices.Contains(allowedUnsafe, name) {
					t.Errorf("%s imports unsafe", name)
				}
			}
		}
	}
}
