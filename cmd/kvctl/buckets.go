package main

import (
	"fmt"
	"strings"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) bucketsCmd() *cobra.Command {
	var asJSON bool
	var depth, limit int
	c := &cobra.Command{
		Use:   "buckets FILE [BUCKET]",
		Short: "Print the tree of buckets, with the number of keys in each",
		Long: `Buckets prints the buckets of a file, or those in a bucket, as a tree. The keys of
a bucket are counted with its nested buckets, each as one. It costs little: no keys
are read but those of pages with buckets in them.`,
		Example: `  kvctl buckets my.folio
  kvctl buckets my.folio /users --depth 1 --limit 0
  kvctl buckets --json my.folio`,
		Args: argCount(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := notNegative(map[string]int{"depth": depth, "limit": limit}); err != nil {
				return err
			}
			args = append(args, "/")
			return e.viewBucket(args[0], args[1], func(b *folio.Bucket, path [][]byte) error {
				tree := bucketNode{Path: formatPath(path), Keys: b.Len(), name: formatPath(path)}
				tree.fill(b, path, depth, limit)
				if asJSON {
					return writeJSON(e.out, &tree)
				}
				return tree.print(e, "", "")
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&depth, "depth", 16, "how many levels to print")
	c.Flags().IntVar(&limit, "limit", 20, "how many buckets of a bucket to print; 0 is all")
	return c
}

// bucketNode is a bucket in the tree.
type bucketNode struct {
	Path     string        `json:"path"`
	Keys     uint64        `json:"keys"`
	Sequence uint64        `json:"sequence,omitempty"`
	Buckets  []*bucketNode `json:"buckets,omitempty"`
	// Unlisted are the keys that were not looked at because of --limit: if any
	// are buckets is not known.
	Unlisted uint64 `json:"unlisted,omitempty"`
	name     string
}

func (n *bucketNode) fill(b *folio.Bucket, path [][]byte, depth, limit int) {
	if depth == 0 {
		return
	}
	for name, in := range b.Buckets() {
		if limit > 0 && len(n.Buckets) == limit {
			n.Unlisted = b.Len() - b.Rank(name)
			return
		}
		p := append(path[:len(path):len(path)], name)
		child := &bucketNode{Path: formatPath(p), Keys: in.Len(), Sequence: in.Sequence(), name: formatName(name, "/")}
		child.fill(in, p, depth-1, limit)
		n.Buckets = append(n.Buckets, child)
	}
}

func (n *bucketNode) print(e *env, first, rest string) error {
	text := first + n.name + "  " + plural(n.Keys, "key")
	if n.Sequence > 0 {
		text += ", sequence " + number(n.Sequence)
	}
	if _, err := fmt.Fprintln(e.out, text); err != nil {
		return err
	}
	for i, child := range n.Buckets {
		a, b := "├── ", "│   "
		if i == len(n.Buckets)-1 && n.Unlisted == 0 {
			a, b = "└── ", "    "
		}
		if err := child.print(e, rest+a, rest+b); err != nil {
			return err
		}
	}
	if n.Unlisted > 0 {
		what := "key or bucket"
		if n.Unlisted > 1 {
			what = "keys and buckets"
		}
		fmt.Fprintf(e.out, "%s└── ... %s %s more: --limit 0 prints all\n", rest, number(n.Unlisted), strings.TrimSpace(what))
	}
	return nil
}
