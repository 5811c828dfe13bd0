package vfs

import (
	"errors"
	"os"
)

// SameFile tells whether the file called name is the one that f has open: it may
// have been replaced since. For files of another FS than OS the error is
// errors.ErrUnsupported.
func SameFile(f File, name string) (bool, error) {
	of, ok := Innermost(f).(*osFile)
	if !ok {
		return false, errors.ErrUnsupported
	}
	open, err := of.f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(name)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	return os.SameFile(open, named), err
}
