//go:build linux && !foliobugs

package main

import "github.com/foliodb/folio/internal/bugs"

func plant(b bugs.Bug) {
	if b != bugs.None {
		panic("this is no build with the tag foliobugs")
	}
}
