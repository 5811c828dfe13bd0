//go:build !linux

package main

import "fmt"

func main() { fmt.Println("power: SKIPPED: there are no loop devices and no FUSE but on Linux") }
