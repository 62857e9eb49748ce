package remote_test

import (
	"context"
	"fmt"
	"math/rand"
	"net/http"
	"strconv"
	"sync"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/api"
	"github.com/floe-k8s/floe/internal/api/joint"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client/remote"
)

// breaking is a server whose joint watches break after some bytes, wherever that is.
type breaking struct {
	http.Handler
	mu     sync.Mutex
	rand   *rand.Rand // guarded by mu
	broken int        // guarded by mu
}

type breakingWriter struct {
	http.ResponseWriter
	left int
}

func (b *breaking) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == joint.Path {
		b.mu.Lock()
		w = &breakingWriter{w, 20 + b.rand.Intn(4000)}
		b.broken++
		b.mu.Unlock()
	}
	b.Handler.ServeHTTP(w, r)
}

func (w *breakingWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *breakingWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	_, _ = w.ResponseWriter.Write(p[:w.left])
	_ = http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// TestNothingIsLostUnderTrouble: whatever breaks, and wherever, a stream has every change once and in order, with the version before, and views go
// forward only.
func TestNothingIsLostUnderTrouble(t *testing.T) {
	const writers, writes = 4, 100
	ahead := make(chan struct{}, 8) // of the reader: what stands between two marks must come through whole
	seed := int64(len(t.Name()))
	s := serve(t)
	trouble := &breaking{Handler: s.Config.Handler, rand: rand.New(rand.NewSource(seed))}
	s.Config.Handler = trouble
	cfg := config(t, s.Server, "admin", auth.Masters)
	cfg.Views, cfg.RingBytes = remote.Everything(configMaps, pods), 0
	c := start(t, cfg)
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(t.Context(), configMaps, view.Revision(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	defer all.Wait()
	ctx, end := context.WithCancel(t.Context())
	defer end() // before the writers are waited for
	for i := range writers {
		all.Go(func() {
			req := api.Request{User: auth.User{Name: "admin", Groups: []string{auth.Masters}}, Kind: s.API.Kind(configMaps), Namespace: "default"}
			m := configMap(fmt.Sprint("w", i))
			for n := range writes {
				select {
				case ahead <- struct{}{}:
				case <-ctx.Done():
					return
				}
				var err error
				m.Data = map[string]string{"n": strconv.Itoa(n)}
				req.Name = ""
				if n == 0 {
					_, err = s.API.Create(ctx, req, m, metav1.CreateOptions{})
				} else {
					req.Name = m.Name
					_, err = s.API.Update(ctx, req, m, metav1.UpdateOptions{})
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	last, was := uint64(0), map[string]string{}
	for range writers * writes {
		change, err := stream.Next(t.Context())
		<-ahead
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		name, before := change.New.GetName(), ""
		if change.Old != nil {
			before = change.Old.GetResourceVersion()
		}
		if change.Revision <= last || before != was[name] || change.New.GetResourceVersion() != version(change.Revision) {
			t.Fatalf("seed %d: %s at %d of %q after %d of %q", seed, name, change.Revision, before, last, was[name])
		}
		last, was[name] = change.Revision, version(change.Revision)
		if now, err := c.View(t.Context()); err != nil || now.Revision() < max(last, view.Revision()) {
			t.Fatalf("seed %d: a view at %d after one at %d and a change at %d (%v)", seed, now.Revision(), view.Revision(), last, err)
		} else {
			view = now
		}
	}
	trouble.mu.Lock()
	defer trouble.mu.Unlock()
	if trouble.broken < 5 {
		t.Errorf("seed %d: only %d watches were needed", seed, trouble.broken)
	}
}
