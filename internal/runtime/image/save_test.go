package image

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/floe-k8s/floe/internal/runtime/image/registry/registrytest"
)

// TestSaveAndLoad pulls an image, saves it in both forms, and loads that elsewhere.
func TestSaveAndLoad(t *testing.T) {
	r := registrytest.New(t)
	r.AddImage(t, "app:v1", linux, gzipLayer(t, file("a", "1")), zstdLayer(t, file("b", "2")))
	s := newStore(t)
	name := r.Host() + "/app:v1"
	img := pull(t, s, name)
	for _, format := range []Format{FormatOCI, FormatDocker} {
		for ref, names := range map[string][]string{name: {name}, img.ID: nil} {
			var first, second bytes.Buffer
			if err := errors.Join(s.Save(context.Background(), &first, format, ref), s.Save(context.Background(), &second, format, ref, ref)); err != nil {
				t.Fatalf("%s %s: %v", format, ref, err)
			}
			if names == nil && !bytes.Equal(first.Bytes(), second.Bytes()) {
				t.Errorf("%s: two archives of the same image differ", format)
			}
			other := newStore(t)
			got := load(t, other, first.Bytes())
			if got.ID != img.ID || !slices.Equal(got.Names, names) {
				t.Errorf("%s %s: loaded %+v", format, ref, got)
			}
			if data, err := other.ReadFile(got, "b"); err != nil || string(data) != "2" {
				t.Errorf("%s: b is %q, %v", format, data, err)
			}
		}
	}
	if err := s.Save(context.Background(), &bytes.Buffer{}, FormatOCI, name, "absent"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an absent image: %v", err)
	}
	if err := s.Save(context.Background(), &bytes.Buffer{}, "zip", name); err == nil {
		t.Error("format zip was accepted")
	}
	noTrace(t, s, "tmp")
}

func TestLoadCompressedArchives(t *testing.T) {
	plain := self(t, "x")
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"gzip": gzipped(t, plain), "zstd": w.EncodeAll(plain, nil)} {
		if img := load(t, newStore(t), data); !slices.Equal(img.Names, []string{SelfName}) {
			t.Errorf("%s: %+v", name, img)
		}
	}
}

func TestLoadDir(t *testing.T) {
	s := newStore(t)
	dir := t.TempDir()
	if loaded, err := s.LoadDir(context.Background(), filepath.Join(dir, "absent")); err != nil || len(loaded) > 0 {
		t.Errorf("an absent directory: %v, %v", loaded, err)
	}
	for name, data := range map[string][]byte{"a.tar": self(t, "x"), "b.tar.gz": gzipped(t, dockerArchive(t, "busybox", archive(t, file("h", "x")))), "c.tar": []byte("noise"), "README": nil} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	step := func(what string, want int) {
		t.Helper()
		loaded, err := s.LoadDir(context.Background(), dir)
		if !errors.Is(err, ErrArchive) || len(loaded) != want {
			t.Errorf("%s: %d loaded, want %d; %v", what, len(loaded), want, err)
		}
	}
	step("first", 2)
	step("again", 0)
	if err := s.Remove("busybox"); err != nil {
		t.Fatal(err)
	}
	step("after a removal", 1)
	if err := os.Chtimes(filepath.Join(dir, "a.tar"), time.Time{}, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	step("after a change", 1)
}
