package sidecar

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// Process is a handle that has claimed slots, for display.
type Process struct {
	PID     int
	Foreign bool // PID counts in another pid namespace than ours
	Role    Role
	Since   time.Time // of its first claim
	Alive   bool      // false: it was killed, and nobody has cleaned up yet
	Own     bool      // it is this handle
	Slots   []InUse
}

// InUse is a slot that is not free.
type InUse struct {
	TxID     uint64
	Since    time.Time
	Retained uint64 // bytes
}

// Processes returns who has claimed slots, in the order of their blocks. A handle
// that has not is not shown. What is read at different times may not fit together.
func (s *Sidecar) Processes() (list []Process) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.Guard(func() { list = s.processes() })
	return list
}

func (s *Sidecar) processes() (list []Process) {
	index := map[uint64]int{} // by owner
	for i := range s.blocks() {
		b := s.block(i)
		pid, owner := b.pid.Load(), b.owner.Load()
		if pid == 0 {
			continue
		}
		at, known := index[owner]
		if !known {
			at = len(list)
			index[owner] = at
			list = append(list, Process{
				PID: int(pid), Foreign: b.space.Load() != pidSpace(), Role: Role(b.role.Load()),
				Since: time.Unix(0, b.since.Load()), Alive: s.alive(i), Own: s.own[i],
			})
		}
		list[at].Slots = b.inUse(list[at].Slots)
	}
	return list
}

// alive tells whether a block has an owner. It needs mu.
func (s *Sidecar) alive(i int) bool {
	_, held, err := s.fileLocks.RangeHeld(byteBlocks+int64(i), 1, true)
	return s.own[i] || held || err != nil
}

// inUse appends the slots that are not free.
func (b *block) inUse(list []InUse) []InUse {
	for i := range b.slots {
		s := &b.slots[i]
		if id := s.TxID.Load(); id != 0 {
			list = append(list, InUse{TxID: id, Since: time.Unix(0, s.Since.Load()), Retained: s.Retained.Load()})
		}
	}
	return list
}

// pidSpace is the inode of the pid namespace in which the number of this process counts;
// 0 if the system does not say.
var pidSpace = sync.OnceValue(func() (inode uint64) {
	link, _ := os.Readlink("/proc/self/ns/pid")
	_, _ = fmt.Sscanf(link, "pid:[%d]", &inode)
	return inode
})
