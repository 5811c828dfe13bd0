//go:build race

package folio_test

// underRace tells whether the race detector watches, under which all takes ten times as
// long: tests leave out there what only one goroutine does to large files.
const underRace = true
