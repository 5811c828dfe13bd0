// Apidiff compares the exported names of this module with those of bbolt, and prints
// what is missing or of another type. It ends with an error if README.md does not
// explain all of it, or explains what is not missing.
//
//	go run ./internal/apidiff
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"go/importer"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"go.etcd.io/bbolt/internal/published"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "apidiff:", err)
		os.Exit(1)
	}
}

func run() error {
	root, err := published.Root()
	if err != nil {
		return err
	}
	reasons, err := published.Reasons(root, "What is missing")
	if err != nil {
		return err
	}
	ours, err := load(root)
	if err != nil {
		return err
	}
	unexplained, used := 0, make(map[string]bool)
	for _, v := range published.Versions {
		dir, err := published.Download(published.Bbolt, v)
		if err != nil {
			return err
		}
		theirs, err := load(dir)
		if err != nil {
			return err
		}
		missing := 0
		for _, name := range slices.Sorted(maps.Keys(theirs)) {
			if ours[name] == theirs[name] {
				continue
			}
			missing++
			used[name] = true
			if reasons[name] == "" {
				unexplained++
			}
			fmt.Println(describe(v, name, theirs[name], ours[name], reasons[name]))
		}
		fmt.Printf("bbolt %s: %d names, %d missing or different\n", v, len(theirs), missing)
	}
	for name := range reasons {
		if !used[name] {
			unexplained++
			fmt.Printf("%s: README.md says that it is missing, and it is not\n", name)
		}
	}
	if unexplained > 0 {
		return fmt.Errorf("%d unexplained", unexplained)
	}
	return nil
}

func describe(version, name, theirs, ours, reason string) string {
	if reason == "" {
		reason = "NOT EXPLAINED"
	}
	if ours == "" {
		return fmt.Sprintf("bbolt %s: %s %s: missing: %s", version, name, theirs, reason)
	}
	return fmt.Sprintf("bbolt %s: %s: %s there, %s here: %s", version, name, theirs, ours, reason)
}

// load returns the names that the module in dir exports, with their types.
func load(dir string) (map[string]string, error) {
	exports, err := list(dir)
	if err != nil {
		return nil, err
	}
	imp := importer.ForCompiler(token.NewFileSet(), "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, errors.New("not built")
		}
		return os.Open(exports[path])
	})
	names := make(map[string]string)
	for _, path := range []string{"", "/errors", "/version"} {
		pkg, err := imp.Import(published.Bbolt + path)
		if err != nil {
			return nil, err
		}
		prefix := strings.TrimPrefix(path+".", ".")
		for _, name := range pkg.Scope().Names() {
			if o := pkg.Scope().Lookup(name); o.Exported() {
				object(names, strings.TrimPrefix(prefix, "/")+name, o)
			}
		}
	}
	return names, nil
}

// list builds the packages in dir and returns where what they export is described.
func list(dir string) (map[string]string, error) {
	cmd := exec.Command("go", "list", "-export", "-deps", "-json=ImportPath,Export", ".", "./errors", "./version")
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, err
	}
	exports := make(map[string]string)
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct{ ImportPath, Export string }
		if err := d.Decode(&p); err == io.EOF {
			return exports, nil
		} else if err != nil {
			return nil, err
		}
		exports[p.ImportPath] = p.Export
	}
}

// object notes what o is: for a type, also its fields and methods.
func object(names map[string]string, name string, o types.Object) {
	t, ok := o.(*types.TypeName)
	if !ok {
		names[name] = typeString(o.Type())
		if c, ok := o.(*types.Const); ok {
			names[name] += " = " + c.Val().ExactString()
		}
		return
	}
	switch u := t.Type().Underlying().(type) {
	case *types.Struct:
		names[name] = "struct"
		fields(names, name, u)
	case *types.Interface:
		names[name] = "interface"
	default:
		names[name] = typeString(u)
	}
	of := t.Type()
	if !types.IsInterface(of) {
		of = types.NewPointer(types.Unalias(of))
	}
	methods := types.NewMethodSet(of)
	for i := range methods.Len() {
		if m := methods.At(i).Obj(); m.Exported() {
			names[name+"."+m.Name()] = typeString(m.Type())
		}
	}
}

// fields notes the fields of the struct name, and those of structs embedded in it.
func fields(names map[string]string, name string, s *types.Struct) {
	for i := range s.NumFields() {
		f := s.Field(i)
		if f.Exported() {
			names[name+"."+f.Name()] = typeString(f.Type())
		}
		if in, ok := f.Type().Underlying().(*types.Struct); ok && f.Embedded() {
			fields(names, name, in)
		}
	}
}

// typeString writes a type. An alias of a type of folio counts as a type of our own.
// Parameters have no names, which are nobody's concern.
func typeString(t types.Type) string {
	if s, ok := t.(*types.Signature); ok {
		t = types.NewSignatureType(nil, nil, nil, nameless(s.Params()), nameless(s.Results()), s.Variadic())
	}
	return types.TypeString(t, func(p *types.Package) string {
		if p.Path() == published.Folio {
			return published.Bbolt
		}
		return p.Path()
	})
}

func nameless(t *types.Tuple) *types.Tuple {
	vars := make([]*types.Var, t.Len())
	for i := range vars {
		vars[i] = types.NewParam(token.NoPos, nil, "", t.At(i).Type())
	}
	return types.NewTuple(vars...)
}
