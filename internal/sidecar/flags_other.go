//go:build !linux

package sidecar

import "os"

const openFlags = os.O_RDWR | os.O_CREATE
