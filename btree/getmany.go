package btree

// This file is responsible for many lookups at once. A lookup in a tree larger
// than the processor's caches waits for memory at every level. Lookups that go
// down together, level by level, wait for several loads at the same time.

import "github.com/foliodb/folio/internal/prefetch"

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
	var slots [manyWidth]int
	for level := root.level(); level > 0; level-- {
		for i, key := range keys {
			c, err := nodes[i].searchBranch(t.r, key)
			if err != nil {
				return err
			}
			t.announce(nodes[i], c)
			slots[i] = c
		}
		for i := range keys {
			var err error
			if nodes[i], err = t.child(nodes[i], slots[i]); err != nil {
				return err
			}
		}
	}
	for i, key := range keys {
		nodes[i].announceCell(key)
	}
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

// announceCell asks for the cell that key's head leads to in a leaf.
func (n node) announceCell(key []byte) {
	pl := n.prefixLen()
	if len(key) < pl {
		return
	}
	if i := n.lowerBound(base(pl), n.count(), head(key[pl:])); i < n.count() {
		off, kl := n.leafSlot(i)
		prefetch.Lines(n[off : off+leafCellHeader+kl])
	}
}
