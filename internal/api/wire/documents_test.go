package wire_test

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	openapi_v2 "github.com/google/gnostic-models/openapiv2"
	openapi_v3 "github.com/google/gnostic-models/openapiv3"
	"google.golang.org/protobuf/proto"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/kubectl/pkg/util/openapi"
	"k8s.io/kubectl/pkg/validation"

	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/kinds/all"
	documents "github.com/floe-k8s/floe/internal/kinds/openapi"
	"github.com/floe-k8s/floe/internal/observe"
)

const (
	protobuf2 = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
	protobuf3 = "application/com.github.proto-openapi.spec.v3@v1.0+protobuf"
)

// TestDocumentsInProtobuf reads both versions as clients do that ask for protobuf, and counts what JSON has.
func TestDocumentsInProtobuf(t *testing.T) {
	s := serve(t)
	count := func(url string) int {
		var doc struct{ Paths map[string]any }
		if err := json.Unmarshal(s.document(t, url), &doc); err != nil {
			t.Fatal(err)
		}
		return len(doc.Paths)
	}
	var whole openapi_v2.Document
	if err := proto.Unmarshal(s.document(t, "/openapi/v2", protobuf2), &whole); err != nil {
		t.Fatal(err)
	}
	if got, want := len(whole.GetPaths().GetPath()), count("/openapi/v2"); got != want || whole.GetInfo().GetTitle() != "Kubernetes" {
		t.Errorf("/openapi/v2: %d paths in protobuf, %d in JSON", got, want)
	}
	for path := range indexOf(t, s.document(t, "/openapi/v3")) {
		url := "/openapi/v3/" + path
		var doc openapi_v3.Document
		if err := proto.Unmarshal(s.document(t, url, protobuf3), &doc); err != nil {
			t.Fatalf("%s: %v", url, err)
		}
		if got, want := len(doc.GetPaths().GetPath()), count(url); got != want || want == 0 {
			t.Errorf("%s: %d paths in protobuf, %d in JSON", url, got, want)
		}
	}
}

// parsed are the resources as kubectl reads them from the document of version 2.
type parsed struct{ openapi.Resources }

func (p parsed) OpenAPISchema() (openapi.Resources, error) { return p.Resources, nil }

// TestKubectlReadsVersion2 gives the document to kubectl's own code, which explains and, before 1.25, validates by it.
func TestKubectlReadsVersion2(t *testing.T) {
	var whole openapi_v2.Document
	if err := proto.Unmarshal(serve(t).document(t, "/openapi/v2", protobuf2), &whole); err != nil {
		t.Fatal(err)
	}
	resources, err := openapi.NewOpenAPIData(&whole)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range all.Kinds() {
		if resources.LookupResource(k.GVK) == nil {
			t.Errorf("%s: kubectl does not find it", k.GVK)
		}
	}
	checks := validation.NewSchemaValidation(parsed{resources})
	for object, want := range map[string]string{
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"b"}}`: "",
		`{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"date":{"a":"b"}}`: `unknown field "date" in io.k8s.api.core.v1.ConfigMap`,
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"replicas":"many"}}`:         `io.k8s.api.apps.v1.DeploymentSpec.replicas: got "string", expected "integer"`,
		`{"apiVersion":"apps/v1","kind":"Deployment","spec":{"selector":{}}}`:             `missing required field "template"`,
	} {
		err := checks.ValidateBytes([]byte(object))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", object, err, want)
		}
	}
}

