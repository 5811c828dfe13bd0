// Package btree keeps ordered keys in trees of pages: how a node lies in its
// page, how it is searched, and how trees grow, shrink, split and merge by
// copy-on-write.
//
// It knows no file, no meta page and no transaction: it asks a [Store] for
// pages, and the Store decides where they come from and when they are written.
// A read-only tree needs only a [Reader].
//
// Where to look:
//
//	layout.go    the bytes of a node, and the sizes that follow from the page size
//	node.go      reading a node: search, keys, values, children
//	verify.go    which bytes are accepted as a node at all
//	leaf.go      changing a leaf in place          branch.go  the same for a branch
//	overflow.go  runs of pages for long values and keys
//	tree.go      a tree: root, descent, Get        count.go   Rank, Count
//	getmany.go   many lookups at once              walk.go    for statistics and inspection
//	put.go       writing descents and insertion    split.go   splits
//	delete.go    deletion and merges               own.go     trees without pages
//	range.go     deleting ranges and whole trees   cursor.go  iteration
//	step.go      iteration within a leaf           ahead.go   what it asks the processor for
//	place.go     what a commit needs: final layout, and references to patch
//	check.go     the full check of a tree          scan.go    cells as salvage needs them
//	format.go    the tables of the documentation
//
// The package is part of folio and carries no compatibility promise.
package btree
