package remote_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/remote"
)

func benchPod(name, node, rev string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", ResourceVersion: rev, Labels: map[string]string{"app": "web"}},
		Spec:       corev1.PodSpec{NodeName: node, Containers: []corev1.Container{{Name: "c", Image: "i:1", Ports: []corev1.ContainerPort{{ContainerPort: 80}}}}},
	}
}

// cpu is the process's time on processors, in nanoseconds.
func cpu(b *testing.B) int64 {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkEvents is the client's part: b.N changes of a thousand pods come from a server that has them ready, with a mark after each, or after many, and a
// reader takes every one as objects.
func BenchmarkEvents(b *testing.B) {
	for _, each := range []int{1, 32} {
		b.Run(fmt.Sprintf("mark-after-%d", each), func(b *testing.B) {
			var frames strings.Builder
			for i := range b.N {
				rev := fmt.Sprint(i + 10)
				frames.WriteString(frame("MODIFIED", benchPod(fmt.Sprint("p", i%1000), fmt.Sprint("n", i%7), rev)))
				if (i+1)%each == 0 || i == b.N-1 {
					frames.WriteString(mark(rev))
				}
			}
			text := frames.String()
			begin := make(chan struct{})
			server := httptest.NewServer(&script{steps: []step{say(mark("5")), func(w io.Writer, ctx context.Context) {
				<-begin
				_, _ = io.WriteString(w, text)
				w.(http.Flusher).Flush()
				<-ctx.Done()
			}}})
			b.Cleanup(server.Close)
			cfg := config(b, server, "admin", auth.Masters)
			cfg.Views, cfg.RingBytes = remote.Everything(pods), 1<<30
			c := start(b, cfg)
			deliver(b, c, 5, func() { close(begin) })
		})
	}
}

// deliver reads b.N changes of pods after a revision.
func deliver(b *testing.B, c client.Client, after uint64, begin func()) {
	b.Helper()
	if _, err := c.View(b.Context()); err != nil {
		b.Fatal(err)
	}
	stream, err := c.Watch(b.Context(), pods, after, "", "")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	used := cpu(b)
	begin()
	for range b.N {
		if _, err := stream.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-used)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkEventsOfWrites is all of it: pods are created in the API, and come through the joint watch over TLS and HTTP/2 to a reader.
func BenchmarkEventsOfWrites(b *testing.B) {
	s := serve(b)
	cfg := config(b, s.Server, "admin", auth.Masters)
	cfg.Views, cfg.RingBytes = remote.Everything(pods, configMaps), 0
	c := start(b, cfg)
	view, err := c.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	req := api.Request{User: auth.User{Name: "admin", Groups: []string{auth.Masters}}, Kind: s.API.Kind(pods), Namespace: "default"}
	deliver(b, c, view.Revision(), func() {
		const writers = 32
		for i := range writers {
			go func() {
				for n := i; n < b.N; n += writers {
					if _, err := s.API.Create(b.Context(), req, benchPod(fmt.Sprint("p", n), "", ""), metav1.CreateOptions{}); err != nil {
						b.Error(err)
						return
					}
				}
			}()
		}
	})
}

// BenchmarkLookup reads the pods of one node in a view of ten thousand pods on a hundred nodes.
func BenchmarkLookup(b *testing.B) {
	const many, nodes = 10_000, 100
	var frames strings.Builder
	for i := range many {
		frames.WriteString(frame("ADDED", benchPod(fmt.Sprint("p", i), fmt.Sprint("n", i%nodes), fmt.Sprint(i+1))))
	}
	frames.WriteString(mark(fmt.Sprint(many)))
	server := httptest.NewServer(&script{steps: []step{say(frames.String())}})
	b.Cleanup(server.Close)
	cfg := config(b, server, "admin", auth.Masters)
	cfg.Views = remote.Everything(pods)
	view, err := start(b, cfg).View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("get", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if view.Get(pods, "default", "p77") == nil {
				b.Fatal("it is not there")
			}
		}
	})
	b.Run("pods-of-a-node", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			n := 0
			for range view.Lookup(pods, "spec.nodeName", "n7") {
				n++
			}
			if n != many/nodes {
				b.Fatalf("%d pods", n)
			}
		}
	})
}

// BenchmarkBind binds b.N pods by the hundred over HTTP/2.
func BenchmarkBind(b *testing.B) {
	s := serve(b)
	c := start(b, config(b, s.Server, "admin", auth.Masters))
	req := api.Request{User: auth.User{Name: "admin", Groups: []string{auth.Masters}}, Kind: s.API.Kind(pods), Namespace: "default"}
	bindings := make([]*corev1.Binding, b.N)
	for i := range bindings {
		name := fmt.Sprint("p", i)
		if _, err := s.API.Create(b.Context(), req, benchPod(name, "", ""), metav1.CreateOptions{}); err != nil {
			b.Fatal(err)
		}
		bindings[i] = &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Target: corev1.ObjectReference{Kind: "Node", Name: "one"}}
	}
	b.ReportAllocs()
	b.ResetTimer()
	used := cpu(b)
	for _, err := range c.Bind(b.Context(), bindings) {
		if err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-used)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "bindings/s")
}
