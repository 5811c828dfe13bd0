//go:build !linux

package work

import "errors"

func (w *worker) limit() error {
	if w.MemLimit > 0 || w.FileLimit || w.Ballast != "" {
		return errors.New("limits are for Linux")
	}
	return nil
}
