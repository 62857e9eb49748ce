package engine_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/deployment"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/garbage"
	"github.com/floe-k8s/floe/internal/controller/namespace"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	sets        = appsv1.SchemeGroupVersion.WithResource("replicasets")
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	namespaces  = corev1.SchemeGroupVersion.WithResource("namespaces")
	events      = corev1.SchemeGroupVersion.WithResource("events")
)

func controllers() []engine.Controller {
	return []engine.Controller{deployment.New(), replicaset.New(), garbage.New(catalog, nil), namespace.New(catalog)}
}

func catalog() ([]*kinds.Kind, <-chan struct{}) { return allKinds(), nil }

var allKinds = sync.OnceValue(all.Kinds)

// start runs an engine over c in a synctest bubble and returns what stops it.
func start(t *testing.T, c client.Client, list ...engine.Controller) (stop func()) {
	t.Helper()
	return run(t, engine.Config{Clients: func(string) client.Client { return c }, Catalog: catalog}, list...)
}

func web(replicas int32) *appsv1.Deployment {
	l := map[string]string{"app": "web"}
	return &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{Replicas: &replicas,
		Selector: &metav1.LabelSelector{MatchLabels: l}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l}}}}
}

func count(c *controllertest.Cluster, res client.Resource) int {
	v, _ := c.View(context.Background())
	n := 0
	for range v.List(res, "") {
		n++
	}
	return n
}

func TestDeploymentToPodsAndBack(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationBackground, metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		synctest.Test(t, func(t *testing.T) {
			c := controllertest.New(clock.RealClock{})
			defer start(t, c, controllers()...)()
			if _, err := c.Create(t.Context(), deployments, web(3), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			settle()
			if n := count(c, pods); n != 3 {
				t.Fatalf("%s: %d pods, want 3", policy, n)
			}
			if !slices.ContainsFunc(c.Causes(), func(s string) bool { return len(s) > 22 && s[:22] == "deployment default/web" }) {
				t.Errorf("no write names the deployment as its cause: %q", c.Causes())
			}
			if _, err := c.Delete(t.Context(), deployments, "default", "web", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
				t.Fatal(err)
			}
			settle()
			want := [3]int{}
			if policy == metav1.DeletePropagationOrphan {
				want = [3]int{0, 1, 3}
			}
			if got := [3]int{count(c, deployments), count(c, sets), count(c, pods)}; got != want {
				t.Errorf("%s: left %v, want %v", policy, got, want)
			}
		})
	}
}

// settle lets everything that is due within a minute happen, in virtual time.
func settle() {
	timer := clock.RealClock{}.NewTimer(time.Minute)
	<-timer.C()
	synctest.Wait()
}

// TestStoppedAtEveryWrite: controllers that stop for good at their n-th write, for each n in turn, leave nothing half done for those that begin anew.
func TestStoppedAtEveryWrite(t *testing.T) {
	for _, policy := range []metav1.DeletionPropagation{metav1.DeletePropagationForeground, metav1.DeletePropagationOrphan} {
		for n, done := 1, false; !done; n++ {
			synctest.Test(t, func(t *testing.T) { done = stoppedAt(t, n, policy) })
		}
	}
}

