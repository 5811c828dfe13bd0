package bbolt

// This file is responsible for Tx.Check and what it says.

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/foliodb/folio"
)

// CheckOption changes what Tx.Check does.
type CheckOption func(options *checkConfig)

type checkConfig struct {
	keys KVStringer // nil: folio's own way
}

// KVStringer writes keys and values for people.
type KVStringer interface {
	KeyToString([]byte) string
	ValueToString([]byte) string
}

// WithKVStringer makes Check write keys with s.
func WithKVStringer(s KVStringer) CheckOption {
	return func(c *checkConfig) { c.keys = s }
}

// WithPageId has no effect: Check always looks at the whole file, which includes what
// is below a page.
func WithPageId(pageId uint64) CheckOption {
	return func(*checkConfig) {}
}

// HexKVStringer returns a KVStringer that writes hex digits.
func HexKVStringer() KVStringer { return hexStringer{} }

type hexStringer struct{}

func (hexStringer) KeyToString(key []byte) string     { return hex.EncodeToString(key) }
func (hexStringer) ValueToString(value []byte) string { return hex.EncodeToString(value) }

// Check reads the whole database and sends everything that is wrong, until it closes
// the channel. The transaction must not be used before that.
func (tx *Tx) Check(options ...CheckOption) <-chan error {
	var c checkConfig
	for _, o := range options {
		o(&c)
	}
	if tx.DB() == nil {
		ch := make(chan error, 1)
		ch <- ErrTxClosed
		close(ch)
		return ch
	}
	found := tx.Folio().Check()
	if c.keys == nil {
		return found
	}
	ch := make(chan error)
	go func() {
		defer close(ch)
		for err := range found {
			ch <- c.describe(err)
		}
	}()
	return ch
}

// describe puts the program's way of writing keys in front of what is wrong.
func (c *checkConfig) describe(err error) error {
	var e *folio.CheckError
	if !errors.As(err, &e) || e.Bucket == nil {
		return err
	}
	path := make([]string, len(e.Bucket))
	for i, name := range e.Bucket {
		path[i] = c.keys.KeyToString(name)
	}
	return fmt.Errorf("bucket %s, keys from %s to %s: %w",
		strings.Join(path, "/"), c.keys.KeyToString(e.Lo), c.keys.KeyToString(e.Hi), e.Err)
}
