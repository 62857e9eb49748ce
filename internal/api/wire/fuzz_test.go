package wire_test

import (
	"context"
	"encoding/json"
	"io"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/observe"
)

// The fuzz targets of this file send anything in one place of a request. The law is the same for all: the answer comes, it is no fault of the server, and
// a refusal in JSON is a Status with its own code.

const (
	fuzzPod        = `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"name":"c","image":"i"}]}}`
	fuzzDeployment = `{"metadata":{"name":"d"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"d"}},"template":{"metadata":{"labels":{"app":"d"}},` +
		`"spec":{"containers":[{"name":"c","image":"i","ports":[{"containerPort":80}],"env":[{"name":"A","value":"b"}]}]}}}}`
	deployment = "/apis/apps/v1/namespaces/default/deployments/d"
	longest    = 50 * time.Millisecond // of one call: what lasts longer is cut off
)

// fuzzed is a request that need not be one that clients can send.
type fuzzed struct {
	method, path, query, body string
	header                    http.Header
}

func (s *served) fuzz(t testing.TB, f fuzzed) *httptest.ResponseRecorder {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), longest)
	defer cancel()
	return s.serveOne(ctx, t, f)
}

func (s *served) serveOne(ctx context.Context, t testing.TB, f fuzzed) *httptest.ResponseRecorder {
	t.Helper()
	r := &http.Request{
		Method: f.method, URL: &url.URL{Path: f.path, RawQuery: f.query}, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: f.header, Host: "x",
		Body: io.NopCloser(strings.NewReader(f.body)), ContentLength: int64(len(f.body)),
	}
	if r.Header == nil {
		r.Header = http.Header{}
	}
	w := httptest.NewRecorder()
	s.Config.Handler.ServeHTTP(w, r.WithContext(ctx))
	if w.Code >= 500 && w.Code != http.StatusGatewayTimeout && !excused(w.Body.String()) {
		t.Errorf("%+v: %d %s", f, w.Code, w.Body)
	}
	if w.Code >= 400 && strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		var status metav1.Status
		if err := json.Unmarshal(w.Body.Bytes(), &status); err != nil || status.Kind != "Status" || int(status.Code) != w.Code {
			t.Errorf("%+v: %d with %s, %v", f, w.Code, w.Body, err)
		}
	}
	return w
}

// excused are the answers that upstream gives with code 500, too: what it has no class for.
func excused(body string) bool {
	for _, text := range []string{"unable to find api field in struct", "cannot restore slice from map", "cannot restore map from", "cannot restore struct from", "expected pointer, but got",
		"does not contain declared merge key", "nothing here reaches nodes", "delete list in", "invalid map", "unrecognized type", "resourceVersion: Invalid value"} {
		if strings.Contains(body, text) {
			return true
		}
	}
	return false
}

func fuzzServe(f *testing.F) *served {
	s := serve(f)
	s.Config.Handler = wire.New(wire.Config{
		API: s.API, Authenticator: byHeader, Clock: s.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)), CBORServingAndStorage: true,
	})
	for path, body := range map[string]string{"/api/v1/namespaces/default/pods": fuzzPod, "/apis/apps/v1/namespaces/default/deployments": fuzzDeployment} {
		if w := s.serveOne(f.Context(), f, fuzzed{method: http.MethodPost, path: path, body: body}); w.Code != http.StatusCreated {
			f.Fatal(w.Body)
		}
	}
	return s
}

func media(kind string) http.Header { return http.Header{"Content-Type": {kind}} }

// FuzzBody sends anything as a pod, in every encoding.
func FuzzBody(f *testing.F) {
	s := fuzzServe(f)
	for _, kind := range []string{"application/json", "application/yaml", "application/vnd.kubernetes.protobuf", "text/plain", "application/cbor"} {
		for _, body := range []string{"", "{", "[]", "null", `{"kind":"Pod"}`, fuzzPod, "k8s\x00\x0a\x00", "a: [&x 1, *x]", "k8s\x00\x0a\x09\x0a\x02v1\x12\x03Pod\x12\x04\x0a\x02\x0a\x00"} {
			f.Add(kind, body)
		}
	}
	f.Add(cborMedia, "\xd9\xd9\xf7\xa1Hmetadata\xa1DnameBc1")
	f.Add(cborMedia, inCBOR(f, map[string]any{"kind": "Pod", "spec": map[string]any{"nodeName": 5, "containers": []any{map[string]any{"name": "c", "image": "i"}}}}))
	f.Fuzz(func(t *testing.T, kind, body string) {
		s.fuzz(t, fuzzed{method: http.MethodPost, path: "/api/v1/namespaces/default/pods", query: "dryRun=All", header: media(kind), body: body})
	})
}

// FuzzOptions sends anything as the options of a deletion.
func FuzzOptions(f *testing.F) {
	s := fuzzServe(f)
	for _, body := range []string{"{}", `{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan","preconditions":{"uid":"x"}}`, `{"gracePeriodSeconds":-1,"dryRun":["All"]}`} {
		f.Add("application/json", body)
		f.Add("application/yaml", body)
	}
	f.Fuzz(func(t *testing.T, kind, body string) {
		s.fuzz(t, fuzzed{method: http.MethodDelete, path: "/api/v1/namespaces/default/pods/nothing", header: media(kind), body: body})
	})
}

