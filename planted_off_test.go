//go:build !foliobugs

package folio_test

// Without the tag foliobugs there are none.

func planted() int    { return 0 }
func plantAlso(b int) {}
