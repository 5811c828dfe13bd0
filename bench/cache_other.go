//go:build !linux

package main

// dropCache does nothing where the system has no call for it: cold opens are warm
// ones then.
func dropCache(string) error { return nil }
