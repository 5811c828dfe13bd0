package bbolt

import "github.com/foliodb/folio"

// Cursor moves over the keys of a bucket in order. The value of a nested bucket is nil.
// It stays where it is when the bucket is changed, by itself or otherwise.
//
// It is folio's by another name.
type Cursor folio.Cursor

func (tx *Tx) newCursor(fc *folio.Cursor) *Cursor {
	tx.Cursors.Add(1)
	return (*Cursor)(fc)
}

func (c *Cursor) folio() *folio.Cursor { return (*folio.Cursor)(c) }

// Bucket returns the bucket that the cursor moves over.
func (c *Cursor) Bucket() *Bucket { return (*Bucket)(c.folio().Bucket()) }

// First moves to the first key and returns it; nil if the bucket is empty.
func (c *Cursor) First() (key []byte, value []byte) {
	c.Placed = true
	return c.folio().First()
}

// Last moves to the last key and returns it; nil if the bucket is empty.
func (c *Cursor) Last() (key []byte, value []byte) {
	c.Placed = true
	return c.folio().Last()
}

// Seek moves to the first key that is not before seek and returns it; nil if there is
// none.
func (c *Cursor) Seek(seek []byte) (key []byte, value []byte) {
	c.Placed = true
	return c.folio().Seek(seek)
}

// Next moves to the next key and returns it; nil behind the last. On a new cursor it
// does nothing.
func (c *Cursor) Next() (key []byte, value []byte) {
	if !c.Placed {
		return nil, nil
	}
	return c.folio().Next()
}

// Prev moves to the previous key and returns it; nil before the first. On a new cursor
// it does nothing.
func (c *Cursor) Prev() (key []byte, value []byte) {
	if !c.Placed {
		return nil, nil
	}
	return c.folio().Prev()
}

// Delete removes the key that the cursor is on. Next then returns the key behind it.
func (c *Cursor) Delete() error { return c.folio().Delete() }
