package btree

// This file is responsible for many lookups at once. A lookup in a tree larger
// than the processor's caches waits for memory at every level. Lookups that go
// down together, level by level, wait for several loads at the same time.

import "github.com/foliodb/folio/internal/page"

// manyWidth is how many lookups go down together: more than the misses that a
// core can have under way, and few enough that what was loaded stays in the
// nearest cache.
const manyWidth = 16

// GetMany looks every key up and calls found with its index, its value and flags,
// as Get returns them.
func (t *Tree) GetMany(keys [][]byte, found func(i int, value []byte, flags byte)) error {
	root, err := t.rootNode()
	if err != nil {
		return err
	}
	for from := 0; from < len(keys); from += manyWidth {
		group := keys[from:min(from+manyWidth, len(keys))]
		if err := t.getGroup(root, group, from, found); err != nil {
			return err
		}
	}
	return nil
}

func (t *Tree) getGroup(root node, keys [][]byte, from int, found func(i int, value []byte, flags byte)) error {
	if root == nil {
		for i := range keys {
			found(from+i, nil, 0)
		}
		return nil
	}
	var nodes [manyWidth]node
	for i := range keys {
		nodes[i] = root
	}
	for level := root.level(); level > 0; level-- {
		for i, key := range keys {
			c, err := nodes[i].searchBranch(t.r, key)
			if err != nil {
				return err
			}
			if nodes[i], err = t.child(nodes[i], c); err != nil {
				return err
			}
		}
		touch(nodes[:len(keys)])
	}
	touchCells(nodes[:len(keys)], keys)
	var slots [manyWidth]int
	for i, key := range keys {
		slot, exact, err := nodes[i].searchLeaf(t.r, key)
		if err != nil {
			return err
		}
		if slots[i] = slot; !exact {
			nodes[i] = nil
		}
	}
	for i := range keys {
		if nodes[i] == nil {
			found(from+i, nil, 0)
			continue
		}
		c := nodes[i].leafCell(slots[i])
		v, err := t.value(&c)
		if err != nil {
			return err
		}
		found(from+i, v, c.flags)
	}
	return nil
}

// touch loads the lines of each node that its search will look at first. The loads
// do not depend on each other, so they are under way together.
func touch(nodes []node) {
	var sum byte
	for _, n := range nodes {
		sum += n[page.OffLevel]
		if len(n) >= page.MinSize {
			sum += n[64] + n[128] + n[256]
		}
	}
	touched(sum)
}

// touchCells loads the first bytes of the cell in each leaf that its key's head
// leads to.
func touchCells(leaves []node, keys [][]byte) {
	var sum byte
	for i, n := range leaves {
		key := keys[i]
		pl := n.prefixLen()
		if len(key) < pl {
			continue
		}
		if slot := n.lowerBound(base(pl), n.count(), head(key[pl:])); slot < n.count() {
			off, _ := n.leafSlot(slot)
			sum += n[off]
		}
	}
	touched(sum)
}

// touched keeps the compiler from dropping the loads.
//
//go:noinline
func touched(byte) {}
