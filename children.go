package folio

// This file is responsible for finding the Buckets that a write transaction has opened
// in one again, by their names.

import (
	"bytes"
	"maps"
	"slices"
)

// children are the Buckets opened in one. Most have few, and to make a map of these,
// and to sort it at the commit, costs more than all lookups in it.
type children struct {
	few  []*Bucket
	many map[string]*Bucket // all of them, when there are more than fewChildren
	room [2]*Bucket         // of few at first
}

const fewChildren = 8

// get returns the child name, or nil if it has not been opened.
func (c *children) get(name []byte) *Bucket {
	if c.many != nil {
		return c.many[string(name)]
	}
	for _, b := range c.few {
		if bytes.Equal(b.name, name) {
			return b
		}
	}
	return nil
}

// add adds b, a child of whose name there is none.
func (c *children) add(b *Bucket) {
	switch {
	case c.many != nil:
		c.many[string(b.name)] = b
	case len(c.few) == 0:
		c.few = append(c.room[:0], b)
	case len(c.few) < fewChildren:
		c.few = append(c.few, b)
	default:
		c.many = map[string]*Bucket{string(b.name): b}
		for _, b := range c.few {
			c.many[string(b.name)] = b
		}
		c.few = nil
	}
}

// remove removes the child name, if there is one.
func (c *children) remove(name []byte) {
	if c.many != nil {
		delete(c.many, string(name))
		return
	}
	c.few = slices.DeleteFunc(c.few, func(b *Bucket) bool { return bytes.Equal(b.name, name) })
}

// sorted returns the children in the order of their names, until the next change.
func (c *children) sorted() []*Bucket {
	all := c.few
	if c.many != nil {
		all = slices.Collect(maps.Values(c.many))
	}
	slices.SortFunc(all, func(a, b *Bucket) int { return bytes.Compare(a.name, b.name) })
	return all
}
