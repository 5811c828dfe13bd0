package folio

// This file is responsible for buckets in buckets: opening, creating, deleting and
// moving them, and bringing what was changed in them into the leaf of their
// parent's tree.

import (
	"bytes"
	"slices"

	"github.com/foliodb/folio/btree"
	"github.com/foliodb/folio/internal/page"
)

// Bucket returns the nested bucket name, or nil if there is none, or if the transaction
// has ended. Opening the one that was opened last in b again is cheap: programs go the way
// from the top for each key that they look up.
func (b *Bucket) Bucket(name []byte) *Bucket {
	c := b.recent.Load()
	if c == nil || c.gone || c.parent != b || !bytes.Equal(c.name, name) {
		if c = b.children.get(name); c != nil {
			b.recent.Store(c)
		}
	}
	if c != nil {
		if b.usable() != nil {
			return nil
		}
		return c
	}
	payload, flags := b.lookup(name)
	if flags&btree.FlagBucket == 0 {
		return nil
	}
	c, err := b.open(name, payload)
	if err != nil {
		b.tx.fail(err)
		return nil
	}
	return c
}

// open makes a Bucket of a payload found in b under name.
func (b *Bucket) open(name, payload []byte) (*Bucket, error) {
	if b.depth >= MaxBucketDepth {
		return nil, page.Corrupt(0, 0, "buckets nested deeper than %d", MaxBucketDepth)
	}
	h := btree.DecodeHeader(payload)
	if h.Count > b.tx.keysMax() {
		return nil, page.Corrupt(h.Root, 0, "a bucket with %d keys cannot be in this file", h.Count)
	}
	c := b.tx.newBucket(name)
	c.tx, c.parent, c.depth, c.sequence = b.tx, b, b.depth+1, h.Sequence
	c.FillPercent = compatFillPercent
	own := payload[btree.HeaderSize:]
	if !b.tx.writable {
		c.tree.Init(&b.tx.read, h, own)
		b.recent.Store(c)
		return c, nil
	}
	// The leaf of the parent may move while the bucket is open.
	c.tree.InitWritable(b.tx.trees, h, slices.Clone(own))
	b.adopt(c)
	return c, nil
}

// adopt makes c a child of b.
func (b *Bucket) adopt(c *Bucket) {
	c.parent = b
	b.children.add(c)
}

// CreateBucket creates the nested bucket name and returns it. Errors are those of
// every change (see Bucket: ErrTxClosed, ErrTxNotWritable and others),
// ErrBucketNameRequired, ErrKeyTooLarge, ErrBucketExists, ErrIncompatibleValue if
// name is a key with a value, and ErrBucketTooDeep.
func (b *Bucket) CreateBucket(name []byte) (*Bucket, error) {
	c, existed, err := b.create(name)
	if existed && err == nil {
		return nil, ErrBucketExists
	}
	return c, err
}

// CreateBucketIfNotExists returns the nested bucket name, which it creates if
// there is none. Errors are those of CreateBucket but ErrBucketExists.
func (b *Bucket) CreateBucketIfNotExists(name []byte) (*Bucket, error) {
	c, _, err := b.create(name)
	return c, err
}

func (b *Bucket) create(name []byte) (c *Bucket, existed bool, err error) {
	if err := b.changeable(); err != nil {
		return nil, false, err
	}
	if len(name) == 0 {
		return nil, false, ErrBucketNameRequired
	}
	if len(name) > MaxKeySize {
		return nil, false, ErrKeyTooLarge
	}
	if c := b.children.get(name); c != nil {
		return c, true, nil
	}
	err = b.tx.change(func() (err error) {
		c, existed, err = b.openOrCreate(name)
		return err
	})
	return c, existed, err
}

func (b *Bucket) openOrCreate(name []byte) (c *Bucket, existed bool, err error) {
	payload, flags, err := b.tree.Get(name)
	switch {
	case err != nil:
		return nil, false, err
	case flags&btree.FlagBucket != 0:
		c, err := b.open(name, payload)
		return c, true, err
	case payload != nil:
		return nil, false, ErrIncompatibleValue
	case b.depth >= MaxBucketDepth:
		return nil, false, ErrBucketTooDeep
	}
	empty := make([]byte, btree.HeaderSize)
	if err := b.tree.PutBucket(name, empty); err != nil {
		return nil, false, err
	}
	c, err = b.open(name, empty)
	return c, false, err
}

// DeleteBucket removes the nested bucket name with everything in it, and gives
// its pages back. Buckets opened on it, and below it, are of no use from then on.
// Errors are those of every change (see Bucket: ErrTxClosed, ErrTxNotWritable and
// others), ErrBucketNotFound, and ErrIncompatibleValue if name is a key with a value.
func (b *Bucket) DeleteBucket(name []byte) error {
	if err := b.changeable(); err != nil {
		return err
	}
	return b.tx.change(func() error { return b.deleteBucket(name) })
}

func (b *Bucket) deleteBucket(name []byte) error {
	c, err := b.child(name)
	if err != nil {
		return err
	}
	// What is below must be in the leaves, not only in the Buckets opened on it.
	if err := c.flushChildren(); err != nil {
		return err
	}
	budget := b.tx.pagesMax()
	if err := b.tx.freeBucket(c, &budget); err != nil {
		return err
	}
	c.forget()
	b.children.remove(name)
	_, err = b.tree.Delete(name, btree.FlagBucket)
	return err
}

