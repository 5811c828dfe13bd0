package main

import (
	"strings"
	"testing"
)

// TestJSONLines: what a line says is what is put, to the byte.
func TestJSONLines(t *testing.T) {
	for line, want := range map[string][2]string{
		`{"key":"a","value":"b"}`:                          {"a", "b"},
		`{"key":"a","value":""}`:                           {"a", ""},
		`{"key":"a","value":null}`:                         {"a", "null"},
		`{"key":"a","value":{"n": [1,"\ud800"]}}`:          {"a", `{"n": [1,"\ud800"]}`},
		`{"key":"a","value":12.50}`:                        {"a", "12.50"},
		`{"key_hex":"ff","value_hex":"00FE"}`:              {"\xff", "\x00\xfe"},
		` { "value_hex" : "" , "key" : "\ud83d\ude00\n" }`: {"\U0001f600\n", ""},
		`{"key":"\\ud800","value":"\u00e9\ufffd"}`:         {`\ud800`, "é\ufffd"},
		`{"key":"a","value":"b","keys":1,"bucket":false}`:  {"a", "b"},
	} {
		p, err := parseJSONL([]byte(line))
		if err != nil || string(p.key) != want[0] || string(p.value) != want[1] {
			t.Errorf("%s is key %q, value %q, %v", line, p.key, p.value, err)
		}
	}
}

// TestJSONLinesRefused: what cannot be kept as it is, or is not understood, is an error
// that says what to do.
func TestJSONLinesRefused(t *testing.T) {
	for line, want := range map[string]string{
		"{\"key\":\"\xff\",\"value\":\"v\"}":             `"key_hex" and "value_hex"`,
		"{\"key\":\"k\",\"value\":\"\xc3\"}":             `"key_hex" and "value_hex"`,
		`{"key":"\ud800","value":"v"}`:                   `"key_hex" and "value_hex"`,
		`{"key":"k","value":"a\udc00b"}`:                 `"key_hex" and "value_hex"`,
		`{"key":"k","value":"\ud800\ud800\udc00"}`:       `"key_hex" and "value_hex"`,
		`{"key":"k","value":"\ud800A"}`:                  `"key_hex" and "value_hex"`,
		`{"key":"k"}`:                                    `neither "value" nor "value_hex"`,
		`{"key":"k","vlaue":"v"}`:                        `there is no field "vlaue"`,
		`{"Key":"k","value":"v"}`:                        `there is no field "Key"`,
		`{"key":"k","value":"v","value_hex":"00"}`:       `both "value" and "value_hex"`,
		`{"key":"k","value":null,"value_hex":"00"}`:      `both "value" and "value_hex"`,
		`{"key":"k","key_hex":"00","value":"v"}`:         `both "key" and "key_hex"`,
		`{"key":"k","value":"v","value":"w"}`:            `"value" is there twice`,
		`{"key":12,"value":"v"}`:                         `"key" is 12: it must be a string`,
		`{"key":null,"value":"v"}`:                       `"key" is null`,
		`{"key_hex":"abc","value":"v"}`:                  `it must be hex digits`,
		`{"key":"k","value_hex":7}`:                      `"value_hex" is 7`,
		`{"key":"k","value":"v","path":["a"]}`:           `"path" is ["a"]`,
		`{"key":"k","value":"v","bucket":"x"}`:           `"bucket" is "x"`,
		`{"key":"k","bucket":true,"value":"v"}`:          `"value" beside "bucket"`,
		`{"key":"k","bucket":true,"value_hex":""}`:       `"value_hex" beside "bucket"`,
		`{"key":"k","value":"v"} {"key":"l","value":""}`: `not the JSON of a key`,
		`["key"]`: `no object`,
		`{`:       `not the JSON of a key`,
	} {
		p, err := parseJSONL([]byte(line))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "Go ") {
			t.Errorf("%s: %q = %q, %v", line, p.key, p.value, err)
		}
	}
}

// TestLoadJSONLinesNames: the error names the line, and nothing that is wrong is stored.
func TestLoadJSONLinesNames(t *testing.T) {
	t.Chdir(t.TempDir())
	code, _, stderr := kvctlIn("{\"key\":\"a\",\"value\":\"v\"}\n{\"key\":\"\xff\",\"value\":\"v\"}\n", "load", "t.folio", "/b", "--format", "jsonl", "--batch", "1")
	if code != exitError || !strings.HasPrefix(stderr, "kvctl: line 2: not UTF-8: ") {
		t.Error(code, stderr)
	}
	if _, out, _ := kvctl("scan", "t.folio", "/b"); out != "a\tv\n" {
		t.Error(out)
	}
}
