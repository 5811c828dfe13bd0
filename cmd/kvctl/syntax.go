package main

// This file is responsible for how keys, values and bucket paths are written.
// What is printed can be read back.

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/foliodb/folio"
)

// unescape returns the bytes that s stands for.
func unescape(s string) ([]byte, error) {
	if !strings.Contains(s, `\`) {
		return []byte(s), nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b = append(b, s[i])
			continue
		}
		i++
		if i == len(s) {
			return nil, fail(exitError, `%q ends in \: write \\ for a backslash`, cut(s, 60))
		}
		switch s[i] {
		case '\\', '/':
			b = append(b, s[i])
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'x':
			if i+2 >= len(s) {
				return nil, fail(exitError, `\x needs two hex digits, in %q`, cut(s, 60))
			}
			v, err := hex.DecodeString(s[i+1 : i+3])
			if err != nil {
				return nil, fail(exitError, `\x needs two hex digits, in %q`, cut(s, 60))
			}
			b = append(b, v[0])
			i += 2
		default:
			return nil, fail(exitError, `\%c means nothing, in %q: write \\ for a backslash`, s[i], cut(s, 60))
		}
	}
	return b, nil
}

// parseKey returns the key that s stands for.
func parseKey(s string, isHex bool) ([]byte, error) {
	if s == "" || isHex && s == "0x" {
		return nil, errEmptyKey
	}
	if isHex {
		return parseHex(s)
	}
	if b, ok := binary(s); ok {
		return b, nil
	}
	return unescape(s)
}

var errEmptyKey = fail(exitError, "an empty key: keys have at least one byte")

// parseHex returns the bytes that s, given with --hex, stands for.
func parseHex(s string) ([]byte, error) {
	b, err := hex.DecodeString(strings.TrimPrefix(s, "0x"))
	if err != nil {
		return nil, fail(exitError, "%q is not hex, two digits for each byte: leave out --hex for text", cut(s, 60))
	}
	return b, nil
}

// binary returns the bytes of s if it is in the 0x notation.
func binary(s string) ([]byte, bool) {
	digits, ok := strings.CutPrefix(s, "0x")
	if !ok || digits == "" {
		return nil, false
	}
	b, err := hex.DecodeString(digits)
	return b, err == nil
}

// parsePath returns the elements of a bucket path; none for the top level.
func parsePath(s string) (path [][]byte, err error) {
	s = strings.TrimPrefix(s, "/")
	for s != "" {
		end := 0
		for end < len(s) && s[end] != '/' {
			if s[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(s))
		if end == 0 {
			return nil, fail(exitError, `an empty name in the bucket path: write \/ for a slash that is part of a name`)
		}
		name, err := parseKey(s[:end], false)
		if err != nil {
			return nil, err
		}
		path = append(path, name)
		s = strings.TrimPrefix(s[end:], "/")
	}
	return path, nil
}

// escape writes b as text, with what is not printable escaped. It returns how
// many bytes could not be printed.
func escape(b []byte, special string) (text string, unprintable int) {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		switch {
		case r == '\n':
			s.WriteString(`\n`)
		case r == '\r':
			s.WriteString(`\r`)
		case r == '\t':
			s.WriteString(`\t`)
		case r == '\\' || strings.ContainsRune(special, r):
			s.WriteByte('\\')
			s.WriteRune(r)
		case r == utf8.RuneError && n == 1 || !unicode.IsPrint(r):
			for _, c := range b[:n] {
				s.WriteString(`\x`)
				s.WriteByte(digits[c>>4])
				s.WriteByte(digits[c&15])
			}
			unprintable += n
		default:
			s.Write(b[:n])
		}
		b = b[n:]
	}
	return s.String(), unprintable
}

// formatKey is the reverse of parseKey.
func formatKey(b []byte) string { return formatName(b, "") }

func formatName(b []byte, special string) string {
	text, unprintable := escape(b, special)
	if 2*unprintable > len(b) {
		return "0x" + hex.EncodeToString(b)
	}
	if _, ok := binary(text); ok {
		return `\x30` + text[1:]
	}
	return text
}

// formatValue is the reverse of unescape.
func formatValue(b []byte) string {
	text, _ := escape(b, "")
	return text
}

// formatPath is the reverse of parsePath.
func formatPath(path [][]byte) string {
	if len(path) == 0 {
		return "/"
	}
	var s strings.Builder
	for _, name := range path {
		s.WriteString("/" + formatName(name, "/"))
	}
	return s.String()
}

// cut shortens s to n characters for a table.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-3]) + "..."
}

// rangeFlags are the flags that choose keys.
type rangeFlags struct {
	from, to, prefix string
	hex              bool
}

// bounds returns the range [lo, hi) that the flags choose; nil is unbounded.
func (f *rangeFlags) bounds() (lo, hi []byte, err error) {
	if f.from != "" {
		if lo, err = parseKey(f.from, f.hex); err != nil {
			return nil, nil, err
		}
	}
	if f.to != "" {
		if hi, err = parseKey(f.to, f.hex); err != nil {
			return nil, nil, err
		}
	}
	if f.prefix == "" {
		return lo, hi, nil
	}
	p, err := parseKey(f.prefix, f.hex)
	if err != nil {
		return nil, nil, err
	}
	if bytes.Compare(p, lo) > 0 {
		lo = p
	}
	if end := folio.PrefixEnd(p); hi == nil || end != nil && bytes.Compare(end, hi) < 0 {
		hi = end
	}
	return lo, hi, nil
}

// unbounded tells whether the flags choose everything.
func (f *rangeFlags) unbounded() bool { return f.from == "" && f.to == "" && f.prefix == "" }
