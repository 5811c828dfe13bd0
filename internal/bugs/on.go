//go:build foliobugs

package bugs

import "sync/atomic"

// Enabled tells whether bugs can be planted.
const Enabled = true

var planted atomic.Int32

// Plant makes b the only bug that is on; None takes it away.
func Plant(b Bug) { planted.Store(int32(b)) }

// On tells whether b is planted.
func On(b Bug) bool { return Bug(planted.Load()) == b }
