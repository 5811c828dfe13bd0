package btree

import "github.com/foliodb/folio/internal/page"

// Used returns how many bytes of the verified node p are in use.
func Used(p page.Page) int {
	n := node(p)
	if n.isLeaf() {
		return n.base() + n.usedLeaf()
	}
	return n.base() + n.usedBranch()
}
