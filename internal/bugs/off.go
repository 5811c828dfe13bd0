//go:build !foliobugs

package bugs

// Enabled tells whether bugs can be planted.
const Enabled = false

// On tells whether b is planted.
func On(b Bug) bool { return false }
