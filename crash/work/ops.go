package work

// This file is responsible for what transactions do. No operation depends on what is
// in the database: a key to be deleted need not exist, a bucket is created when it is
// needed. That makes the n-th transaction a function of n.

import (
	"fmt"
	"math/rand/v2"
)

type opKind int

const (
	opPut         opKind = iota
	opDelete             // a key
	opDeleteRange        // [key, hi)
	opDrop               // the bucket at path
	opSequence           // of the bucket at path becomes n
	opKept               // of ops in a nested transaction
	opUndone             // the same, which fails
)

// op is one change.
type op struct {
	kind    opKind
	path    []string // of the bucket
	key, hi string
	value   value
	n       uint64
	ops     []op
}

// Shape bounds what transactions do, for disks of different sizes.
type Shape struct {
	Large int // bytes of a large value, at most
	Huge  int // bytes of a value that takes two flushes; 0: none
	Bulk  int // puts in a transaction that is spilled
}

// DefaultShape makes files of some 5 MB.
var DefaultShape = Shape{Large: 100 << 10, Huge: 3 << 20, Bulk: 60}

// counter is where transaction n leaves its number.
var (
	counterBucket = "count"
	counterKey    = "n"
)

// transaction returns what the n-th transaction does, besides counting.
func (s Shape) transaction(seed, n uint64) []op {
	g := opMaker{Shape: s, rnd: rand.New(rand.NewPCG(seed, n)), n: n}
	switch p := g.rnd.IntN(100); {
	case p < 50:
		g.small(1 + g.rnd.IntN(5))
	case p < 66:
		g.buckets()
	case p < 76:
		g.small(2)
		g.nested()
	case p < 84:
		g.large()
	case p < 90:
		g.bulk()
	case p < 97:
		g.small(60 + g.rnd.IntN(60))
	default:
		g.huge()
	}
	return g.ops
}

type opMaker struct {
	Shape
	rnd *rand.Rand
	n   uint64
	ops []op
}

func (g *opMaker) add(o op) { g.ops = append(g.ops, o) }

func (g *opMaker) put(path []string, key string, size int) {
	g.add(op{kind: opPut, path: path, key: key, value: value{g.rnd.Uint64(), size}})
}

func (g *opMaker) small(n int) {
	path := []string{"small"}
	for range n {
		key := fmt.Sprintf("key %03d", g.rnd.IntN(400))
		switch p := g.rnd.IntN(10); {
		case p < 7:
			g.put(path, key, g.rnd.IntN(200))
		case p < 9:
			g.add(op{kind: opDelete, path: path, key: key})
		default:
			g.add(op{kind: opDeleteRange, path: path, key: key, hi: key + "~"})
		}
	}
}

// buckets changes buckets within buckets.
func (g *opMaker) buckets() {
	outer := fmt.Sprintf("outer %d", g.rnd.IntN(4))
	inner := []string{"nest", outer, fmt.Sprintf("inner %d", g.rnd.IntN(3))}
	switch g.rnd.IntN(8) {
	case 0:
		g.add(op{kind: opDrop, path: inner})
	case 1:
		g.add(op{kind: opDrop, path: inner[:2]})
	default:
		for range 1 + g.rnd.IntN(8) {
			g.put(inner, fmt.Sprintf("key %02d", g.rnd.IntN(30)), g.rnd.IntN(300))
		}
		g.add(op{kind: opSequence, path: inner, n: g.n})
	}
}

// nested makes transactions within the transaction, some of which fail.
func (g *opMaker) nested() {
	for range 1 + g.rnd.IntN(3) {
		in := opMaker{Shape: g.Shape, rnd: g.rnd, n: g.n}
		if g.rnd.IntN(3) == 0 {
			in.buckets()
		}
		in.small(1 + g.rnd.IntN(8))
		if g.rnd.IntN(4) == 0 {
			in.bulk()
		}
		kind := opKept
		if g.rnd.IntN(2) == 0 {
			kind = opUndone
		}
		g.add(op{kind: kind, ops: in.ops})
	}
}

func (g *opMaker) large() {
	path := []string{"large"}
	for range 1 + g.rnd.IntN(3) {
		key := fmt.Sprintf("key %d", g.rnd.IntN(10))
		if g.rnd.IntN(4) == 0 {
			g.add(op{kind: opDelete, path: path, key: key})
		} else {
			g.put(path, key, g.rnd.IntN(g.Large))
		}
	}
}

// bulk changes so much that it is written before the commit.
func (g *opMaker) bulk() {
	path := []string{"bulk"}
	if g.rnd.IntN(3) == 0 {
		lo := g.rnd.IntN(100)
		g.add(op{kind: opDeleteRange, path: path, key: fmt.Sprintf("key %03d", lo), hi: fmt.Sprintf("key %03d", lo+50)})
	}
	for range g.Bulk {
		g.put(path, fmt.Sprintf("key %03d", g.rnd.IntN(150)), 3000+g.rnd.IntN(1500))
	}
}

// huge changes so much that the commit takes two flushes.
func (g *opMaker) huge() {
	if g.Huge == 0 {
		g.small(1)
		return
	}
	path := []string{"huge"}
	if g.rnd.IntN(2) == 0 {
		g.add(op{kind: opDrop, path: path})
	} else {
		g.put(path, "key", g.Huge)
	}
}