// FuzzPatch sends anything as a patch of a deployment.
func FuzzPatch(f *testing.F) {
	s := fuzzServe(f)
	for kind, bodies := range map[string][]string{
		"application/json-patch+json":  {`[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]`, `[{"op":"copy","from":"/spec","path":"/x"}]`, `[{"op":"test","path":"/spec/replicas","value":1}]`},
		"application/merge-patch+json": {`{"spec":{"replicas":2,"template":{"spec":{"containers":null}}}}`, `{"metadata":{"labels":5}}`},
		"application/strategic-merge-patch+json": {
			`{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"j"},{"$patch":"delete","name":"x"}],"$setElementOrder/containers":[{"name":"c"}]}}}}`,
			`{"metadata":{"$retainKeys":["name"],"finalizers":["a"],"$deleteFromPrimitiveList/finalizers":["b"]}}`, `{"$patch":"replace"}`,
		},
		"application/apply-patch+yaml": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: 3}\n", "a: [&x 1, *x]"},
	} {
		for _, body := range bodies {
			f.Add(kind, body)
		}
	}
	f.Add("application/apply-patch+cbor", inCBOR(f, map[string]any{"kind": "Deployment", "apiVersion": "apps/v1", "spec": map[string]any{"replicas": 2}}))
	f.Fuzz(func(t *testing.T, kind, body string) {
		s.fuzz(t, fuzzed{method: http.MethodPatch, path: deployment, query: "dryRun=All&fieldManager=f", header: media(kind), body: body})
	})
}

// FuzzSelectors selects pods by anything.
func FuzzSelectors(f *testing.F) {
	s := fuzzServe(f)
	for _, label := range []string{"a=b", "a in (b,c),!d", "a notin (b)", "x/y!=z", "a>1", "((", ",,", "a in ()"} {
		f.Add(label, "metadata.name=p,spec.nodeName!=x")
		f.Add(label, "status.phase=\\,\\=,metadata.namespace==default")
	}
	f.Fuzz(func(t *testing.T, label, field string) {
		query := url.Values{"labelSelector": {label}, "fieldSelector": {field}}.Encode()
		s.fuzz(t, fuzzed{method: http.MethodGet, path: "/api/v1/pods", query: query})
		s.fuzz(t, fuzzed{method: http.MethodGet, path: "/api/v1/pods", query: query + "&watch=1"})
	})
}

// FuzzPath asks for any path with any method.
func FuzzPath(f *testing.F) {
	s := fuzzServe(f)
	for _, path := range []string{
		"/api/v1/namespaces/default/pods/p/log", "/apis/apps/v1/watch/namespaces/default/deployments/d", "/api/v1/namespaces/default/finalize", "//", "/apis//v1/x", "/openapi/v3/apis/apps/v1",
		"/readyz/poststarthook/x", "/debug/pprof/heap", "/floe.dev/v1/history", "/api/v1/namespaces/default/pods/p/exec/a/b", "/version/", "/metrics", "",
	} {
		f.Add(http.MethodGet, path, "")
		f.Add(http.MethodPost, path, "container=c&follow=true&key=/registry/pods")
	}
	f.Fuzz(func(t *testing.T, method, path, query string) {
		s.fuzz(t, fuzzed{method: method, path: path, query: query, body: "{}"})
	})
}

// FuzzQuery asks with any options, continue tokens among them.
func FuzzQuery(f *testing.F) {
	s := fuzzServe(f)
	next := s.fuzz(f, fuzzed{method: http.MethodGet, path: "/apis", query: ""}) // any token will do where there are not two pods
	for _, query := range []string{
		"limit=1&continue=" + url.QueryEscape(next.Header().Get("Audit-Id")), "resourceVersion=0&resourceVersionMatch=NotOlderThan", "watch=1&allowWatchBookmarks=true&sendInitialEvents=true",
		"timeoutSeconds=99999999999", "timeout=1ms", "dryRun=All&dryRun=x", "fieldManager=%00&fieldValidation=Strict", "gracePeriodSeconds=x&propagationPolicy=Orphan", "pretty=%zz;a=b",
		"continue=eyJ2IjoibWV0YS5rOHMuaW8vdjEiLCJydiI6Miwic3RhcnQiOiJhXHUwMDAwIn0", "includeObject=Object&orphanDependents=true",
	} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			s.fuzz(t, fuzzed{method: method, path: "/api/v1/namespaces/default/configmaps", query: query, body: `{}`})
		}
		s.fuzz(t, fuzzed{method: http.MethodGet, path: deployment, query: query})
	})
}

// FuzzMedia asks and sends with any Accept and Content-Type.
func FuzzMedia(f *testing.F) {
	s := fuzzServe(f)
	for _, accept := range []string{"*/*", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json", "a/b;q=1;q=2,*", "application/yaml;pretty=1", "application/vnd.kubernetes.protobuf;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"} {
		f.Add(accept, "application/json; charset=utf-8", "gzip, br;q=0.1")
		f.Add(accept, "multipart/form-data; boundary=\"", "")
	}
	f.Fuzz(func(t *testing.T, accept, content, encoding string) {
		header := http.Header{"Accept": {accept}, "Content-Type": {content}, "Accept-Encoding": {encoding}}
		s.fuzz(t, fuzzed{method: http.MethodGet, path: deployment, header: header})
		s.fuzz(t, fuzzed{method: http.MethodGet, path: "/api/v1/pods", header: header})
		s.fuzz(t, fuzzed{method: http.MethodPost, path: "/api/v1/namespaces/default/pods", query: "dryRun=All", header: header, body: fuzzPod})
	})
}