// TestDocumentsAreNotSentTwice: a client that names the tag or the time of what it has, or the hash of the index, need not be told again.
func TestDocumentsAreNotSentTwice(t *testing.T) {
	s := serve(t)
	current := indexOf(t, s.document(t, "/openapi/v3"))["apis/apps/v1"]
	tagged := s.send(t, "HEAD "+current)
	tagged.Body.Close()
	tag, whole := tagged.Header.Get("ETag"), s.send(t, "HEAD /openapi/v2").Header
	for _, c := range []struct {
		request string
		status  int
		header  string
		want    string
	}{
		{"GET " + current, http.StatusOK, "Cache-Control", "public, immutable"},
		{"GET " + current, http.StatusOK, "Expires", "Sat, 02 Jan 2027 03:04:05 UTC"},
		{"GET /openapi/v3/apis/apps/v1", http.StatusOK, "Cache-Control", "no-cache, private"},
		{"GET " + current + "\nIf-None-Match: " + tag, http.StatusNotModified, "ETag", tag},
		{"GET /openapi/v2\nIf-None-Match: " + whole.Get("ETag"), http.StatusNotModified, "ETag", whole.Get("ETag")},
		{"GET /openapi/v2\nIf-Modified-Since: " + whole.Get("Last-Modified"), http.StatusNotModified, "Content-Length", ""},
		{"GET /openapi/v2\nAccept-Encoding: gzip\nIf-None-Match: " + whole.Get("ETag"), http.StatusNotModified, "Content-Encoding", ""},
		{"GET /openapi/v2\nRange: bytes=0-9", http.StatusPartialContent, "Content-Length", "10"},
		{"GET /openapi/v2\nAccept-Encoding: gzip\nRange: bytes=0-9", http.StatusOK, "Content-Encoding", "gzip"},
	} {
		resp := s.send(t, c.request)
		resp.Body.Close()
		if resp.StatusCode != c.status || resp.Header.Get(c.header) != c.want {
			t.Errorf("%s: %s, %s %q, want %d and %q", c.request, resp.Status, c.header, resp.Header.Get(c.header), c.status, c.want)
		}
	}
	s.Client().CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	moved := s.send(t, "GET /openapi/v3/apis/apps/v1?hash=OLD")
	moved.Body.Close()
	if moved.StatusCode != http.StatusMovedPermanently || moved.Header.Get("Location") != current {
		t.Errorf("a hash of before: %s to %q, want %q", moved.Status, moved.Header.Get("Location"), current)
	}
}

// TestDocumentsCompressed reads the compressed document of version 2.
func TestDocumentsCompressed(t *testing.T) {
	s := serve(t)
	resp := s.send(t, "GET /openapi/v2\nAccept-Encoding: gzip")
	defer resp.Body.Close()
	z, err := gzip.NewReader(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	if want := s.document(t, "/openapi/v2"); string(data) != string(want) {
		t.Errorf("%d bytes, want %d", len(data), len(want))
	}
	if vary := strings.Join(resp.Header.Values("Vary"), ","); vary != "Accept-Encoding,Accept" {
		t.Errorf("Vary: %s", vary)
	}
}

// TestDocumentsOfWhatIsServed: a version that is switched off is in no index.
func TestDocumentsOfWhatIsServed(t *testing.T) {
	s := serve(t)
	off := httptest.NewServer(wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)),
		Serves: func(r schema.GroupVersionResource) bool { return r.Group != "apps" },
	}))
	defer off.Close()
	s = &served{Server: off, Cluster: s.Cluster}
	index := indexOf(t, s.document(t, "/openapi/v3"))
	if index["apis/apps"] != "" || index["apis/apps/v1"] != "" || index["api/v1"] == "" || index["apis/batch/v1"] == "" {
		t.Errorf("the index is %v", index)
	}
	resp := s.send(t, "GET /openapi/v3/apis/apps/v1")
	resp.Body.Close()
	if resp.StatusCode != http.StatusNotFound {
		t.Errorf("a version that is switched off: %s", resp.Status)
	}
	for _, request := range []string{"GET /openapi/v2", "GET /openapi/v2\nAccept: " + protobuf2} {
		resp := s.send(t, request)
		data, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: %s, %v", request, resp.Status, err)
		}
		for text, want := range map[string]bool{"/apis/apps/": false, "/apis/apps/v1/deployments": false, "io.k8s.api.apps.v1": false, "/api/v1/pods": true, "/apis/batch/v1/jobs": true, "/apis/batch/": true} {
			if bytes.Contains(data, []byte(text)) != want {
				t.Errorf("%s: with the group apps switched off, that it names %s is %t", request, text, !want)
			}
		}
		if etag := resp.Header.Get("ETag"); etag == `"`+documents.Version2(documents.JSON).Hash+`"` {
			t.Errorf("%s: the tag is that of the whole document", request)
		}
	}
}

func BenchmarkDocuments(b *testing.B) {
	s := serve(b)
	for name, request := range map[string]string{
		"v2":          "GET /openapi/v2",
		"v2/gzip":     "GET /openapi/v2\nAccept-Encoding: gzip",
		"v2/protobuf": "GET /openapi/v2\nAccept: " + protobuf2,
		"v2/tag":      "GET /openapi/v2\nIf-None-Match: " + s.send(b, "HEAD /openapi/v2").Header.Get("ETag"),
		"v3/api/v1":   "GET /openapi/v3/api/v1",
		"v3/node":     "GET /openapi/v3/apis/node.k8s.io/v1",
		"v3/index":    "GET /openapi/v3",
		"aggregated":  "GET /apis\nAccept: application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				resp := s.send(b, request)
				n, err := io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(n)
			}
		})
	}
}
