package engine_test

import (
	"context"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/kinds"
)

// remembering is an API that knows which of the views that it gave out are still held.
type remembering struct {
	*controllertest.Cluster
	mu    sync.Mutex // guards all below
	given []weak.Pointer[given]
}

type given struct{ client.View }

func (r *remembering) View(ctx context.Context) (client.View, error) {
	v, err := r.Cluster.View(ctx)
	g := &given{v}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.given = append(r.given, weak.Make(g))
	return g, err
}

// held returns how many views there were, and how many of them are not garbage.
func (r *remembering) held() (all, held int) {
	runtime.GC()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, g := range r.given {
		if g.Value() != nil {
			held++
		}
	}
	return len(r.given), held
}

// TestNoViewIsHeldAtRest: a view keeps every version alive that has been replaced since, so what waits for a change holds none; neither what follows an
// input, nor what follows a kind that came later, nor what follows the catalog.
func TestNoViewIsHeldAtRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kind := func(name string) *kinds.Kind {
			return &kinds.Kind{GVK: corev1.SchemeGroupVersion.WithKind(name), Resource: name, Namespaced: true}
		}
		keys := func(_ client.View, c client.Change) []engine.Key {
			return []engine.Key{{Resource: pods, Name: c.Newest().GetName()}}
		}
		api, s := &remembering{Cluster: controllertest.New(clock.RealClock{})}, &shelf{}
		s.put(kind("configmaps"))
		defer run(t, engine.Config{Clients: func(string) client.Client { return api }, Catalog: s.now}, engine.Controller{
			Name: "watcher", Workers: 2, Inputs: []engine.Input{{Resource: pods, Keys: keys}},
			Every:     func(*kinds.Kind) func(client.View, client.Change) []engine.Key { return keys },
			Reconcile: func(client.View, engine.Key, time.Time) (engine.Plan, error) { return engine.Plan{}, nil },
		})()
		synctest.Wait()
		s.put(kind("configmaps"), kind("secrets"))
		synctest.Wait()
		if _, err := api.Create(t.Context(), pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if all, held := api.held(); all < 3 || held != 0 {
			t.Errorf("of %d views %d are held, want none of three or more", all, held)
		}
	})
}
