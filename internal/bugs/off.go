//go:build !foliobugs

package bugs

// Enabled tells whether bugs can be planted.
const Enabled = false

// On tells whether b is planted.
func On(b Bug) bool { return false }

// Pause is an instant at which a process can be stopped for long.
func Pause() {}
