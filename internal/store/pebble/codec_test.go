package pebble

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/store"
)

// gcm is a codec as encryption at rest will have one: the key of the object is authenticated with its value.
type gcm struct{ cipher.AEAD }

func newCodec(t *testing.T, key byte) gcm {
	t.Helper()
	block, err := aes.NewCipher(bytes.Repeat([]byte{key}, 32))
	if err != nil {
		t.Fatal(err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		t.Fatal(err)
	}
	return gcm{aead}
}

func (g gcm) Seal(key string, plain []byte) ([]byte, error) {
	if string(plain) == "unsealable" {
		return nil, errors.New("the key service is away")
	}
	nonce := make([]byte, g.NonceSize())
	rand.Read(nonce)
	return g.AEAD.Seal(nonce, nonce, plain, []byte(key)), nil
}

func (g gcm) Open(key string, sealed []byte) ([]byte, error) {
	if len(sealed) < g.NonceSize() {
		return nil, errors.New("too short")
	}
	return g.AEAD.Open(nil, sealed[:g.NonceSize()], sealed[g.NonceSize():], []byte(key))
}

// TestCodec keeps a secret through flush, history, restart and change of codec: readers get it, the disk never.
func TestCodec(t *testing.T) {
	const secret = "the secret of the day"
	dir := filepath.Join(t.TempDir(), "log")
	l := mustOpen(t, Options{Dir: dir})
	if _, err := l.Append(t.Context(), change("old", "written before there was encryption")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	sealed := Options{Dir: dir, Codec: newCodec(t, 1)}
	l = mustOpen(t, sealed)
	for _, v := range []string{secret, secret + ", again", ""} {
		if _, err := l.Append(t.Context(), change("k", v)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Append(t.Context(), change("k", "unsealable")); err == nil || !strings.Contains(err.Error(), "k: the key service is away") {
		t.Errorf("what cannot be sealed: %v", err)
	}
	for range 2 {
		if got := valuesOf(t, l, "k"); strings.Join(got, "|") != "|"+secret+", again|"+secret {
			t.Errorf("versions: %q", got)
		}
		if got := valuesOf(t, l, "old"); len(got) != 1 || !strings.HasPrefix(got[0], "written before") {
			t.Errorf("what was not sealed: %q", got)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if found := grep(t, dir, "secret of"); found != "" {
			t.Errorf("%s holds the secret", found)
		}
		if found := grep(t, dir, "before there was"); found == "" {
			t.Error("what was not sealed is nowhere: the search finds nothing at all")
		}
		l = mustOpen(t, sealed)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for name, codec := range map[string]store.Codec{"none": nil, "another key": newCodec(t, 2)} {
		if n, err := contentsOf(Options{Dir: dir, Codec: codec}); err == nil || !strings.Contains(err.Error(), `"k"`) {
			t.Errorf("%s: loaded %d records, %v", name, n, err)
		}
	}
}

func valuesOf(t *testing.T, l *Log, key string) (values []string) {
	t.Helper()
	if err := l.Versions(t.Context(), key, func(r store.Record) error {
		values = append(values, string(r.Value))
		return nil
	}); err != nil {
		t.Error(err)
	}
	return values
}

// grep returns a file below dir that holds text. The values are too few for pebble to compress them.
func grep(t *testing.T, dir, text string) (found string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			found = path
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
