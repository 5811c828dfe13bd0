package meta_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/foliodb/folio/internal/page"
	"github.com/foliodb/folio/meta"
)

// Compatibility: this is the format that files have. A change here needs a new
// version.
func TestLayout(t *testing.T) { // M3
	want := []struct {
		offset, size int
		name         string
	}{
		{0, 8, "magic"},
		{8, 4, "version"},
		{12, 4, "page size"},
		{16, 8, "file id"},
		{24, 8, "txid"},
		{32, 8, "root id"},
		{40, 8, "root birth"},
		{48, 8, "root count"},
		{56, 8, "root sequence"},
		{64, 8, "high-water mark"},
		{72, 8, "freelist head"},
		{80, 8, "freelist birth"},
		{88, 8, "free pages"},
		{96, 4, "head pages"},
		{100, 4, "flags"},
		{104, 2, "tail size"},
		{106, 2, "record count"},
		{108, 2, "record id size"},
		{110, 2, "reserved"},
		{112, 3976, "body"},
		{4088, 8, "checksum"},
	}
	layout := meta.Layout()
	require.Len(t, layout, len(want))
	end := 0
	for i, f := range layout {
		require.Equal(t, want[i].offset, f.Offset, f.Name)
		require.Equal(t, want[i].size, f.Size, f.Name)
		require.Equal(t, want[i].name, f.Name)
		require.NotEmpty(t, f.Meaning)
		require.Equal(t, end, f.Offset, "a gap before %s", f.Name)
		end += f.Size
	}
	require.Equal(t, meta.Size, end)
}

// The bytes are written out here, so the test holds on any CPU.
func TestEncodeBytes(t *testing.T) {
	m := sample()
	m.Record[0].Sum = 0x8877665544332211
	b := encode(m, 0)
	require.Equal(t, []byte("\x89folio\r\n\x01\x00\x00\x00\x00\x20\x00\x00"+
		"\xef\xcd\xab\x89\x67\x45\x23\x01"+"\xe8\x03\x00\x00\x00\x00\x00\x00"+
		"\x07\x00\x00\x00\x00\x00\x00\x00"+"\xe7\x03\x00\x00\x00\x00\x00\x00"+
		"\x88\x13\x00\x00\x00\x00\x00\x00"+"\x03\x00\x00\x00\x00\x00\x00\x00"+
		"\x90\x01\x00\x00\x00\x00\x00\x00"+"\x32\x00\x00\x00\x00\x00\x00\x00"+
		"\x84\x03\x00\x00\x00\x00\x00\x00"+"\x11\x00\x00\x00\x00\x00\x00\x00"+
		"\x02\x00\x00\x00"+"\x00\x00\x00\x00"+"\x04\x00\x04\x00\x05\x00\x00\x00"+
		"tail"+"\x01\x00"+"\x00"+"\x90\x06"+
		"\x11\x22\x33\x44\x55\x66\x77\x88"), b[:129])
	m.Record, m.Clean, m.Synced = nil, true, true
	require.Equal(t, byte(3), encode(m, 0)[100])
}

