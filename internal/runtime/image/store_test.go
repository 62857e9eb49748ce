package image

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/floe-k8s/floe/internal/runtime/layer"
)

func newStore(t testing.TB) *Store {
	t.Helper()
	return openStore(t, Config{})
}

// openStore opens a store with what cfg leaves out: a directory of the test's, and the real unpacker.
func openStore(t testing.TB, cfg Config) *Store {
	t.Helper()
	if cfg.Root == "" {
		cfg.Root = filepath.Join(t.TempDir(), "images")
	}
	if cfg.Unpack == nil {
		cfg.Unpack = ShimUnpacker(shimPath)
	}
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func self(t testing.TB, tool string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tool")
	if err := os.WriteFile(path, []byte(tool), 0o755); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := BuildSelf(&b, path); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func load(t testing.TB, s *Store, data []byte) *Image {
	t.Helper()
	images, err := s.Load(context.Background(), bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	return images[0]
}

// dockerArchive is what docker save wrote before it knew OCI layouts, with one layer.
func dockerArchive(t testing.TB, tag string, layerTar []byte) []byte {
	t.Helper()
	_, hash := blobName(layerTar)
	config, err := json.Marshal(v1.ConfigFile{OS: "linux", RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{hash}}})
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := json.Marshal([]dockerImage{{Config: "c.json", RepoTags: []string{tag}, Layers: []string{"b/layer.tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	return archive(t, file("a/layer.tar", string(layerTar)), link('2', "b/layer.tar", "../a/layer.tar"), file("c.json", string(config)), file("manifest.json", string(manifest)))
}

func TestLoadResolveRemove(t *testing.T) {
	s := newStore(t)
	img := load(t, s, self(t, "first"))
	if !slices.Equal(img.Names, []string{SelfName}) || len(img.RepoDigests) != 1 || img.Size == 0 {
		t.Errorf("image %+v", img)
	}
	docker := load(t, s, dockerArchive(t, "busybox", archive(t, file("hello", "x"))))
	for ref, want := range map[string]*Image{
		SelfName: img, img.ID: img, strings.TrimPrefix(img.ID, "sha256:"): img, img.Manifests[0]: img, img.RepoDigests[0]: img,
		"busybox": docker, "docker.io/library/busybox:latest": docker, "index.docker.io/library/busybox": docker, "busybox@" + docker.Manifests[0]: docker,
	} {
		if got, err := s.Resolve(ref); err != nil || got.ID != want.ID {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	for _, ref := range []string{"busybox:other", "sha256:" + strings.Repeat("0", 64), "busybox@sha256:" + strings.Repeat("0", 64)} {
		if _, err := s.Resolve(ref); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if data, err := s.ReadFile(img, "/etc/passwd"); err != nil || !strings.HasPrefix(string(data), "root:") {
		t.Errorf("/etc/passwd: %q, %v", data, err)
	}
	if _, err := s.ReadFile(img, "/etc/shadow"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("/etc/shadow: %v", err)
	}

	moved := load(t, s, self(t, "second")) // takes the name
	if got, err := s.Resolve(SelfName); err != nil || got.ID != moved.ID {
		t.Errorf("after the name moved: %v, %v", got, err)
	}
	if got, err := s.Resolve(img.ID); err != nil || len(got.Names) != 0 {
		t.Errorf("the image it moved from: %v, %v", got, err)
	}
	lower, err := s.Pin("container", img)
	if err != nil {
		t.Fatal(err)
	}
	for _, ref := range []string{img.ID, SelfName, "busybox"} {
		if err := s.Remove(ref); err != nil {
			t.Error(err)
		}
	}
	if err := s.Remove("busybox"); !errors.Is(err, ErrNotFound) {
		t.Errorf("again: %v", err)
	}
	if _, err := os.Stat(filepath.Join(lower[0], "floe-tool")); err != nil {
		t.Errorf("a pinned layer is gone: %v", err)
	}
	if err := errors.Join(s.Unpin("container"), s.Unpin("container"), s.Collect()); err != nil {
		t.Error(err)
	}
	for _, dir := range []string{"blobs/sha256", "layers", "tmp", "pins"} {
		if left, err := dirNames(filepath.Join(s.root, dir)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v (%v)", dir, left, err)
		}
	}
}

// TestAnotherProcessLoads uses a second store on the same directory, as `floe images load` beside a server.
func TestAnotherProcessLoads(t *testing.T) {
	server := newStore(t)
	if images, err := server.List(); err != nil || len(images) != 0 {
		t.Fatal(images, err)
	}
	cli := openStore(t, Config{Root: server.root})
	img := load(t, cli, self(t, "x"))
	if got, err := server.Resolve(SelfName); err != nil || got.ID != img.ID {
		t.Errorf("the server sees %v, %v", got, err)
	}
	if err := cli.Remove(SelfName); err != nil {
		t.Fatal(err)
	}
	if _, err := server.Resolve(SelfName); !errors.Is(err, ErrNotFound) {
		t.Errorf("the server still sees it: %v", err)
	}
}

func TestBuildSelfIsDeterministic(t *testing.T) {
	if !bytes.Equal(self(t, "same"), self(t, "same")) {
		t.Error("two archives of the same program differ")
	}
}

func TestBrokenArchives(t *testing.T) {
	good := self(t, "x")
	blob := bytes.Index(good, []byte("root:x:0:0"))
	flipped := bytes.Clone(good)
	flipped[blob] ^= 1
	for name, data := range map[string][]byte{
		"empty": {}, "noise": []byte(strings.Repeat("noise", 1000)), "cut short": good[:len(good)/2], "a changed blob": flipped,
		"nothing known":   archive(t, file("hello", "x")),
		"bad index":       archive(t, file("index.json", "{")),
		"missing blob":    archive(t, file("index.json", `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","size":1,"digest":"sha256:`+strings.Repeat("a", 64)+`"}]}`)),
		"no images":       archive(t, file("index.json", `{"schemaVersion":2,"manifests":[]}`)),
		"bad docker JSON": archive(t, file("manifest.json", "[]]")),
		"wrong diff ID":   dockerArchive(t, "b", []byte("this is no tar, whatever its digest")),
	} {
		s := newStore(t)
		if images, err := s.Load(context.Background(), bytes.NewReader(data)); err == nil {
			t.Errorf("%s: loaded %v", name, images)
		}
		if images, err := s.List(); err != nil || len(images) != 0 {
			t.Errorf("%s: the index has %v (%v)", name, images, err)
		}
		if left, err := dirNames(filepath.Join(s.root, "tmp")); err != nil || len(left) > 0 {
			t.Errorf("%s: left %v (%v)", name, left, err)
		}
	}
}

func TestLimits(t *testing.T) {
	data := self(t, "0123456789")
	for name, limits := range map[string]Limits{
		"bytes":     {Bytes: 100, Entries: 100, Document: 1 << 20, Images: 1, Layers: 1},
		"entries":   {Bytes: 1 << 30, Entries: 2, Document: 1 << 20, Images: 1, Layers: 1},
		"documents": {Bytes: 1 << 30, Entries: 100, Document: 10, Images: 1, Layers: 1},
		"layers":    {Bytes: 1 << 30, Entries: 100, Document: 1 << 20, Images: 1, Layers: 0},
		"images":    {Bytes: 1 << 30, Entries: 100, Document: 1 << 20, Images: 0, Layers: 1},
	} {
		s := openStore(t, Config{Limits: &limits})
		if _, err := s.Load(context.Background(), bytes.NewReader(data)); !errors.Is(err, ErrArchive) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzLoad loads mangled archives; layers are not unpacked, so what is fuzzed is what runs inside floe.
func FuzzLoad(f *testing.F) {
	f.Add(self(f, "tool"))
	f.Add(dockerArchive(f, "busybox", archive(f, file("hello", "x"))))
	f.Add([]byte("noise"))
	s := openStore(f, Config{
		Unpack: func(context.Context, Job) (layer.Result, error) {
			return layer.Result{}, errors.New("not in this test")
		},
		Limits: &Limits{Bytes: 1 << 20, Entries: 64, Document: 1 << 16, Images: 4, Layers: 4},
	})
	f.Fuzz(func(t *testing.T, data []byte) {
		if images, err := s.Load(context.Background(), bytes.NewReader(data)); err == nil {
			t.Errorf("loaded %v without unpacking", images)
		}
	})
}

func TestNames(t *testing.T) {
	for in, want := range map[string]string{
		"nginx": "docker.io/library/nginx:latest", "a/b:1": "docker.io/a/b:1", "floe.dev/self:v1": "floe.dev/self:v1",
		"localhost:5000/x": "localhost:5000/x:latest", "docker.io/nginx": "docker.io/library/nginx:latest",
	} {
		if got, err := Normalize(in); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", in, got, err, want)
		}
	}
	for _, bad := range []string{"", "UPPER", "a b", "x:"} {
		if got, err := Normalize(bad); err == nil {
			t.Errorf("%q is %q", bad, got)
		}
	}
}
