package sidecar

// This file is responsible for what a SharedWriter leaves to the next one.

// Settle says that what was published is all there is: everything is durable, nothing
// is under way, and the next transaction has number nextTxID. seq is the number of the
// publication; 0 says that the next one must look for itself. Who calls it has X.
func (s *Sidecar) Settle(seq, nextTxID uint64) {
	s.Guard(func() {
		s.head.settled.Store(0)
		s.head.settler.Store(s.owner)
		s.head.nextTxID.Store(nextTxID)
		s.head.settled.Store(seq)
	})
}

// Settled returns what was given to Settle, and whether it was this handle that gave it:
// then no other one has called Settle since. If seq is not Seq, whoever had X last did
// not end in order. Who calls it has X.
func (s *Sidecar) Settled() (nextTxID, seq uint64, own bool) {
	s.Guard(func() {
		seq = s.head.settled.Load()
		nextTxID, own = s.head.nextTxID.Load(), s.head.settler.Load() == s.owner
	})
	return nextTxID, seq, own
}