func TestDecodeTellsErrorsApart(t *testing.T) {
	whole := encode(sample(), 0)
	patched := func(off int, resealed bool, bytes ...byte) []byte {
		b := slices.Clone(whole)
		copy(b[off:], bytes)
		if resealed {
			reseal(b, 0)
		}
		return b
	}
	for _, tc := range []struct {
		name string
		b    []byte
		want error
	}{
		{"whole", whole, nil},
		{"whole, in a larger page", append(slices.Clone(whole), 1, 2, 3), nil},
		{"nothing", nil, meta.ErrBlank},
		{"zeros", make([]byte, meta.Size), meta.ErrBlank},
		{"a few zeros", make([]byte, 3), meta.ErrBlank},
		{"part of the magic", whole[:7], meta.ErrNotFolio},
		{"text", bytes.Repeat([]byte("text"), 2000), meta.ErrNotFolio},
		{"line ends converted", patched(6, true, '\n'), meta.ErrNotFolio},
		{"magic of zeros", patched(0, true, make([]byte, 8)...), meta.ErrNotFolio},
		{"cut off", whole[:meta.Size-1], page.ErrCorrupt},
		{"only the magic", whole[:8], page.ErrCorrupt},
		{"torn", patched(512, false, 1), page.ErrCorrupt},
		{"newer version", patched(8, true, 2), meta.ErrVersion},
		{"newer version, everything else is different", newerVersion(0), meta.ErrVersion},
		{"version damaged", patched(8, false, 2), page.ErrCorrupt}, // M8
		{"version 0", patched(8, true, 0), page.ErrCorrupt},
		{"another file id", patched(16, false, 0), page.ErrCorrupt},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := meta.Decode(tc.b, 0)
			require.ErrorIs(t, err, tc.want)
			for _, other := range []error{meta.ErrBlank, meta.ErrNotFolio, meta.ErrVersion, page.ErrCorrupt} {
				if other != tc.want && (tc.want != meta.ErrBlank || other != meta.ErrNotFolio) {
					require.NotErrorIs(t, err, other)
				}
			}
		})
	}
	_, err := meta.Decode(patched(512, false, 1), 0)
	var corrupt *page.CorruptError
	require.ErrorAs(t, err, &corrupt)
	require.Equal(t, page.ID(0), corrupt.ID)
}

// newerVersion returns a meta of a version to come, which shares with this one only
// what rule M3 promises.
func newerVersion(slot int) []byte {
	b := bytes.Repeat([]byte{0xee}, meta.Size)
	copy(b, meta.Magic[:])
	binary.LittleEndian.PutUint32(b[8:], 7)
	reseal(b, slot)
	return b
}

// impossible has what no meta can say, each to be applied to sample.
var impossible = map[string]func(*meta.Meta){
	"page size 0":               func(m *meta.Meta) { m.PageSize = 0 },
	"page size too small":       func(m *meta.Meta) { m.PageSize = 2048 },
	"page size too large":       func(m *meta.Meta) { m.PageSize = 128 << 10 },
	"page size odd":             func(m *meta.Meta) { m.PageSize = 4097 },
	"txid":                      func(m *meta.Meta) { m.TxID = meta.MaxTxID + 1 },
	"no high-water mark":        func(m *meta.Meta) { m.HighWater = 1 },
	"high-water mark too high":  func(m *meta.Meta) { m.HighWater = page.MaxID + 1 },
	"root in a meta page":       func(m *meta.Meta) { m.Root.ID = 1 },
	"root beyond the file":      func(m *meta.Meta) { m.Root.ID = 400 },
	"root from the future":      func(m *meta.Meta) { m.Root.Birth = 1001 },
	"keys in an empty tree":     func(m *meta.Meta) { m.Root.ID = 0 },
	"too many keys":             func(m *meta.Meta) { m.Root.Count = 400*8192 + 1 },
	"freelist in a meta page":   func(m *meta.Meta) { m.Freelist.Head = 1 },
	"freelist beyond the file":  func(m *meta.Meta) { m.Freelist.Head = 400 },
	"freelist from the future":  func(m *meta.Meta) { m.Freelist.HeadBirth = 1001 },
	"freelist without a head":   func(m *meta.Meta) { m.Freelist.Head = 0 },
	"freelist without pages":    func(m *meta.Meta) { m.Freelist.HeadPages = 0 },
	"freelist over the end":     func(m *meta.Meta) { m.Freelist.HeadPages = 351 },
	"freelist far over the end": func(m *meta.Meta) { m.Freelist.HeadPages = 1<<32 - 1 },
	"too many free pages":       func(m *meta.Meta) { m.Freelist.FreePages = 399 },
}

func TestDecodeRefusesImpossibleFields(t *testing.T) { // M6
	for name, breakIt := range impossible {
		t.Run(name, func(t *testing.T) {
			m := sample()
			m.Record = nil
			breakIt(&m)
			_, err := meta.Decode(encode(m, 1), 1)
			var corrupt *page.CorruptError
			require.ErrorAs(t, err, &corrupt)
			require.Equal(t, page.ID(1), corrupt.ID)
		})
	}
}

