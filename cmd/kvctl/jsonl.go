package main

// This file is responsible for the lines of JSON that load reads. Nothing in them is
// passed over or replaced: whoever loads a file and deletes it must have all of it.

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/foliodb/folio"
)

// jsonLine is an object: the JSON of its fields.
type jsonLine map[string]json.RawMessage

func parseJSONL(line []byte) (p pairToLoad, err error) {
	r, err := parseObject(line)
	if err != nil {
		return p, err
	}
	if p.bucket, err = r.isBucket(); err != nil || p.bucket {
		return p, err
	}
	path, err := r.text("path")
	if err != nil {
		return p, err
	}
	if p.path, err = parsePath(string(path)); err != nil {
		return p, err
	}
	if p.key, err = r.bytes("key"); err != nil {
		return p, err
	}
	if v := r["value"]; v != nil && v[0] != '"' && r["value_hex"] == nil {
		p.value = v
		return p, nil
	}
	p.value, err = r.bytes("value")
	return p, err
}

var errNoObject = fail(exitError, `not the JSON of a key: it is no object, such as {"key": "a", "value": "b"}`)

// beginsJSON has room for a path of many names, which nothing else bounds.
func beginsJSON(line []byte) error {
	const longest = 2 * escapedJSON * (folio.MaxValueSize + folio.MaxKeySize)
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return errNoObject
	}
	if int64(len(line)) > longest {
		return withLimit(folio.ErrValueTooLarge)
	}
	return nil
}

// parseObject returns the fields of an object, which are such as scan prints.
func parseObject(line []byte) (jsonLine, error) {
	if !utf8.Valid(line) {
		return nil, fail(exitError, `not UTF-8: give bytes as "key_hex" and "value_hex"`)
	}
	var whole json.RawMessage
	if err := json.Unmarshal(line, &whole); err != nil {
		return nil, fail(exitError, "not the JSON of a key: %v", err)
	}
	if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("{")) {
		return nil, errNoObject
	}
	r, d := jsonLine{}, json.NewDecoder(bytes.NewReader(line))
	_, err := d.Token() // the brace; that it is JSON is known
	for err == nil && d.More() {
		var name json.Token
		if name, err = d.Token(); err != nil {
			break
		}
		field := name.(string)
		switch field {
		case "path", "key", "key_hex", "value", "value_hex", "bucket", "keys":
		default:
			return nil, fail(exitError, "there is no field %q: kvctl load --help lists them", field)
		}
		if r[field] != nil {
			return nil, fail(exitError, "%q is there twice", field)
		}
		var value json.RawMessage
		err = d.Decode(&value)
		r[field] = value
	}
	return r, err
}

// isBucket tells whether the line is what scan prints of a bucket. It is left out, so there
// must be no value in it.
func (r jsonLine) isBucket() (is bool, err error) {
	if v := r["bucket"]; v != nil && json.Unmarshal(v, &is) != nil {
		return false, fail(exitError, `"bucket" is %s: it must be true or false`, v)
	}
	for _, field := range []string{"value", "value_hex"} {
		if is && r[field] != nil {
			return false, fail(exitError, `%q beside "bucket": a nested bucket has no value: leave out one of them`, field)
		}
	}
	return is, nil
}

// bytes returns what the field called name holds, or the one with _hex behind it.
func (r jsonLine) bytes(name string) ([]byte, error) {
	inHex := name + "_hex"
	switch {
	case r[name] != nil && r[inHex] != nil:
		return nil, fail(exitError, "both %q and %q: give one of them", name, inHex)
	case r[name] != nil:
		return r.text(name)
	case r[inHex] == nil:
		return nil, fail(exitError, "neither %q nor %q", name, inHex)
	}
	digits, err := r.text(inHex)
	if err != nil {
		return nil, err
	}
	b, err := hex.DecodeString(string(digits))
	if err != nil {
		return nil, fail(exitError, "%q is %q: it must be hex digits, two for each byte", inHex, cut(string(digits), 60))
	}
	return b, nil
}

// text returns the string that a field holds, nil if it is not there.
func (r jsonLine) text(name string) ([]byte, error) {
	v := r[name]
	if v == nil {
		return nil, nil
	}
	var s string
	if v[0] != '"' || json.Unmarshal(v, &s) != nil {
		return nil, fail(exitError, "%q is %s: it must be a string", name, cut(string(v), 60))
	}
	if halfCharacter(v) {
		return nil, fail(exitError, `%q has half a character in it (a lone surrogate): give bytes as "key_hex" and "value_hex"`, name)
	}
	return []byte(s), nil
}

// halfCharacter tells whether there is an escape in a JSON string that stands for one
// half of a UTF-16 pair, without the other: no UTF-8 is the same.
func halfCharacter(quoted []byte) bool {
	s := string(quoted)
	unit := func(at int) rune {
		if at+6 > len(s) || s[at:at+2] != `\u` {
			return -1
		}
		b, err := hex.DecodeString(s[at+2 : at+6])
		if err != nil {
			return -1
		}
		return rune(b[0])<<8 | rune(b[1])
	}
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 {
			return false
		}
		s = s[i:]
		n := 2 // bytes of the escape
		if u := unit(0); utf16.IsSurrogate(u) {
			if utf16.DecodeRune(u, unit(6)) == utf8.RuneError {
				return true
			}
			n = 12
		}
		s = s[n:]
	}
}
