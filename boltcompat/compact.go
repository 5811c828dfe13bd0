package bbolt

// Compact copies all of src into dst, in transactions of up to txMaxSize bytes of keys
// and values; zero is no limit. Buckets that dst has already are an error.
func Compact(dst, src *DB, txMaxSize int64) error {
	tx, err := dst.Begin(true)
	if err != nil {
		return err
	}
	c := compaction{dst: dst, tx: tx, limit: txMaxSize}
	defer func() { _ = c.tx.Rollback() }() // it has ended, or its error is known
	err = src.View(func(from *Tx) error { return c.bucket(from.root()) })
	if err != nil {
		return err
	}
	return c.tx.Commit()
}

// compaction is one run of Compact.
type compaction struct {
	dst   *DB
	tx    *Tx
	size  int64
	limit int64
	path  [][]byte // of the bucket in which we are
	into  *Bucket  // that bucket in tx
}

// bucket copies what is in from to the bucket at c.path.
func (c *compaction) bucket(from *Bucket) error {
	cur := from.Folio().Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		if err := c.room(int64(len(k) + len(v))); err != nil {
			return err
		}
		if v != nil {
			if err := c.into.Put(k, v); err != nil {
				return err
			}
			continue
		}
		if err := c.nested(k, from.Bucket(k)); err != nil {
			return err
		}
	}
	return nil
}

// nested copies the bucket name.
func (c *compaction) nested(name []byte, from *Bucket) error {
	parent := c.into
	var made *Bucket
	var err error
	if parent == nil {
		made, err = c.tx.CreateBucket(name)
	} else {
		made, err = parent.CreateBucket(name)
	}
	if err != nil {
		return err
	}
	if err := made.SetSequence(from.Sequence()); err != nil {
		return err
	}
	c.path, c.into = append(c.path, name), made
	if err := c.bucket(from); err != nil {
		return err
	}
	c.path = c.path[:len(c.path)-1]
	c.reopen() // transactions may have changed below
	return nil
}

// room commits if n bytes more are too many for the transaction.
func (c *compaction) room(n int64) error {
	if c.limit != 0 && c.size+n > c.limit {
		if err := c.tx.Commit(); err != nil {
			return err
		}
		tx, err := c.dst.Begin(true)
		if err != nil {
			return err
		}
		c.tx, c.size = tx, 0
		c.reopen()
	}
	c.size += n
	return nil
}

// reopen finds the bucket at c.path in the transaction that there is now.
func (c *compaction) reopen() {
	c.into = nil
	for i, name := range c.path {
		if i == 0 {
			c.into = c.tx.Bucket(name)
		} else {
			c.into = c.into.Bucket(name)
		}
	}
}
