//go:build amd64 || arm64

// Package prefetch asks the processor to load memory into its nearest cache
// without waiting for it. Go has no such call, and plain loads are no substitute: a
// load that misses holds up everything behind it once the processor's window is
// full, which takes less time than a miss.
//
// A prefetch is a hint. It changes nothing that a program can see, and it cannot
// fault: where an address is not mapped, nothing happens.
package prefetch

// Lines asks for the cache lines of b that begin at its first byte and every 64
// bytes from there on.
//
//go:noescape
func Lines(b []byte)
