package sidecar

// This file is responsible for the ring in which the writer notes what it has
// written, for those who keep copies.
//
// G1  Entry number i is at i%ringEntries. The writer raises reserve above what it is
//     about to store, stores, and then raises head; Publish comes after that, so who
//     sees a meta finds everything that led to it.
// G2  A reader loads an entry below head, and then looks at reserve: if that is no
//     more than a round ahead, nobody had begun to overwrite the entry.
// G3  A writer that dies leaves reserve above head. The next one goes on at head, and
//     never lowers reserve, so at worst readers believe a little more to be lost.

// reserveStep is how many entries are reserved at once; a reader can lose that many
// too early.
const reserveStep = 64

// Written notes an extent, which is any two numbers, before the Publish of a meta that
// refers to it. Only who may write to the database may call it, not concurrently.
func (s *Sidecar) Written(start, n uint64) { s.Guard(func() { s.note(start, n) }) }

func (s *Sidecar) note(start, n uint64) {
	r := &s.head.ring
	pos := r.head.Load()
	if pos >= r.reserve.Load() {
		r.reserve.Store(pos + reserveStep)
	}
	e := &s.ring[pos%ringEntries]
	e.start.Store(start)
	if e.n.Load() != n { // mostly it is the same, and a load is cheaper
		e.n.Store(n)
	}
	r.head.Store(pos + 1)
}

// Changes visits what was noted since the position that an earlier call returned, in
// order, and returns the position to go on from. ok is false when some of it is
// lost, because the ring went round or began anew; some of it can have been visited
// then, and now is the place to go on from after having looked at everything. So a
// position that is too high, like math.MaxUint64, asks where to begin.
func (s *Sidecar) Changes(since uint64, visit func(start, n uint64)) (now uint64, ok bool) {
	if !s.Guard(func() { now, ok = s.changes(since, visit) }) {
		return since, false
	}
	return now, ok
}

func (s *Sidecar) changes(since uint64, visit func(start, n uint64)) (now uint64, ok bool) {
	r := &s.head.ring
	now = r.head.Load()
	if since > now || now-since > ringEntries {
		return now, false
	}
	for i := since; i < now; i++ {
		e := &s.ring[i%ringEntries]
		start, n := e.start.Load(), e.n.Load()
		if r.reserve.Load() > i+ringEntries {
			return now, false
		}
		visit(start, n)
	}
	return now, true
}
