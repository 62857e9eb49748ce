package custom_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/admission/webhook/reach"
	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/api/custom"
	"github.com/floe-k8s/floe/internal/observe"
)

// many is how many definitions there are at most in one cluster that floe is measured with.
const many = 1000

// large is the n-th definition of many, with a schema of about as much text as the median of cert-manager's, Cluster API's and the Prometheus operator's.
func large(n int) string {
	var fields strings.Builder
	for i := range 150 {
		fmt.Fprintf(&fields, "              field%d: {type: object, description: %q, properties: {a: {type: string, default: x}, b: {type: array, items: {type: string}}, c: {type: integer, minimum: 0}}}\n",
			i, strings.Repeat("What this field is for is said at length. ", 4))
	}
	return fmt.Sprintf(`
metadata: {name: things%[1]d.g%[2]d.example.com}
spec:
  group: g%[2]d.example.com
  scope: Namespaced
  names: {plural: things%[1]d, kind: Thing%[1]d, shortNames: [th%[1]d]}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    additionalPrinterColumns: [{name: A, type: string, jsonPath: .spec.field0.a}]
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties:
%[3]s`, n, n%50, fields.String())
}

// TestServedBeforeEstablished asks for objects of many definitions in the moment in which each says that it is established.
func TestServedBeforeEstablished(t *testing.T) {
	s := serve(t)
	for i := range 50 {
		text := fmt.Sprintf(`
metadata: {name: things%[1]d.example.com}
spec:
  group: example.com
  scope: Cluster
  names: {plural: things%[1]d, kind: Thing%[1]d}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]`, i)
		if err := define(t, s.Cluster, text, established); err != nil {
			t.Fatal(err)
		}
		for _, path := range [...]string{fmt.Sprintf("/apis/example.com/v1/things%d", i), "/apis/example.com/v1"} {
			if got := s.show(t, "GET "+path); !strings.HasPrefix(got, "200") || !strings.Contains(got, fmt.Sprintf("Thing%d", i)) {
				t.Fatalf("%s: %s", path, got)
			}
		}
	}
}

// BenchmarkManyDefinitions makes many large definitions, one after the other, and says how long each takes until it is served, what all of them take of the
// heap (with the test's log, which lies in memory, and the events that are kept for watchers), what their text takes in the table, what serving them takes
// besides, and how long a write of another kind takes before and after.
func BenchmarkManyDefinitions(b *testing.B) {
	for range b.N {
		b.StopTimer()
		s := serve(b)
		before, alone := heap(), writes(b, s)
		took := timed(b, func() {
			for i := range many {
				if err := define(b, s.Cluster, large(i), established); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.ReportMetric(float64(took.Microseconds())/many, "µs/definition")
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-with-log-and-events")
		before = heap()
		again := custom.New(custom.Config{API: s.API, User: apitest.Administrator(), Clock: s.Clock, Log: observe.Discard(), Webhooks: reach.Means{Resolve: nowhere}})
		if err := again.Load(); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(heap()-before)/(1<<20), "MiB-served")
		size := 0
		for item := range s.API.Store.Snapshot().Ascend("/registry/apiextensions.k8s.io/", "") {
			size += item.Size()
		}
		b.ReportMetric(float64(size)/(1<<20), "MiB-stored")
		runtime.KeepAlive(again)
		b.ReportMetric(alone, "ns/write-before")
		b.ReportMetric(writes(b, s), "ns/write-after")
		if got := s.show(b, "GET /apis/g7.example.com/v1"); !strings.HasPrefix(got, "200") {
			b.Fatal(got)
		}
		b.StartTimer()
	}
}

// TestDefinitionsCostOthersNothing makes an object of another kind with one definition there and with two hundred: it takes as many pieces of memory.
func TestDefinitionsCostOthersNothing(t *testing.T) {
	s := serve(t)
	defineUpTo := func(from, to int) {
		for i := from; i < to; i++ {
			text := fmt.Sprintf(`
metadata: {name: things%[1]d.g%[2]d.example.com}
spec:
  group: g%[2]d.example.com
  scope: Namespaced
  names: {plural: things%[1]d, kind: Thing%[1]d}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object}}}]`, i, i%20)
			if err := define(t, s.Cluster, text, established); err != nil {
				t.Fatal(err)
			}
		}
	}
	req := api.Request{User: apitest.Administrator(), Namespace: "default", Kind: s.API.Kind(corev1.SchemeGroupVersion.WithResource("configmaps"))}
	cost := func() float64 {
		return testing.AllocsPerRun(400, func() {
			obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x"}, Data: map[string]string{"a": "b"}}
			if _, err := s.API.Create(t.Context(), req, obj, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		})
	}
	defineUpTo(0, 1)
	cost() // what is made once
	few := cost()
	defineUpTo(1, 200)
	if much := cost(); much > few+8 {
		t.Errorf("a write of another kind allocates %.0f times with one definition, %.0f times with two hundred", few, much)
	}
}

// timed is how long f takes. The benchmark's clock stands still before and after.
func timed(b *testing.B, f func()) time.Duration {
	before := b.Elapsed()
	b.StartTimer()
	f()
	b.StopTimer()
	return b.Elapsed() - before
}

// heap is what is live, in bytes.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// writes is how long a write of a kind takes that floe is built with, in nanoseconds.
func writes(b *testing.B, s *served) float64 {
	req := api.Request{User: apitest.Administrator(), Namespace: "default", Kind: s.API.Kind(corev1.SchemeGroupVersion.WithResource("configmaps"))}
	const rounds = 2000
	took := timed(b, func() {
		for range rounds {
			obj := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "x"}, Data: map[string]string{"a": "b"}}
			if _, err := s.API.Create(b.Context(), req, obj, metav1.CreateOptions{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	return float64(took.Nanoseconds()) / rounds
}
