package sidecar

import (
	"os"
	"syscall"
)

// giveToOwner gives the file to the owner of the data file, if root has created it: else
// programs under that account could not open it while root has it, nor afterwards, if
// it stays. A name that has become a link is given, not what the link leads to. If it
// fails they are no worse off.
func (s *Sidecar) giveToOwner() {
	if os.Geteuid() != 0 {
		return
	}
	info, err := os.Stat(s.path)
	if err != nil {
		return
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		_ = os.Lchown(s.name, int(st.Uid), int(st.Gid))
	}
}
