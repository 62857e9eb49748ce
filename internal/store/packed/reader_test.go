package packed

import (
	"encoding/binary"
	"testing"
)

func packed() []byte {
	b := binary.AppendUvarint(nil, 300)
	b = binary.AppendVarint(b, -5)
	b = append(binary.AppendUvarint(b, 4), "text"...)
	b = binary.BigEndian.AppendUint64(append(b, 7), 1<<60)
	return append(binary.AppendUvarint(b, 12), "rest"...)
}

// TestReader reads every kind of field, whole and cut at each byte: nothing is read past a field that does not fit.
func TestReader(t *testing.T) {
	read := func(r *Reader) bool {
		return r.Uvarint() == 300 && r.Varint() == -5 && r.Text() == "text" && r.Byte() == 7 && r.Uint64() == 1<<60 && r.Size(12) == 12
	}
	whole := packed()
	r := Reader{Rest: whole}
	if !read(&r) || r.Bad || string(r.Rest) != "rest" {
		t.Errorf("whole: %+v", r)
	}
	for n := range len(whole) - len("rest") {
		r := Reader{Rest: whole[:n]}
		if read(&r) || !r.Bad || r.Rest != nil || r.Uvarint() != 0 || r.Text() != "" {
			t.Errorf("cut at %d: %+v", n, r)
		}
	}
	if r := (Reader{Rest: []byte{13}}); r.Size(12) != 0 || !r.Bad {
		t.Error("a size above the limit was taken")
	}
}

func FuzzReader(f *testing.F) {
	f.Add(packed(), []byte{0, 1, 2, 3, 4, 5})
	f.Fuzz(func(t *testing.T, b, order []byte) {
		r := Reader{Rest: b}
		for _, field := range order {
			before := len(r.Rest)
			switch field % 6 {
			case 0:
				r.Uvarint()
			case 1:
				r.Varint()
			case 2:
				r.Bytes()
			case 3:
				r.Byte()
			case 4:
				r.Uint64()
			default:
				r.Size(1000)
			}
			if len(r.Rest) > before || !r.Bad && len(r.Rest) == before {
				t.Fatalf("field %d left %d of %d bytes", field%6, len(r.Rest), before)
			}
		}
	})
}
