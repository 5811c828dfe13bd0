// Package common holds the two types that bbolt's API mentions without exporting
// them.
package common

// Pgid is the number of a page.
type Pgid uint64

// PageInfo describes a page.
type PageInfo struct {
	ID            int
	Type          string // "meta", "branch", "leaf", "freelist", "overflow" or "free"
	Count         int    // cells
	OverflowCount int    // further pages of the run that begins here
}
