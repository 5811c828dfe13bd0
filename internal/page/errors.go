package page

import (
	"errors"
	"fmt"
)

// ErrCorrupt is what every error about damaged bytes wraps.
var ErrCorrupt = errors.New("the file is damaged")

// CorruptError says which page is damaged and how.
type CorruptError struct {
	ID     ID
	Kind   Kind // what was expected there; zero if anything was
	Detail string
}

// Corrupt returns a *CorruptError for page id.
func Corrupt(id ID, kind Kind, format string, args ...any) error {
	return &CorruptError{ID: id, Kind: kind, Detail: fmt.Sprintf(format, args...)}
}

func (e *CorruptError) Error() string {
	if e.Kind == 0 {
		return fmt.Sprintf("%v: page %d: %s", ErrCorrupt, e.ID, e.Detail)
	}
	if e.ID == 0 {
		return fmt.Sprintf("%v: a %v page: %s", ErrCorrupt, e.Kind, e.Detail)
	}
	return fmt.Sprintf("%v: %v page %d: %s", ErrCorrupt, e.Kind, e.ID, e.Detail)
}

// Unwrap makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Unwrap() error { return ErrCorrupt }
