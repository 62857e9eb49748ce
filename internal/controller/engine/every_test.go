package engine_test

import (
	"context"
	"errors"
	"log/slog"
	"math/rand"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// shelf is a catalog that a test changes.
type shelf struct {
	mu      sync.Mutex // guards all below
	list    []*kinds.Kind
	changed chan struct{}
}

func (s *shelf) now() ([]*kinds.Kind, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.list, s.changed
}

func (s *shelf) put(list ...*kinds.Kind) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.changed != nil {
		close(s.changed)
	}
	s.list, s.changed = list, make(chan struct{})
}

// TestKindsComeAndGo: a controller of every resource follows those that are served at the time, and no others.
func TestKindsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		settings, secrets := corev1.SchemeGroupVersion.WithResource("configmaps"), corev1.SchemeGroupVersion.WithResource("secrets")
		kind := func(res client.Resource) *kinds.Kind {
			return &kinds.Kind{GVK: res.GroupVersion().WithKind(res.Resource), Resource: res.Resource, Namespaced: true}
		}
		c, s := controllertest.New(clock.RealClock{}), &shelf{}
		put := func(res client.Resource, name string) {
			t.Helper()
			meta := metav1.ObjectMeta{Namespace: "default", Name: name}
			obj := kinds.Object(&corev1.ConfigMap{ObjectMeta: meta})
			if res == secrets {
				obj = &corev1.Secret{ObjectMeta: meta}
			}
			if _, err := c.Create(t.Context(), res, obj, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		var mu sync.Mutex // guards seen
		var seen []string
		want := func(what string, want ...string) {
			t.Helper()
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			slices.Sort(seen)
			if !slices.Equal(seen, want) {
				t.Errorf("%s: saw %q, want %q", what, seen, want)
			}
			seen = nil
		}
		s.put(kind(settings))
		put(settings, "a")
		put(secrets, "b")
		ctl := engine.Controller{Name: "watcher",
			Every: func(k *kinds.Kind) func(client.View, client.Change) []engine.Key {
				return func(_ client.View, ch client.Change) []engine.Key {
					return []engine.Key{{Resource: k.GVR(), Name: ch.Newest().GetName()}}
				}
			},
			Reconcile: func(_ client.View, k engine.Key, _ time.Time) (engine.Plan, error) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, k.Resource.Resource+" "+k.Name)
				return engine.Plan{}, nil
			}}
		stop := run(t, engine.Config{Clients: func(string) client.Client { return c }, Catalog: s.now}, ctl)
		want("one kind", "configmaps a")
		s.put(kind(settings), kind(secrets)) // the first is another value of the same kind: a new schema
		want("a second comes", "secrets b")
		put(settings, "c")
		put(secrets, "d")
		want("both", "configmaps c", "secrets d")
		s.put(kind(secrets))
		synctest.Wait()
		put(settings, "e")
		put(secrets, "f")
		want("the first goes", "secrets f")
		s.put(kind(settings), kind(secrets))
		want("it comes back", "configmaps a", "configmaps c", "configmaps e")
		stop()
	})
}

// run runs an engine in virtual time and returns what stops it.
func run(t *testing.T, cfg engine.Config, list ...engine.Controller) (stop func()) {
	t.Helper()
	cfg.Clock, cfg.Log, cfg.Rand = clock.RealClock{}, slog.New(slog.DiscardHandler), rand.New(rand.NewSource(1))
	e := engine.New(cfg)
	for _, ctl := range list {
		if err := e.Register(ctl); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("Run: got %v, want canceled", err)
		}
	}
}

// TestFailedPlansComeAgain: a plan that did all it could and still failed is tried again with back-off, not After.
func TestFailedPlansComeAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllertest.New(clock.RealClock{})
		if _, err := c.Create(t.Context(), pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		var at []string
		var began time.Time
		stop := run(t, engine.Config{Clients: func(string) client.Client { return c }}, engine.Controller{
			Name: "unlucky", Workers: 1, RetryMost: 20 * time.Millisecond,
			Inputs: []engine.Input{{Resource: pods, Keys: func(client.View, client.Change) []engine.Key { return []engine.Key{{Name: "p"}} }}},
			Reconcile: func(_ client.View, _ engine.Key, now time.Time) (engine.Plan, error) {
				if began.IsZero() {
					began = now
				}
				at = append(at, now.Sub(began).String())
				if len(at) == 6 {
					return engine.Plan{}, nil
				}
				return engine.Plan{After: time.Hour, Failed: errors.New("not yet")}, nil
			}})
		settle()
		stop()
		if got, want := strings.Join(at, " "), "0s 5ms 15ms 35ms 55ms 75ms"; got != want {
			t.Errorf("tried at %s, want %s", got, want)
		}
	})
}

// TestRegisterRefusals: who may not be registered leaves nothing behind.
func TestRegisterRefusals(t *testing.T) {
	does := func(client.View, engine.Key, time.Time) (engine.Plan, error) { return engine.Plan{}, nil }
	writes := func(name string, res client.Resource, fields ...string) engine.Controller {
		return engine.Controller{Name: name, Outputs: []engine.Output{{Resource: res, Fields: fields}}, Reconcile: does}
	}
	e := engine.New(engine.Config{})
	for _, c := range []engine.Controller{writes("a", pods, "status.phase"), writes("b", engine.Every(), "metadata.finalizers[b]"), writes("c", pods)} {
		if err := e.Register(c); err != nil {
			t.Fatal(err)
		}
	}
	before := e.Graph()
	for what, c := range map[string]engine.Controller{
		"no name":            {Reconcile: does},
		"nothing to do":      {Name: "x"},
		"a name taken":       {Name: "a", Reconcile: does},
		"a whole":            writes("x", pods, "spec", "status"),
		"a part":             writes("x", pods, "status.phase.more"),
		"of every resource":  writes("x", pods, "metadata.finalizers[x,b]"),
		"for every resource": writes("x", engine.Every(), "status"),
	} {
		if err := e.Register(c); err == nil {
			t.Errorf("%s: registered", what)
		}
	}
	if got := e.Graph(); got != before {
		t.Errorf("refused controllers are in the graph:\n%s", got)
	}
	if err := e.Register(writes("x", pods, "metadata.finalizers[x]", "status.conditions")); err != nil {
		t.Errorf("places beside the others: %v", err)
	}
}
