// Package invariants switches checks of folio's own promises to itself: what
// one function owes another. They never depend on the content of a file, for
// bad bytes are an error and not a broken promise.
//
// The checks run in builds with the tag "invariants" and in those with -race.
package invariants

import "fmt"

// Check panics with the formatted message when invariants are on and ok is
// false. Guard expensive conditions with Enabled.
func Check(ok bool, format string, args ...any) {
	if Enabled && !ok {
		panic("folio: broken invariant: " + fmt.Sprintf(format, args...))
	}
}
