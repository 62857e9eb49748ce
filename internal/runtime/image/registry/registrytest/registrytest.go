// Package registrytest is a registry for tests: images in memory, served on loopback, with the faults that real ones have.
package registrytest

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Registry is a registry that listens. Put and the Add methods may be called while it serves.
type Registry struct {
	*httptest.Server
	// Before answers a request instead of the registry when it returns true; nil answers none. It must be set before the first request.
	Before func(w http.ResponseWriter, r *http.Request) bool

	mu        sync.Mutex // guards what follows
	content   map[string][]byte
	manifests map[string]types.MediaType // by digest
	tags      map[string]string          // REPOSITORY:TAG → digest
	requests  []string
}

// New serves a registry without TLS until the test ends.
func New(t testing.TB) *Registry { return start(t, (*httptest.Server).Start) }

// NewTLS serves one with a certificate of httptest's.
func NewTLS(t testing.TB) *Registry { return start(t, (*httptest.Server).StartTLS) }

func start(t testing.TB, how func(*httptest.Server)) *Registry {
	r := &Registry{content: map[string][]byte{}, manifests: map[string]types.MediaType{}, tags: map[string]string{}}
	r.Server = httptest.NewUnstartedServer(r)
	how(r.Server)
	t.Cleanup(r.Server.Close)
	return r
}

// Host is its address as images' names have it.
func (r *Registry) Host() string { return r.Listener.Addr().String() }

// Requests are the requests so far, as "GET /v2/…", with a Range in brackets.
func (r *Registry) Requests() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.requests...)
}

// Digest is the digest of data, as references have it.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// AddBlob adds a blob and returns how manifests refer to it.
func (r *Registry) AddBlob(t types.MediaType, data []byte) v1.Descriptor {
	digest := Digest(data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.content[digest] = data
	return v1.Descriptor{MediaType: t, Size: int64(len(data)), Digest: v1.Hash{Algorithm: "sha256", Hex: digest[len("sha256:"):]}}
}

// AddManifest adds a manifest or an index and tags it, as "REPOSITORY:TAG"; "" tags nothing.
func (r *Registry) AddManifest(tb testing.TB, tag string, t types.MediaType, manifest any) v1.Descriptor {
	tb.Helper()
	data, ok := manifest.([]byte)
	if !ok {
		var err error
		if data, err = json.Marshal(manifest); err != nil {
			tb.Fatal(err)
		}
	}
	d := r.AddBlob(t, data)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[d.Digest.String()] = t
	if tag != "" {
		r.tags[tag] = d.Digest.String()
	}
	return d
}

// ServeHTTP answers as a registry does; any repository has all content, but tags are each repository's own.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	line := req.Method + " " + req.URL.RequestURI()
	if rg := req.Header.Get("Range"); rg != "" {
		line += " [" + rg + "]"
	}
	r.mu.Lock()
	r.requests = append(r.requests, line)
	r.mu.Unlock()
	if r.Before != nil && r.Before(w, req) {
		return
	}
	path := strings.TrimPrefix(req.URL.Path, "/v2/")
	if repository, ref, ok := strings.Cut(path, "/manifests/"); ok {
		r.manifest(w, req, repository, ref)
		return
	}
	if _, digest, ok := strings.Cut(path, "/blobs/"); ok {
		if data := r.Content(digest); data != nil {
			http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
			return
		}
	}
	http.Error(w, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown"}]}`, http.StatusNotFound)
}

// Content is what has a digest; nil when nothing has.
func (r *Registry) Content(digest string) []byte {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.content[digest]
}

func (r *Registry) manifest(w http.ResponseWriter, req *http.Request, repository, ref string) {
	r.mu.Lock()
	digest := ref
	if !strings.Contains(ref, ":") {
		digest = r.tags[repository+":"+ref]
	}
	t, ok := r.manifests[digest]
	data := r.content[digest]
	r.mu.Unlock()
	if !ok {
		http.Error(w, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`, http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", string(t))
	w.Header().Set("Docker-Content-Digest", digest)
	http.ServeContent(w, req, "", time.Time{}, bytes.NewReader(data))
}

// Layer is one layer of an image to add.
type Layer struct {
	// Type is its media type, Blob what is sent, DiffID the digest of its plain tar stream.
	Type   types.MediaType
	Blob   []byte
	DiffID string
}

// AddImage adds an image with these layers, for the platform of config, and tags it, as "REPOSITORY:TAG".
func (r *Registry) AddImage(tb testing.TB, tag string, config v1.ConfigFile, layers ...Layer) v1.Descriptor {
	tb.Helper()
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	config.RootFS.Type = "layers"
	for _, l := range layers {
		m.Layers = append(m.Layers, r.AddBlob(l.Type, l.Blob))
		h, err := v1.NewHash(l.DiffID)
		if err != nil {
			tb.Fatal(fmt.Errorf("diff ID: %w", err))
		}
		config.RootFS.DiffIDs = append(config.RootFS.DiffIDs, h)
	}
	data, err := json.Marshal(config)
	if err != nil {
		tb.Fatal(err)
	}
	m.Config = r.AddBlob(types.OCIConfigJSON, data)
	return r.AddManifest(tb, tag, types.OCIManifestSchema1, m)
}

// WriteHosts writes a hosts.toml for a registry below dir.
func WriteHosts(tb testing.TB, dir, registry, text string) {
	tb.Helper()
	dir = filepath.Join(dir, registry)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "hosts.toml"), []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}
