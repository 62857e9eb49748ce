package shim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestFrameRoundTrip(t *testing.T) {
	var b bytes.Buffer
	want := Frame{ID: 7, Method: "m", Body: []byte(`{"a":1}`), Error: &Error{Code: CodeBusy, Message: "no"}}
	for range 2 {
		if err := WriteFrame(&b, want); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		got, err := ReadFrame(&b)
		if err != nil || got.ID != 7 || got.Method != "m" || string(got.Body) != `{"a":1}` || *got.Error != *want.Error {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if _, err := ReadFrame(&b); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
}

func TestGarbageIsRefused(t *testing.T) {
	length := func(n uint32, body string) string {
		return string(binary.BigEndian.AppendUint32(nil, n)) + body
	}
	for _, c := range []struct {
		name, data string
		want       error
	}{
		{"no body", length(0, ""), ErrFrame},
		{"too long", length(MaxFrame+1, "x"), ErrFrame},
		{"a liar's length", length(MaxFrame, "{}"), io.ErrUnexpectedEOF},
		{"half a head", "\x00\x00", io.ErrUnexpectedEOF},
		{"no JSON", length(3, "abc"), ErrFrame},
		{"wrong types", length(11, `{"id":"one"}`[:11]), ErrFrame},
	} {
		if _, err := ReadFrame(strings.NewReader(c.data)); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	if err := WriteFrame(io.Discard, Frame{Body: []byte(`"` + strings.Repeat("x", MaxFrame) + `"`)}); err == nil {
		t.Error("a frame of more than MaxFrame was written")
	}
}

func FuzzReadFrame(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"))
	f.Add([]byte("\x00\x00\x00\x0a{\"id\":1}  "))
	f.Add([]byte("\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := ReadFrame(bytes.NewReader(data))
		if err != nil {
			return
		}
		if err := WriteFrame(io.Discard, frame); err != nil {
			t.Errorf("what was read cannot be written: %v", err)
		}
	})
}
