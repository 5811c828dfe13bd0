package btree

// This file is responsible for what the counts in the branches are good for:
// positions. A Rank costs one descent, a Count one for each of its bounds.

// Rank returns the number of keys before key.
func (t *Tree) Rank(key []byte) (uint64, error) {
	n, err := t.rootNode()
	if n == nil || err != nil {
		return 0, err
	}
	var before uint64
	for !n.isLeaf() {
		i, err := n.searchBranch(t.r, key)
		if err != nil {
			return 0, err
		}
		t.announce(n, i)
		before += n.countBefore(i)
		if n, err = t.child(n, i); err != nil {
			return 0, err
		}
	}
	i, _, err := n.searchLeaf(t.r, key)
	return before + uint64(i), err
}

// Count returns the number of keys in [lo, hi); nil is unbounded.
func (t *Tree) Count(lo, hi []byte) (uint64, error) {
	from, to := uint64(0), t.count
	var err error
	if lo != nil {
		if from, err = t.Rank(lo); err != nil {
			return 0, err
		}
	}
	if hi != nil {
		if to, err = t.Rank(hi); err != nil {
			return 0, err
		}
	}
	return max(from, to) - from, nil
}
