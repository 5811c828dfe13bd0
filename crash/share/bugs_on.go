//go:build linux && foliobugs

package main

import "github.com/foliodb/folio/internal/bugs"

func plant(b bugs.Bug) { bugs.Plant(b) }
