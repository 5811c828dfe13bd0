package main

import (
	"fmt"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) statsCmd() *cobra.Command {
	var asJSON bool
	var depth, limit int
	c := &cobra.Command{
		Use:   "stats FILE [BUCKET]",
		Short: "Say what the file's pages are used for, bucket by bucket",
		Long: `Stats walks a file and prints what it is made of: pages by kind, and for each bucket
with all that is nested in it the keys, buckets and pages.

  inline    buckets that are so small that they live in a page of their parent
  depth     levels of nodes from the bucket's root to the leaves of what is nested
  fill      how full the branch and leaf pages are
  overflow  pages of long keys and values, and the bytes in them`,
		Example: `  kvctl stats my.folio
  kvctl stats my.folio /users --depth 2
  kvctl stats --json my.folio`,
		Args: argCount(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := notNegative(map[string]int{"depth": depth, "limit": limit}); err != nil {
				return err
			}
			return e.stats(append(args, "/")[0], append(args, "/")[1], depth, limit, asJSON)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().IntVar(&depth, "depth", 1, "how many levels of nested buckets get a line of their own")
	c.Flags().IntVar(&limit, "limit", 20, "how many buckets of a bucket get a line of their own; 0 is all")
	return c
}

// statsJSON is what stats prints with --json.
type statsJSON struct {
	File      string         `json:"file"`
	PageSize  int            `json:"page_size"`
	FileSize  int64          `json:"file_size"`
	HighWater int64          `json:"high_water"`
	Pages     map[string]int `json:"pages"`
	Buckets   []bucketJSON   `json:"buckets"`
}

// bucketJSON is a bucket with all that is nested in it.
type bucketJSON struct {
	Path        string            `json:"path"`
	Keys        uint64            `json:"keys"` // its own
	Stats       folio.BucketStats `json:"stats"`
	FillPercent float64           `json:"fill_percent"`
	Hidden      uint64            `json:"not_listed,omitempty"` // nested buckets
}

func (e *env) stats(file, path string, depth, limit int, asJSON bool) error {
	return e.viewBucket(file, path, func(b *folio.Bucket, path [][]byte) error {
		db := b.Tx().DB()
		st := db.Stats()
		ps := db.Info().PageSize
		j := statsJSON{File: file, PageSize: ps, FileSize: st.FileSize, HighWater: st.Size / int64(ps)}
		root := b.Tx().Cursor().Bucket().Stats()
		j.Pages = map[string]int{
			"meta": 2, "branch": root.BranchPageN, "leaf": root.LeafPageN, "overflow": root.OverflowPageN, "free": st.FreePageN,
		}
		rest := int(j.HighWater)
		for _, n := range j.Pages {
			rest -= n
		}
		j.Pages["freelist"] = rest
		j.add(b, path, depth, limit)
		if asJSON {
			return writeJSON(e.out, &j)
		}
		return e.printStats(&j)
	})
}

// add adds b and the buckets nested in it, down to depth levels.
func (j *statsJSON) add(b *folio.Bucket, path [][]byte, depth, limit int) {
	s := b.Stats()
	nodes := (s.BranchPageN + s.LeafPageN) * j.PageSize
	in := bucketJSON{Path: formatPath(path), Keys: b.Len(), Stats: s}
	if nodes > 0 {
		in.FillPercent = 100 * float64(s.BranchInuse+s.LeafInuse-s.OverflowInuse) / float64(nodes)
	}
	at := len(j.Buckets)
	j.Buckets = append(j.Buckets, in)
	if depth == 0 || s.BucketN == 1 {
		return
	}
	n := 0
	for name, nested := range b.Buckets() {
		if n++; limit > 0 && n > limit {
			j.Buckets[at].Hidden++
			continue
		}
		j.add(nested, append(path[:len(path):len(path)], name), depth-1, limit)
	}
}

func (e *env) printStats(j *statsJSON) error {
	ps := int64(j.PageSize)
	fmt.Fprintf(e.out, "%s: %s, pages of %s\n\n", j.File, size(j.FileSize), size(ps))
	pages := table{from: 1, to: 4}
	pages.row("pages", "", "", "size")
	for _, kind := range []string{"meta", "branch", "leaf", "overflow", "freelist", "free"} {
		n := int64(j.Pages[kind])
		pages.row("  "+kind, number(n), percent(n, j.HighWater), size(n*ps))
	}
	pages.row("  all", number(j.HighWater), "", size(j.HighWater*ps))
	if err := pages.write(e.out); err != nil {
		return err
	}
	fmt.Fprintln(e.out)
	t := table{from: 1, to: 11}
	t.row("bucket", "keys", "buckets", "inline", "depth", "branch", "leaf", "fill", "overflow", "bytes in it", "all pages")
	for _, b := range j.Buckets {
		s := b.Stats
		fill := "-"
		if s.BranchPageN+s.LeafPageN > 0 {
			fill = fmt.Sprintf("%.1f %%", b.FillPercent)
		}
		t.row(cut(b.Path, 40), number(s.KeyN), number(s.BucketN-1), number(s.InlineBucketN), number(s.Depth),
			number(s.BranchPageN), number(s.LeafPageN), fill, number(s.OverflowPageN), size(s.OverflowInuse),
			size(int64(s.BranchAlloc)+int64(s.LeafAlloc)))
		if b.Hidden > 0 {
			defer fmt.Fprintf(e.out, "\n%s more in %s: --limit 0 lists all\n", plural(b.Hidden, "bucket"), b.Path)
		}
	}
	return t.write(e.out)
}
