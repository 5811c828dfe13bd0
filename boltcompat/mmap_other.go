//go:build !linux

package bbolt

// mapPopulate is a flag of Linux.
const mapPopulate = 0
