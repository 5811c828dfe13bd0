package main

import (
	"fmt"

	"github.com/foliodb/folio"
	"github.com/spf13/cobra"
)

func (e *env) countCmd() *cobra.Command {
	var r rangeFlags
	c := &cobra.Command{
		Use:   "count FILE [BUCKET]",
		Short: "Count the keys of a bucket, or of a range",
		Long: `Count prints how many keys there are in a bucket, in a range of it, or with a
prefix; nested buckets count as one each. It reads a few pages, however many keys
there are.`,
		Example: `  kvctl count my.folio /users
  kvctl count my.folio /users --prefix a
  kvctl count my.folio /log --from 2024-01-01 --to 2025-01-01`,
		Args: argCount(1, 2),
		RunE: func(_ *cobra.Command, args []string) error {
			args = append(args, "/")
			lo, hi, err := r.bounds()
			if err != nil {
				return err
			}
			return e.viewBucket(args[0], args[1], func(b *folio.Bucket, _ [][]byte) error {
				_, err := fmt.Fprintln(e.out, b.Count(lo, hi))
				return err
			})
		},
	}
	r.add(c, true)
	return c
}
