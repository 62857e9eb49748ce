package image

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"

	"github.com/floe-k8s/floe/internal/runtime/image/registry"
	"github.com/floe-k8s/floe/internal/runtime/image/registry/registrytest"
	"github.com/floe-k8s/floe/internal/runtime/layer"
)

var linux = v1.ConfigFile{OS: "linux", Architecture: runtime.GOARCH}

func gzipped(t testing.TB, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipLayer(t testing.TB, entries ...entry) registrytest.Layer {
	t.Helper()
	data := archive(t, entries...)
	return registrytest.Layer{Type: types.OCILayer, Blob: gzipped(t, data), DiffID: digestOf(data)}
}

func zstdLayer(t testing.TB, entries ...entry) registrytest.Layer {
	t.Helper()
	data := archive(t, entries...)
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return registrytest.Layer{Type: types.OCILayerZStd, Blob: w.EncodeAll(data, nil), DiffID: digestOf(data)}
}

func plainLayer(t testing.TB, entries ...entry) registrytest.Layer {
	t.Helper()
	data := archive(t, entries...)
	return registrytest.Layer{Type: types.DockerUncompressedLayer, Blob: data, DiffID: digestOf(data)}
}

func pull(t testing.TB, s *Store, name string) *Image {
	t.Helper()
	img, err := s.Pull(context.Background(), name, registry.Auth{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// noTrace fails the test when something of unfinished work is left.
func noTrace(t *testing.T, s *Store, dirs ...string) {
	t.Helper()
	for _, dir := range dirs {
		if left, err := dirNames(filepath.Join(s.root, dir)); err != nil || len(left) > 0 {
			t.Errorf("%s holds %v (%v)", dir, left, err)
		}
	}
}

func TestPull(t *testing.T) {
	r := registrytest.New(t)
	lower, upper := gzipLayer(t, dir("etc"), file("etc/conf", "lower"), file("etc/gone", "x")), zstdLayer(t, file("etc/.wh.gone", ""), file("etc/new", "upper"))
	amd := r.AddImage(t, "", linux, lower, plainLayer(t, dir("usr"), file("usr/b", "plain")), upper)
	amd.Platform = &v1.Platform{OS: "linux", Architecture: runtime.GOARCH}
	other := r.AddImage(t, "", v1.ConfigFile{OS: "linux", Architecture: "s390x"}, lower)
	other.Platform = &v1.Platform{OS: "linux", Architecture: "s390x"}
	index := r.AddManifest(t, "team/app:v1", types.OCIImageIndex, v1.IndexManifest{
		SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{other, amd},
	})
	s := newStore(t)
	name := r.Host() + "/team/app"
	var p Progress
	img, err := s.Pull(context.Background(), name+":v1", registry.Auth{}, &p)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{name + ":v1"}; !slices.Equal(img.Names, want) {
		t.Errorf("names %v, want %v", img.Names, want)
	}
	if want := []string{name + "@" + index.Digest.String()}; !slices.Equal(img.RepoDigests, want) {
		t.Errorf("digests %v, want %v", img.RepoDigests, want)
	}
	if done, total := p.Bytes(); done != total || total != img.Size {
		t.Errorf("progress: %d of %d bytes of an image of %d", done, total, img.Size)
	}
	for ref := range map[string]bool{name + ":v1": true, name + "@" + index.Digest.String(): true, img.ID: true, amd.Digest.String(): true} {
		if got, err := s.Resolve(ref); err != nil || got.ID != img.ID {
			t.Errorf("%s: %v, %v", ref, got, err)
		}
	}
	for name, want := range map[string]string{"etc/conf": "lower", "etc/new": "upper", "usr/b": "plain"} {
		if data, err := s.ReadFile(img, name); err != nil || string(data) != want {
			t.Errorf("%s: %q, %v", name, data, err)
		}
	}
	if _, err := s.ReadFile(img, "etc/gone"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("etc/gone: %v", err)
	}
	noTrace(t, s, "tmp", "partial")
	before := len(r.Requests())
	again := pull(t, s, name+"@"+index.Digest.String())
	if again.ID != img.ID || !slices.Equal(again.Names, img.Names) {
		t.Errorf("pulled by digest: %+v", again)
	}
	for _, req := range r.Requests()[before:] {
		if strings.Contains(req, "/blobs/") {
			t.Errorf("what is here was asked for again: %s", req)
		}
	}
	if err := s.Remove(img.ID); err != nil {
		t.Fatal(err)
	}
	noTrace(t, s, "tmp", "partial", "layers", "blobs/sha256")
}

// TestPullLeavesOutDirectories unpacks a layer that needs what the one below it has, which arrives later.
func TestPullLeavesOutDirectories(t *testing.T) {
	r := registrytest.New(t)
	lower := gzipLayer(t, dir("srv").with(func(h *tar.Header) { h.Mode = 0o1777 }), link('2', "lib", "srv"))
	upper := gzipLayer(t, file("lib/so", "x"))
	r.AddImage(t, "app:v1", linux, lower, upper)
	held := make(chan struct{})
	lowerDigest := registrytest.Digest(lower.Blob)
	r.Before = func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, lowerDigest) {
			<-held
		}
		if strings.HasSuffix(req.URL.Path, registrytest.Digest(upper.Blob)) {
			close(held)
		}
		return false
	}
	s := newStore(t)
	img := pull(t, s, r.Host()+"/app:v1")
	info, err := os.Stat(filepath.Join(s.layerDirs(img)[0], "srv"))
	if err != nil || info.Mode()&os.ModeSticky == 0 {
		t.Errorf("the directory that the upper layer left out: %v, %v", info, err)
	}
	if data, err := s.ReadFile(img, "srv/so"); err != nil || string(data) != "x" {
		t.Errorf("srv/so: %q, %v", data, err)
	}
}

func TestPullRefusals(t *testing.T) {
	r := registrytest.New(t)
	good := gzipLayer(t, file("a", "x"))
	foreign := good
	foreign.Type = types.DockerForeignLayer
	lying := gzipLayer(t, file("b", "x"))
	lying.DiffID = good.DiffID
	r.AddImage(t, "foreign:v1", linux, foreign)
	r.AddImage(t, "lying:v1", linux, lying)
	r.AddImage(t, "other:v1", v1.ConfigFile{OS: "linux", Architecture: "s390x"}, good)
	r.AddImage(t, "windows:v1", v1.ConfigFile{OS: "windows", Architecture: runtime.GOARCH}, good)
	r.AddImage(t, "empty:v1", linux)
	r.AddImage(t, "bomb:v1", linux, registrytest.Layer{Type: types.OCILayer, Blob: []byte("this is no layer"), DiffID: good.DiffID})
	r.AddManifest(t, "schema1:v1", types.DockerManifestSchema1, []byte(`{"schemaVersion":1,"fsLayers":[]}`))
	r.AddManifest(t, "both:v1", types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"layers":[],"manifests":[]}`))
	r.AddManifest(t, "noise:v1", types.OCIManifestSchema1, []byte(`{{`))
	r.AddManifest(t, "huge:v1", types.OCIManifestSchema1, bytes.Repeat([]byte(" "), 9<<20))
	nested := r.AddManifest(t, "", types.OCIImageIndex, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex})
	for range 5 {
		nested = r.AddManifest(t, "nested:v1", types.OCIImageIndex, v1.IndexManifest{
			SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{nested},
		})
	}
	for name, want := range map[string]error{
		"foreign": ErrUnusable, "lying": ErrContent, "other": ErrUnusable, "windows": ErrUnusable, "empty": ErrUnusable, "bomb": nil,
		"schema1": ErrContent, "both": ErrContent, "noise": ErrContent, "huge": ErrContent, "nested": ErrUnusable, "absent": registry.ErrNotFound,
	} {
		s := newStore(t)
		_, err := s.Pull(context.Background(), r.Host()+"/"+name+":v1", registry.Auth{}, nil)
		if err == nil || (want != nil && !errors.Is(err, want)) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if images, err := s.List(); err != nil || len(images) > 0 {
			t.Errorf("%s: the index has %v (%v)", name, images, err)
		}
		noTrace(t, s, "tmp", "partial", "layers")
	}
}

// TestPullsShareWork pulls one image from many callers at once, and two images that share a layer.
func TestPullsShareWork(t *testing.T) {
	r := registrytest.New(t)
	shared := gzipLayer(t, file("shared", strings.Repeat("x", 1<<20)))
	r.AddImage(t, "one:v1", linux, shared, gzipLayer(t, file("one", "1")))
	r.AddImage(t, "two:v1", linux, shared, gzipLayer(t, file("two", "2")))
	var unpacked atomic.Int32
	shim := ShimUnpacker(shimPath)
	s := openStore(t, Config{Unpack: func(ctx context.Context, j Job) (layer.Result, error) {
		unpacked.Add(1)
		return shim(ctx, j)
	}})
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			name := r.Host() + []string{"/one:v1", "/two:v1"}[i%2]
			if _, err := s.Pull(context.Background(), name, registry.Auth{}, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := unpacked.Load(); n != 3 {
		t.Errorf("%d layers were unpacked, want 3", n)
	}
	asked := map[string]int{}
	for _, req := range r.Requests() {
		if _, digest, ok := strings.Cut(req, "/blobs/"); ok {
			asked[digest]++
		}
	}
	for digest, n := range asked {
		if n != 1 {
			t.Errorf("%s was asked for %d times", digest, n)
		}
	}
}

// TestPullGoesOn breaks off a pull in the middle of a blob; the next one, of another process, asks for the rest only.
func TestPullGoesOn(t *testing.T) {
	r := registrytest.New(t)
	big := plainLayer(t, file("big", strings.Repeat("0123456789", 1<<20)))
	r.AddImage(t, "app:v1", linux, big)
	digest := registrytest.Digest(big.Blob)
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := errors.New("stopped by the test")
	half := len(big.Blob) / 2
	root := filepath.Join(t.TempDir(), "images")
	first := openStore(t, Config{Root: root})
	var once atomic.Bool
	r.Before = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, digest) || once.Swap(true) {
			return false
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(big.Blob)))
		_, _ = w.Write(big.Blob[:half])
		w.(http.Flusher).Flush()
		for info, err := os.Stat(first.partialPath(digest)); err != nil || info.Size() < int64(half); info, err = os.Stat(first.partialPath(digest)) {
			runtime.Gosched()
		}
		cancel(stop)
		<-req.Context().Done()
		return true
	}
	if _, err := first.Pull(ctx, r.Host()+"/app:v1", registry.Auth{}, nil); !errors.Is(err, stop) {
		t.Fatalf("the first pull: %v", err)
	}
	noTrace(t, first, "tmp", "layers")
	second := openStore(t, Config{Root: root})
	if err := second.Collect(); err != nil { // it must not take what a moment ago arrived
		t.Fatal(err)
	}
	pull(t, second, r.Host()+"/app:v1")
	last := r.Requests()[len(r.Requests())-1]
	if want := fmt.Sprintf("[bytes=%d-]", half); !strings.HasSuffix(last, want) {
		t.Errorf("the last request is %q, want %s", last, want)
	}
}

// TestPullTakesTheNextHost has a mirror that gives wrong bytes while the layer is unpacked already; the registry's own replace them.
func TestPullTakesTheNextHost(t *testing.T) {
	r, mirror := registrytest.New(t), registrytest.New(t)
	big := plainLayer(t, file("big", strings.Repeat("0123456789", 1<<20)))
	r.AddImage(t, "app:v1", linux, big)
	mirror.Before = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.Contains(req.URL.Path, "/blobs/"+registrytest.Digest(big.Blob)) {
			return false
		}
		bad := bytes.Clone(big.Blob)
		bad[len(bad)/2] ^= 1
		_, _ = w.Write(bad)
		return true
	}
	hosts := t.TempDir()
	registrytest.WriteHosts(t, hosts, r.Host(), fmt.Sprintf("[host.%q]\ncapabilities=[\"pull\"]\n", mirror.URL))
	s := openStore(t, Config{Registry: registry.New(registry.Config{HostsDir: hosts, PlainHTTP: true})})
	img := pull(t, s, r.Host()+"/app:v1")
	f, err := os.Open(filepath.Join(s.layerDirs(img)[0], "big"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data, err := io.ReadAll(f)
	if err != nil || string(data) != strings.Repeat("0123456789", 1<<20) {
		t.Errorf("the file has %d other bytes (%v)", len(data), err)
	}
	if !slices.ContainsFunc(mirror.Requests(), func(q string) bool { return strings.Contains(q, "ns=") }) {
		t.Errorf("the mirror was not asked for a registry: %v", mirror.Requests())
	}
}

// TestRemovalBesidePull collects, as another process, while a pull waits for its last layer; what the pull has by then must stay.
func TestRemovalBesidePull(t *testing.T) {
	r := registrytest.New(t)
	first, last := gzipLayer(t, file("a", "1")), gzipLayer(t, file("b", "2"))
	r.AddImage(t, "app:v1", linux, first, last)
	s := newStore(t)
	beside := openStore(t, Config{Root: s.root})
	r.Before = func(_ http.ResponseWriter, req *http.Request) bool {
		if strings.HasSuffix(req.URL.Path, registrytest.Digest(last.Blob)) {
			for _, ok, err := readLayer(s.layerPath(first.DiffID)); !ok; _, ok, err = readLayer(s.layerPath(first.DiffID)) {
				if err != nil {
					t.Error(err)
					break
				}
				runtime.Gosched()
			}
			if err := beside.Prune(); err != nil {
				t.Error(err)
			}
		}
		return false
	}
	checkWhole(t, s, "after "+pull(t, s, r.Host()+"/app:v1").ID)
	if bytes, inodes, err := s.Usage(); err != nil || bytes < 1 || inodes < 6 {
		t.Errorf("usage: %d bytes, %d inodes, %v", bytes, inodes, err)
	}
}

// TestSharedFailure lets a pull with wrong credentials begin the download that one with the right ones waits for.
func TestSharedFailure(t *testing.T) {
	r := registrytest.New(t)
	only := gzipLayer(t, file("a", "1"))
	r.AddImage(t, "app:v1", linux, only)
	waiting, refuse := make(chan struct{}), make(chan struct{})
	r.Before = func(w http.ResponseWriter, req *http.Request) bool {
		if !strings.HasSuffix(req.URL.Path, registrytest.Digest(only.Blob)) || req.Header.Get("Authorization") == "Bearer right" {
			return false
		}
		close(waiting)
		<-refuse
		w.WriteHeader(http.StatusForbidden)
		return true
	}
	s := newStore(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := s.Pull(context.Background(), r.Host()+"/app:v1", registry.Auth{RegistryToken: "wrong"}, nil); !errors.Is(err, registry.ErrUnauthorized) {
			t.Errorf("wrong credentials: %v", err)
		}
	})
	<-waiting
	wg.Go(func() {
		if _, err := s.Pull(context.Background(), r.Host()+"/app:v1", registry.Auth{RegistryToken: "right"}, nil); err != nil {
			t.Errorf("right credentials: %v", err)
		}
	})
	for joined(s, registrytest.Digest(only.Blob)) < 3 { // each pull, and the chain that one of them unpacks
		runtime.Gosched()
	}
	close(refuse)
	wg.Wait()
}

// joined is how many take part in the arrival of a blob.
func joined(s *Store, digest string) int {
	s.blobs.mu.Lock()
	defer s.blobs.mu.Unlock()
	if f := s.blobs.m[digest]; f != nil {
		return f.joined
	}
	return 0
}
