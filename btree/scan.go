package btree

// This file is responsible for the cells of a node as salvage and kvctl see them: with
// the births of what they refer to, and nothing followed.

import "github.com/foliodb/folio/internal/page"

// Cell is a cell of a leaf. Its slices are parts of the node.
type Cell struct {
	Flags    byte
	Key      []byte // only the beginning of it, if KeyRun is set
	KeyRun   Ref    // where all of the key is; Bytes is 0 if that is in the node
	Value    []byte // in the node: the value, or the payload of a nested bucket
	ValueRun Ref    // where the value is; Bytes is 0 if that is in the node
}

// LeafCell returns cell i of p, a leaf that has passed Verify, or the own leaf of a
// bucket in one.
func LeafCell(p page.Page, i int) Cell {
	c := node(p).leafCell(i)
	cell := Cell{Flags: c.flags, Key: c.key, Value: c.payload}
	if c.flags&FlagKeyRun != 0 {
		cell.KeyRun = keyRefOf(c.keyRef)
	}
	if c.flags&FlagValueRun != 0 {
		size, id, birth := decodeValueRef(c.payload)
		cell.Value, cell.ValueRun = nil, Ref{id, birth, size, flagsKnown}
	}
	return cell
}

// Child is a child of a branch.
type Child struct {
	Ref
	Count  uint64
	Sep    []byte // its separator, as far as the node holds it; empty for the first
	SepRun Ref    // where all of the separator is; Bytes is 0 if that is in the node
}

// BranchChild returns child i of p, a branch that has passed Verify.
func BranchChild(p page.Page, i int) Child {
	n := node(p)
	c := Child{
		Ref:   Ref{ID: n.childID(i), Birth: n.childBirth(i), Flags: n.childFlags(i)},
		Count: n.childCount(i),
		Sep:   n.appendSep(nil, i),
	}
	if _, ref, long := n.sepRest(i); long && i > 0 {
		c.SepRun = keyRefOf(ref)
	}
	return c
}

func keyRefOf(ref []byte) Ref {
	size, id, birth := decodeKeyRef(ref)
	return Ref{id, birth, size, flagsKnown}
}

// Tally returns the number of leaf cells in and below p, a node that has passed
// Verify, and the union of their flags.
func Tally(p page.Page) (keys uint64, flags byte) { return node(p).tally() }
