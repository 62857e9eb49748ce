package wire_test

import (
	"fmt"
	"math/rand"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/wire"
	"github.com/floe-k8s/floe/internal/observe"
)

const benchPod = `{"metadata":{"name":"%s","namespace":"default","labels":{"app":"web"}},"spec":{"nodeName":"one","containers":[{"name":"c","image":"i:1",` +
	`"resources":{"requests":{"cpu":"100m","memory":"64Mi"}},"ports":[{"containerPort":80}]}]}}`

// ask sends one request to the handler itself, in a goroutine of its own as HTTP/2 does: what HTTP costs beside is not floe's.
func (s *served) ask(b *testing.B, method, path, accept, body string) {
	b.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Accept", accept)
	w, done := httptest.NewRecorder(), make(chan struct{})
	go func() {
		defer close(done)
		s.Config.Handler.ServeHTTP(w, r)
	}()
	<-done
	if w.Code >= http.StatusBadRequest {
		b.Fatal(w.Body.String())
	}
}

func BenchmarkCreatePod(b *testing.B) {
	s, n := serve(b), 0
	b.ReportAllocs()
	for b.Loop() {
		n++
		s.ask(b, http.MethodPost, "/api/v1/namespaces/default/pods", "application/json", fmt.Sprintf(benchPod, fmt.Sprint("p", n)))
	}
}

func BenchmarkGetPod(b *testing.B) {
	s := serve(b)
	s.ask(b, http.MethodPost, "/api/v1/namespaces/default/pods", "application/json", fmt.Sprintf(benchPod, "p"))
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		b.Run(media, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.ask(b, http.MethodGet, "/api/v1/namespaces/default/pods/p", media, "")
			}
		})
	}
}

func BenchmarkListPods(b *testing.B) {
	s := serve(b)
	const pods = 10_000
	for i := range pods {
		s.ask(b, http.MethodPost, "/api/v1/namespaces/default/pods", "application/json", fmt.Sprintf(benchPod, fmt.Sprint("p", i)))
	}
	for _, media := range []string{"application/json", "application/vnd.kubernetes.protobuf"} {
		b.Run(media, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.ask(b, http.MethodGet, "/api/v1/pods", media, "")
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/pods, "ns/pod")
		})
	}
}

func BenchmarkPatchPod(b *testing.B) {
	s, n := serve(b), 0
	s.ask(b, http.MethodPost, "/api/v1/namespaces/default/pods", "application/json", fmt.Sprintf(benchPod, "p"))
	b.ReportAllocs()
	for b.Loop() {
		n++
		r := httptest.NewRequest(http.MethodPatch, "/api/v1/namespaces/default/pods/p", strings.NewReader(fmt.Sprintf(`{"metadata":{"labels":{"n":"%d"}}}`, n)))
		r.Header.Set("Content-Type", "application/merge-patch+json")
		w := httptest.NewRecorder()
		s.Config.Handler.ServeHTTP(w, r)
		if w.Code != http.StatusOK {
			b.Fatal(w.Body.String())
		}
	}
}

// BenchmarkCount asks for one object with metrics and without; the difference is what counting costs.
func BenchmarkCount(b *testing.B) {
	for _, metrics := range []*wire.Metrics{nil, wire.NewMetrics()} {
		b.Run(fmt.Sprintf("metrics=%t", metrics != nil), func(b *testing.B) {
			c := apitest.New(b)
			handler := wire.New(wire.Config{
				API: c.API, Authenticator: byHeader, Clock: c.Clock, Log: observe.Discard(), GitVersion: "v1.36.3", Rand: rand.New(rand.NewSource(1)), Metrics: metrics,
			})
			r := httptest.NewRequest(http.MethodGet, "/api/v1/namespaces/default", nil)
			w := httptest.NewRecorder()
			b.ReportAllocs()
			for b.Loop() {
				w.Body.Reset()
				handler.ServeHTTP(w, r)
			}
			if w.Code != http.StatusOK {
				b.Fatal(w.Body.String())
			}
		})
	}
}