// child opens the nested bucket name for a change of it as a whole.
func (b *Bucket) child(name []byte) (*Bucket, error) {
	if c := b.children.get(name); c != nil {
		return c, nil
	}
	payload, flags, err := b.tree.Get(name)
	switch {
	case err != nil:
		return nil, err
	case payload == nil:
		return nil, ErrBucketNotFound
	case flags&btree.FlagBucket == 0:
		return nil, ErrIncompatibleValue
	}
	return b.open(name, payload)
}

// freeBucket frees all pages of c and of the buckets in it, whose payloads are
// up to date.
func (tx *Tx) freeBucket(c *Bucket, budget *uint64) error {
	return c.tree.FreeAll(func(payload []byte) error {
		if c.depth >= MaxBucketDepth {
			return page.Corrupt(0, 0, "buckets nested deeper than %d", MaxBucketDepth)
		}
		h := btree.DecodeHeader(payload)
		in := &Bucket{tx: tx, depth: c.depth + 1}
		in.tree.InitWritable(tx.trees, h, payload[btree.HeaderSize:])
		return tx.freeBucket(in, budget)
	}, budget)
}

// forget makes c and all Buckets opened below it unusable.
func (b *Bucket) forget() {
	b.gone = true
	for _, c := range b.children.sorted() {
		c.forget()
	}
	b.children = children{}
}

// MoveBucket moves the nested bucket name from b to dst, under the same name. Buckets
// opened on it stay valid. Errors are those of every change (see Bucket: ErrTxClosed,
// ErrTxNotWritable and others), of b and of dst; ErrBucketNotFound if there is no
// bucket name, or dst is nil; ErrBucketExists; ErrIncompatibleValue if name is a key
// with a value, here or there; ErrBucketTooDeep; ErrDifferentDB if dst belongs to
// another transaction; and ErrSameBuckets, also for a bucket that would get into
// itself. For moves from and to the top level there is Tx.MoveBucket.
func (b *Bucket) MoveBucket(name []byte, dst *Bucket) error {
	if err := b.changeable(); err != nil {
		return err
	}
	// Bucket returns nil for a bucket that is not there. The top level would be a
	// surprise.
	if dst == nil {
		return ErrBucketNotFound
	}
	if err := dst.changeable(); err != nil {
		return err
	}
	if b.tx != dst.tx {
		return ErrDifferentDB
	}
	if b == dst {
		return ErrSameBuckets
	}
	return b.tx.change(func() error { return b.moveBucket(name, dst) })
}

func (b *Bucket) moveBucket(name []byte, dst *Bucket) error {
	c, err := b.child(name)
	if err != nil {
		return err
	}
	for up := dst; up != nil; up = up.parent {
		if up == c {
			return ErrSameBuckets
		}
	}
	switch old, flags, err := dst.tree.Get(name); {
	case err != nil:
		return err
	case flags&btree.FlagBucket != 0:
		return ErrBucketExists
	case old != nil:
		return ErrIncompatibleValue
	}
	if err := c.flushChildren(); err != nil {
		return err
	}
	if dst.depth > b.depth { // else it was not less deep before
		if err := b.tx.fitsBelow(&c.tree, dst.depth+1); err != nil {
			return err
		}
	}
	payload, err := c.payload()
	if err != nil {
		return err
	}
	if err := dst.tree.PutBucket(name, payload); err != nil {
		return err
	}
	if _, err := b.tree.Delete(name, btree.FlagBucket); err != nil {
		return err
	}
	b.children.remove(name)
	dst.adopt(c)
	c.written = c.tree.Mods()
	c.changed = false
	c.setDepth(dst.depth + 1)
	return nil
}

// fitsBelow returns ErrBucketTooDeep if t, at depth, would have buckets below
// MaxBucketDepth. Payloads are up to date.
func (tx *Tx) fitsBelow(t *btree.Tree, depth int32) error {
	if depth > MaxBucketDepth {
		return ErrBucketTooDeep
	}
	return t.Buckets(func(payload []byte) error {
		var in btree.Tree
		in.Init(tx.store, btree.DecodeHeader(payload), payload[btree.HeaderSize:])
		return tx.fitsBelow(&in, depth+1)
	})
}

func (b *Bucket) setDepth(d int32) {
	b.depth = d
	for _, c := range b.children.sorted() {
		c.setDepth(d + 1)
	}
}

// payload returns what b's parent keeps of it, after moving a small tree out of
// its page.
func (b *Bucket) payload() ([]byte, error) {
	own, err := b.tree.Pack(btree.MaxInlineBucket(b.tx.db.pageSize, len(b.name)))
	if err != nil {
		return nil, err
	}
	h := b.tree.Header()
	h.Sequence = b.sequence
	p := make([]byte, btree.HeaderSize, btree.HeaderSize+len(own))
	h.Encode(p)
	return append(p, own...), nil
}

// flushChildren writes the changed buckets opened below b to the leaves of their
// parents, the deepest ones first. In order of their names: a sorted load.
func (b *Bucket) flushChildren() error {
	for _, c := range b.children.sorted() {
		if err := c.flushChildren(); err != nil {
			return err
		}
		if !c.changed && c.written == c.tree.Mods() {
			continue
		}
		payload, err := c.payload()
		if err != nil {
			return err
		}
		if err := b.tree.PutBucket(c.name, payload); err != nil {
			return err
		}
		c.written = c.tree.Mods()
		c.changed = false
	}
	return nil
}