// stoppedAt says whether there were fewer than n writes.
func stoppedAt(t *testing.T, n int, policy metav1.DeletionPropagation) bool {
	c, writes := controllertest.New(clock.RealClock{}), 0
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}}
	if _, err := c.Create(t.Context(), namespaces, ns, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Create(t.Context(), deployments, web(3), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	stop := start(t, c, controllers()...)
	settle()
	c.Fail(func(string, client.Resource, kinds.Object) error {
		if writes++; writes > n { // the first is the test's own
			return errors.New("the process is gone")
		}
		return nil
	})
	if _, err := c.Delete(t.Context(), deployments, "default", "web", metav1.DeleteOptions{PropagationPolicy: &policy}); err != nil {
		t.Fatal(err)
	}
	settle()
	stop()
	few := writes <= n
	c.Fail(nil)
	stop = start(t, c, controllers()...)
	settle()
	want := map[metav1.DeletionPropagation][3]int{metav1.DeletePropagationOrphan: {0, 1, 3}}[policy]
	if got := [3]int{count(c, deployments), count(c, sets), count(c, pods)}; got != want {
		t.Errorf("%s, stopped at write %d: left %v, want %v", policy, n, got, want)
	}
	if _, err := c.Delete(t.Context(), namespaces, "", "default", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	settle()
	stop()
	if left := count(c, namespaces) + count(c, sets) + count(c, pods); left != 0 {
		t.Errorf("%s, stopped at write %d: %d left of the namespace", policy, n, left)
	}
	return few
}

func TestNamespaceEmpties(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllertest.New(clock.RealClock{})
		defer start(t, c, controllers()...)()
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "default"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}}
		for res, obj := range map[client.Resource]kinds.Object{namespaces: ns, pods: &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Finalizers: []string{"x/y"}}}} {
			if _, err := c.Create(t.Context(), res, obj, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Delete(t.Context(), namespaces, "", "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		obj, err := c.Get(t.Context(), namespaces, "", "default")
		if err != nil {
			t.Fatalf("namespace went before its pod: %v", err)
		}
		got := map[corev1.NamespaceConditionType]string{}
		for _, cond := range obj.(*corev1.Namespace).Status.Conditions {
			got[cond.Type] = cond.Message
		}
		if want := "Some resources are remaining: pods. has 1 resource instances"; got[corev1.NamespaceContentRemaining] != want {
			t.Errorf("got %q, want %q", got[corev1.NamespaceContentRemaining], want)
		}
		pod, _ := c.Get(t.Context(), pods, "default", "p")
		free := pod.(*corev1.Pod).DeepCopy()
		free.Finalizers = nil
		if _, err := c.Update(t.Context(), pods, free, ""); err != nil {
			t.Fatal(err)
		}
		settle()
		if n := count(c, namespaces); n != 0 {
			t.Errorf("namespace is still there")
		}
	})
}

func TestExpiryRetryAndEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllertest.New(clock.RealClock{})
		defer start(t, c, controllers()...)()
		failures := 0
		c.Fail(func(verb string, res client.Resource, _ kinds.Object) error {
			if verb == "create" && res == pods && failures < 4 {
				failures++
				return fmt.Errorf("no luck")
			}
			return nil
		})
		settle()
		c.Expire()
		if _, err := c.Create(t.Context(), deployments, web(2), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		if n := count(c, pods); n != 2 || failures != 4 {
			t.Errorf("%d pods after %d failures, want 2 after 4", n, failures)
		}
		v, _ := c.View(t.Context())
		counted := map[string]int32{}
		for obj := range v.List(events, "") {
			counted[obj.(*corev1.Event).Message] += obj.(*corev1.Event).Count
		}
		if counted["Error creating: no luck"] != 4 {
			t.Errorf("events: %v, want 4 times Error creating", counted)
		}
	})
}

