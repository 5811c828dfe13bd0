package vfs

// Vacater is a Mapping that can let go of its file while its bytes stay. Those of OS
// are, where there is mmap.
type Vacater interface {
	// Vacate makes the bytes zeros that belong to no file, at one instant: who reads
	// or writes them meanwhile, or later, does not fault. Close unmaps them.
	Vacate() error
}