func TestDecodeRefusesImpossibleBody(t *testing.T) { // M1, M2, M5, M6
	// The ids of sample's record are 1 0 | 0 | 90 06, at 116; then its sums.
	for _, tc := range []struct {
		name  string
		off   int
		bytes []byte
	}{
		{"unknown flag", 100, []byte{8}},
		{"synced with a record", 100, []byte{1}},
		{"reserved", 110, []byte{1}},
		{"tail too long", 104, []byte{0xff, 0xff}},
		{"record too long", 106, []byte{0xff, 0xff}},
		{"ids too long", 108, []byte{0xff, 0xff}},
		{"fewer units than ids", 106, []byte{3}},
		{"more units than ids", 106, []byte{5}},
		{"a stretch longer than the record", 117, []byte{3}},
		{"a stretch far longer than the record", 117, []byte{0xff, 0x01}},
		{"a stretch whose length overflows", 104, overflowingStretch()},
		{"a page beyond the file", 119, []byte{0x92, 0x06}},
		{"an id cut off", 120, []byte{0x86}},
		{"an id longer than it need be", 119, []byte{0x90, 0x00}},
		{"bytes behind the record", 121 + 32, []byte{1}},
		{"bytes at the end of the body", meta.Size - 9, []byte{1}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := encode(sample(), 0)
			copy(b[tc.off:], tc.bytes)
			reseal(b, 0)
			_, err := meta.Decode(b, 0)
			require.ErrorIs(t, err, page.ErrCorrupt)
		})
	}
}

// overflowingStretch returns the sizes and the body of a record of 4 units whose
// first stretch has 2 units more than a number can say.
func overflowingStretch() []byte {
	ids := binary.AppendUvarint([]byte{1}, 1<<64-1)
	sizes := []byte{0, 0, 4, 0, byte(len(ids)), 0, 0, 0}
	return append(append(sizes, ids...), make([]byte, 40)...)
}

func TestDecodeDetectsEveryFlippedBit(t *testing.T) {
	b := encode(sample(), 1)
	for i := range 8 * meta.Size {
		b[i/8] ^= 1 << (i % 8)
		if _, err := meta.Decode(b, 1); err == nil {
			t.Fatalf("bit %d", i)
		}
		b[i/8] ^= 1 << (i % 8)
	}
}

func TestSpoil(t *testing.T) {
	b := encode(sample(), 1)
	for range 2 { // twice is no way back
		meta.Spoil(b, 1)
		_, err := meta.Decode(b, 1)
		require.ErrorIs(t, err, page.ErrCorrupt)
	}
}

func TestDecodeKeepsNothing(t *testing.T) {
	b := encode(sample(), 0)
	m, err := meta.Decode(b, 0)
	require.NoError(t, err)
	clear(b)
	require.Equal(t, sample(), m)
}

// The input is the start of a meta page. Short inputs are what the fuzzer is good
// at, and the magic and the checksum it could not guess.
func FuzzDecode(f *testing.F) {
	empty := meta.Meta{PageSize: 4096, HighWater: 2, Synced: true}
	f.Add(encode(sample(), 0)[:160], 0)
	f.Add(encode(empty, 1)[:112], 1)
	f.Add(newerVersion(1)[:16], 1)
	f.Add([]byte{}, 0)
	f.Fuzz(func(t *testing.T, start []byte, slot int) {
		_, _ = meta.Decode(start, slot)
		b := make([]byte, meta.Size)
		copy(b, start)
		copy(b, meta.Magic[:])
		reseal(b, slot)
		m, err := meta.Decode(b, slot)
		if err != nil {
			if binary.LittleEndian.Uint32(b[8:]) > meta.Version {
				require.ErrorIs(t, err, meta.ErrVersion)
			} else {
				require.ErrorIs(t, err, page.ErrCorrupt)
			}
			return
		}
		require.NoError(t, m.Check())
		require.True(t, bytes.Equal(b, encode(m, slot))) // M7
	})
}
