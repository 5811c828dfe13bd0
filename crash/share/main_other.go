//go:build !linux

package main

import "fmt"

func main() { fmt.Println("share: processes share files on Linux only") }
