//go:build !race

package folio_test

const underRace = false