// TestFailureEvents: of a plan that fails its events for that are recorded, with what was to be stored, and not those for its success.
func TestFailureEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := controllertest.New(clock.RealClock{})
		c.Fail(func(verb string, res client.Resource, _ kinds.Object) error {
			if verb == "create" && res == pods {
				return fmt.Errorf("no luck")
			}
			return nil
		})
		about := engine.Refer("apps/v1", "Deployment", web(1))
		ctl := engine.Controller{Name: "unlucky", Component: "unlucky", Workers: 1, Outputs: []engine.Output{{Resource: pods}},
			Inputs: []engine.Input{{Resource: deployments, Keys: func(_ client.View, c client.Change) []engine.Key {
				return []engine.Key{{Resource: deployments, Namespace: c.New.GetNamespace(), Name: c.New.GetName()}}
			}}},
			Reconcile: func(client.View, engine.Key, time.Time) (engine.Plan, error) {
				one := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "one"}}
				return engine.Plan{
					Writes: []engine.Write{engine.NewCreate(pods, one)},
					Events: []engine.Event{{About: about, Type: "Normal", Reason: "Done", Message: "done"}},
					FailureEvents: func(err error) (list []engine.Event) {
						for _, e := range engine.WriteErrors(err) {
							list = append(list, engine.Event{About: about, Type: "Warning", Reason: "Failed", Message: e.Object.GetName() + ": " + e.Err.Error()})
						}
						return list
					},
				}, nil
			}}
		defer start(t, c, ctl)()
		if _, err := c.Create(t.Context(), deployments, web(1), metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		v, _ := c.View(t.Context())
		seen := map[string]bool{}
		for obj := range v.List(events, "") {
			seen[obj.(*corev1.Event).Message] = true
		}
		if !seen["one: no luck"] || seen["done"] {
			t.Errorf("events %v", seen)
		}
	})
}

// lagging is an API whose views stand still until show is called.
type lagging struct {
	*controllertest.Cluster
	mu        sync.Mutex // guards all below
	seen      client.View
	deletions int
}

func (l *lagging) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seen, _ = l.Cluster.View(context.Background())
}

func (l *lagging) View(context.Context) (client.View, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.seen, nil
}

func (l *lagging) Delete(ctx context.Context, res client.Resource, namespace, name string, opts metav1.DeleteOptions) (uint64, error) {
	l.mu.Lock()
	l.deletions++
	l.mu.Unlock()
	return l.Cluster.Delete(ctx, res, namespace, name, opts)
}

// TestOwnDeletionsAreWaitedFor: what a view does not show as deleted yet is not deleted twice. A finalizer holds the pod, so that nobody would notice.
func TestOwnDeletionsAreWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := &lagging{Cluster: controllertest.New(clock.RealClock{})}
		if _, err := api.Create(t.Context(), pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "p", Finalizers: []string{"x/y"}}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		api.show()
		looks := 0
		defer start(t, api, engine.Controller{
			Name: "reaper", Workers: 1,
			Inputs: []engine.Input{{Resource: pods, Keys: func(_ client.View, c client.Change) []engine.Key {
				return []engine.Key{{Resource: pods, Namespace: "default", Name: "p"}}
			}}},
			Outputs: []engine.Output{{Resource: pods}},
			Reconcile: func(view client.View, _ engine.Key, _ time.Time) (engine.Plan, error) {
				looks++
				// Each deletion is a change that wakes the key, so an engine that does not wait would go on for ever.
				if pod := view.Get(pods, "default", "p"); pod.GetDeletionTimestamp() == nil && looks < 10 {
					return engine.Plan{Writes: []engine.Write{engine.NewDelete(pods, pod, "")}, After: time.Second}, nil
				}
				return engine.Plan{}, nil
			},
		})()
		settle()
		if api.deletions != 1 || looks != 1 {
			t.Errorf("in a view that lags: %d looks and %d deletions, want one of each", looks, api.deletions)
		}
		api.show()
		settle()
		if api.deletions != 1 || looks != 2 {
			t.Errorf("when the view shows it: %d looks and %d deletions, want 2 and 1", looks, api.deletions)
		}
	})
}

func TestRegisterRefusesSecondOwner(t *testing.T) {
	e := engine.New(engine.Config{Rand: rand.New(rand.NewSource(1))})
	if err := e.Register(replicaset.New()); err != nil {
		t.Fatal(err)
	}
	if err := e.Register(replicaset.New()); !errors.Is(err, engine.ErrOutputTaken) {
		t.Errorf("got %v, want ErrOutputTaken", err)
	}
	want := "replicaset reads pods\nreplicaset reads replicasets.apps\nreplicaset writes pods metadata.ownerReferences[ReplicaSet]\nreplicaset writes replicasets.apps status\n"
	if got := e.Graph(); got != want {
		t.Errorf("graph:\n%swant\n%s", got, want)
	}
}
