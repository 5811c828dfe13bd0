// Clients runs the tests of programs that use bbolt, as they are published, with bbolt
// replaced by this module. Nothing else is changed; what README.md names is left out.
//
//	go run ./internal/clients [-only name,name] [-all]
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"go.etcd.io/bbolt/internal/published"
)

// client is a module that uses bbolt.
type client struct {
	name, module, version string
	packages              []string
	large                 bool // takes minutes to download and to build
}

var clients = []client{
	{name: "raft-boltdb", module: "github.com/hashicorp/raft-boltdb/v2", version: "v2.3.1", packages: []string{"./..."}},
	{name: "bolthold", module: "github.com/timshannon/bolthold", version: "v0.0.0-20240314194003-30aac6950928", packages: []string{"./..."}},
	{name: "walletdb", module: "github.com/btcsuite/btcwallet/walletdb", version: "v1.4.2", packages: []string{"./..."}},
	{name: "bleve", module: "github.com/blevesearch/bleve/v2", version: "v2.6.3", packages: []string{"./index/upsidedown/store/boltdb"}},
	{name: "lnd-kvdb", module: "github.com/lightningnetwork/lnd/kvdb", version: "v1.4.10", packages: []string{"."}},
	{name: "etcd", module: "go.etcd.io/etcd/server/v3", version: "v3.7.3",
		packages: []string{"./storage/backend/...", "./storage/schema/...", "./lease/..."}, large: true},
	{name: "containerd", module: "github.com/containerd/containerd/v2", version: "v2.4.2", packages: []string{"./core/metadata/..."}, large: true},
	{name: "buildkit", module: "github.com/moby/buildkit", version: "v0.34.2",
		packages: []string{"./cache/metadata", "./solver/bboltcachestorage"}, large: true},
}

func main() {
	all := flag.Bool("all", false, "also those that take minutes to download and to build")
	only := flag.String("only", "", "names, separated by commas")
	flag.Parse()
	if err := run(*all, *only); err != nil {
		fmt.Fprintln(os.Stderr, "clients:", err)
		os.Exit(1)
	}
}

func run(all bool, only string) error {
	root, err := published.Root()
	if err != nil {
		return err
	}
	reasons, err := published.Reasons(root, "The clients' tests")
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "client\tversion\tpackages\tpassed\tskipped\tfailed\tseconds")
	var errs []error
	for i := range clients {
		c := &clients[i]
		if only == "" && c.large && !all || only != "" && !strings.Contains(","+only+",", ","+c.name+",") {
			continue
		}
		start := time.Now()
		r := c.test(root, published.Skip(reasons))
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%.0f\n", c.name, c.version, strings.Join(c.packages, " "),
			r.Passed, r.Skipped, len(r.Failed), time.Since(start).Seconds())
		if r.OK() && r.Passed == 0 {
			r.Err = errors.New("no test was run")
		}
		if !r.OK() {
			errs = append(errs, fmt.Errorf("%s: %w", c.name, r.Failure()))
		}
	}
	return errors.Join(append(errs, w.Flush())...)
}

// test runs the client's tests in a copy of it, without those that skip matches.
func (c *client) test(root, skip string) (r published.Result) {
	from, err := published.Download(c.module, c.version)
	if err != nil {
		return published.Result{Err: err}
	}
	dir, err := os.MkdirTemp("", "compat-"+c.name+"-*")
	if err != nil {
		return published.Result{Err: err}
	}
	defer os.RemoveAll(dir)
	if err := published.Copy(dir, from); err != nil {
		return published.Result{Err: err}
	}
	if err := published.Replace(dir, root); err != nil {
		return published.Result{Err: err}
	}
	return published.Test(dir, append([]string{"-skip", skip}, c.packages...)...)
}
