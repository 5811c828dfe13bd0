//go:build foliobugs

package bugs

import "sync/atomic"

// Enabled tells whether bugs can be planted.
const Enabled = true

var (
	planted atomic.Int32
	pause   atomic.Pointer[func()]
)

// Plant makes b the only bug that is on; None takes it away.
func Plant(b Bug) { planted.Store(int32(b)) }

// On tells whether b is planted.
func On(b Bug) bool { return Bug(planted.Load()) == b }

// Pause is an instant at which a process can be stopped for long: what OnPause was told
// happens now, once.
func Pause() {
	if f := pause.Swap(nil); f != nil {
		(*f)()
	}
}

// OnPause says what happens at the next Pause.
func OnPause(f func()) { pause.Store(&f) }
