package sidecar

import (
	"os"
	"syscall"
)

// openFlags do not follow a link, which could lead to a file of somebody else.
const openFlags = os.O_RDWR | os.O_CREATE | syscall.O_NOFOLLOW
