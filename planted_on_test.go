//go:build foliobugs

package folio_test

import "github.com/foliodb/folio/internal/bugs"

// planted returns the bug that is on, for a child process.
func planted() int {
	for b := range bugs.End {
		if bugs.On(b) {
			return int(b)
		}
	}
	return 0
}

func plantAlso(b int) { bugs.Plant(bugs.Bug(b)) }
