package wire

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestPools: what one answer was written through says nothing of the next, also after an answer that failed half way.
func TestPools(t *testing.T) {
	var p pools
	broken := errors.New("broken")
	for i := range 6 {
		compress := i%2 == 0
		text := strings.Repeat(string(rune('a'+i)), 100_000)
		var out bytes.Buffer
		err := p.through(&out, compress, func(w io.Writer) error {
			_, err := io.WriteString(w, text)
			return err
		})
		got := out.Bytes()
		if compress && err == nil {
			var zip *gzip.Reader
			if zip, err = gzip.NewReader(&out); err == nil {
				got, err = io.ReadAll(zip)
			}
		}
		if err != nil || string(got) != text {
			t.Errorf("answer %d: %d bytes, %v; want %d", i, len(got), err, len(text))
		}
		if err := p.through(io.Discard, compress, func(w io.Writer) error {
			_, _ = io.WriteString(w, "half")
			return broken
		}); !errors.Is(err, broken) {
			t.Errorf("an answer that fails: %v", err)
		}
	}
}
