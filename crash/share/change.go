//go:build linux

package main

// This file is responsible for what transactions change. They depend on nothing but
// the database and chance, so any process can make the next one.

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/foliodb/folio"
)

// change is a transaction under way.
type change struct {
	tx   *folio.Tx
	rnd  *rand.Rand
	info map[string]*tally // of the buckets that it has changed; nil: deleted
}

// apply changes something, and leaves the stamp of the transaction that tx becomes.
func apply(tx *folio.Tx, rnd *rand.Rand, large bool) (stamp, error) {
	c := &change{tx: tx, rnd: rnd, info: map[string]*tally{}}
	next := stamp{stampOf(tx).n + 1, rnd.Uint64()}
	if err := c.some(large); err != nil {
		return next, err
	}
	if rnd.IntN(4) == 0 {
		if err := c.undone(large); err != nil {
			return next, err
		}
	}
	return next, c.note(next)
}

// note writes what is in the buckets.
func (c *change) note(s stamp) error {
	b, err := c.tx.CreateBucketIfNotExists(stateBucket)
	if err != nil {
		return err
	}
	for path, t := range c.info {
		if t == nil {
			err = b.Delete([]byte(path))
		} else {
			err = b.Put([]byte(path), t.bytes())
		}
		if err != nil {
			return err
		}
	}
	return b.Put(numberKey, s.bytes())
}

// some makes one of the kinds of changes.
func (c *change) some(large bool) error {
	switch p := c.rnd.IntN(100); {
	case p < 60 || !large:
		return c.puts(1+c.rnd.IntN(8), 100)
	case p < 80:
		return c.puts(60+c.rnd.IntN(500), 1500) // spilled
	case p < 88:
		return c.puts(1+c.rnd.IntN(2), 150<<10)
	default:
		return c.drop()
	}
}

// undone makes changes and goes back to a savepoint.
func (c *change) undone(large bool) error {
	sp, err := c.tx.Savepoint()
	if err != nil {
		return err
	}
	before := map[string]*tally{}
	for path, t := range c.info {
		if t != nil {
			copied := *t
			t = &copied
		}
		before[path] = t
	}
	err = c.some(large)
	c.info = before
	return errors.Join(err, sp.Rollback(), sp.Release())
}

// path returns that of a bucket: one at the top, or one in it.
func (c *change) path() string {
	p := fmt.Sprintf("b%d", c.rnd.IntN(4))
	if c.rnd.IntN(3) == 0 {
		p += "/in"
	}
	return p
}

// bucket returns the bucket at path, which is created, and what is in it.
func (c *change) bucket(path string) (b *folio.Bucket, t *tally, err error) {
	at := ""
	for i, name := range strings.Split(path, "/") {
		if i == 0 {
			at = name
			b, err = c.tx.CreateBucketIfNotExists([]byte(name))
		} else {
			at += "/" + name
			b, err = b.CreateBucketIfNotExists([]byte(name))
		}
		if err != nil {
			return nil, nil, err
		}
		t = c.tally(at)
	}
	return b, t, nil
}

func (c *change) tally(path string) *tally {
	if t := c.info[path]; t != nil {
		return t
	}
	t := &tally{}
	if _, deleted := c.info[path]; !deleted {
		if b := c.tx.Bucket(stateBucket); b != nil {
			t.count, t.sum = pair(b.Get([]byte(path)))
		}
	}
	c.info[path] = t
	return t
}

// puts puts, and now and then deletes, n keys with values of up to size bytes.
func (c *change) puts(n, size int) error {
	path := c.path()
	b, t, err := c.bucket(path)
	if err != nil {
		return err
	}
	v := make([]byte, size)
	for range n {
		k := fmt.Appendf(nil, "key %04d", c.rnd.IntN(1200))
		if old := b.Get(k); old != nil {
			t.remove(path, k, old)
		}
		if c.rnd.IntN(5) == 0 {
			if err := b.Delete(k); err != nil {
				return err
			}
			continue
		}
		v := v[:1+c.rnd.IntN(size)]
		for i := range v[:min(len(v), 32)] {
			v[i] = byte(c.rnd.Uint32())
		}
		if err := b.Put(k, v); err != nil {
			return err
		}
		t.add(path, k, v)
	}
	return nil
}

// drop deletes a bucket with all that is in it.
func (c *change) drop() error {
	path := c.path()
	b, _, err := c.bucket(path)
	if err != nil {
		return err
	}
	for k, v := range b.All() {
		if v == nil {
			c.info[path+"/"+string(k)] = nil
		}
	}
	c.info[path] = nil
	top, in, nested := strings.Cut(path, "/")
	if nested {
		return c.tx.Bucket([]byte(top)).DeleteBucket([]byte(in))
	}
	return c.tx.DeleteBucket([]byte(top))
}
