//go:build !unix

package main

import "fmt"

func main() { fmt.Println("kill: needs a system with signals") }
