package work

// This file is responsible for what a database must hold after n transactions.

import (
	"strings"
	"sync"
)

// model holds, for each entry of a database, what it adds to the digest. The path of
// an entry is the names of its buckets and its key with slashes between; a bucket is
// an entry that ends with one.
type model struct {
	sums map[string]uint64
	sum  uint64
	buf  []byte
}

func (m *model) set(path string, value []byte) {
	m.sum -= m.sums[path]
	s := sumOf(path, value)
	m.sums[path] = s
	m.sum += s
}

func (m *model) remove(path string) {
	m.sum -= m.sums[path]
	delete(m.sums, path)
}

// bucket makes sure that the bucket at path exists, and returns its path.
func (m *model) bucket(path []string) string {
	at := ""
	for _, name := range path {
		at += name + "/"
		if _, ok := m.sums[at]; !ok {
			m.set(at, number(0))
		}
	}
	return at
}

// removeIf removes entries below the path of a bucket.
func (m *model) removeIf(bucket string, match func(rest string) bool) {
	for path := range m.sums {
		if rest, ok := strings.CutPrefix(path, bucket); ok && match(rest) {
			m.remove(path)
		}
	}
}

func (m *model) apply(ops []op) {
	for _, o := range ops {
		switch o.kind {
		case opPut:
			m.buf = o.value.appendTo(m.buf[:0])
			m.set(m.bucket(o.path)+o.key, m.buf)
		case opDelete:
			m.remove(m.bucket(o.path) + o.key)
		case opDeleteRange:
			m.removeIf(m.bucket(o.path), func(rest string) bool {
				return rest >= o.key && rest < o.hi && !strings.Contains(rest, "/")
			})
		case opDrop:
			last := len(o.path) - 1
			m.removeIf(m.bucket(o.path[:last])+o.path[last]+"/", func(string) bool { return true })
		case opSequence:
			m.set(m.bucket(o.path), number(o.n))
		case opKept:
			m.apply(o.ops)
		}
	}
}

// Oracle knows the digest of every state.
type Oracle struct {
	shape   Shape
	seed    uint64
	mu      sync.Mutex
	model   model
	digests []uint64
}

// NewOracle returns the oracle of a seed.
func NewOracle(seed uint64, shape Shape) *Oracle {
	return &Oracle{shape: shape, seed: seed, model: model{sums: make(map[string]uint64)}, digests: []uint64{0}}
}

// Digest returns the digest of the state after n transactions.
func (o *Oracle) Digest(n uint64) uint64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	for next := uint64(len(o.digests)); next <= n; next++ {
		o.model.set(o.model.bucket([]string{counterBucket})+counterKey, number(next))
		o.model.apply(o.shape.transaction(o.seed, next))
		o.digests = append(o.digests, o.model.sum)
	}
	return o.digests[n]
}
