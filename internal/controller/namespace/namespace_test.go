package namespace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiregistrationv1 "k8s.io/kube-aggregator/pkg/apis/apiregistration/v1"

	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/namespace"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	spaces   = corev1.SchemeGroupVersion.WithResource("namespaces")
	pods     = corev1.SchemeGroupVersion.WithResource("pods")
	settings = corev1.SchemeGroupVersion.WithResource("configmaps")
	services = apiregistrationv1.SchemeGroupVersion.WithResource("apiservices")
)

// clock is stepped by hand.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time                  { return c.now }
func (c *clock) Since(t time.Time) time.Duration { return c.now.Sub(t) }

// bed is a cluster with a namespace that is to go.
type bed struct {
	*controllertest.Cluster
	t     *testing.T
	clock *clock
	ctl   engine.Controller
}

func newBed(t *testing.T) *bed {
	c := &clock{time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	served := all.Kinds()
	b := &bed{controllertest.New(c), t, c, namespace.New(func() ([]*kinds.Kind, <-chan struct{}) { return served, nil })}
	b.put(spaces, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{"kubernetes"}}})
	return b
}

func (b *bed) put(res client.Resource, obj kinds.Object) {
	b.t.Helper()
	if _, err := b.Create(b.t.Context(), res, obj, metav1.CreateOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bed) end() {
	b.t.Helper()
	if _, err := b.Delete(b.t.Context(), spaces, "", "n", metav1.DeleteOptions{}); err != nil {
		b.t.Fatal(err)
	}
}

// round reconciles until nothing is written, and returns the last plan.
func (b *bed) round() engine.Plan {
	b.t.Helper()
	key := engine.Key{Resource: spaces, Name: "n"}
	for range 20 {
		_, wrote, err := controllertest.Step(b.t.Context(), b, b.ctl, key, b.clock.now)
		if err != nil {
			b.t.Fatal(err)
		}
		if !wrote {
			view, err := b.View(b.t.Context())
			if err != nil {
				b.t.Fatal(err)
			}
			plan, err := b.ctl.Reconcile(view, key, b.clock.now)
			if err != nil {
				b.t.Fatal(err)
			}
			return plan
		}
	}
	b.t.Fatal("the namespace is written without end")
	return engine.Plan{}
}

// conditions of the namespace, a line each, or that it is gone.
func (b *bed) conditions() string {
	obj, err := b.Get(b.t.Context(), spaces, "", "n")
	if err != nil {
		return "gone"
	}
	var lines []string
	for _, c := range obj.(*corev1.Namespace).Status.Conditions {
		lines = append(lines, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
	}
	return strings.Join(lines, "\n")
}

func (b *bed) want(what, want string) {
	b.t.Helper()
	if got := b.conditions(); got != want {
		b.t.Errorf("%s: got\n%s\nwant\n%s", what, got, want)
	}
}

const (
	discovered = "NamespaceDeletionDiscoveryFailure False ResourcesDiscovered: All resources successfully discovered\n" +
		"NamespaceDeletionGroupVersionParsingFailure False ParsedGroupVersions: All legacy kube types successfully parsed\n"
	deleted   = "NamespaceDeletionContentFailure False ContentDeleted: All content successfully deleted, may be waiting on finalization\n"
	removed   = "NamespaceContentRemaining False ContentRemoved: All content successfully removed\n"
	finalized = "NamespaceFinalizersRemaining False ContentHasNoFinalizers: All content-preserving finalizers finished"
)

func held(ns, name string, finalizers ...string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: ns, Name: name, Finalizers: finalizers}
}

// TestPodsGoFirst: with what they use still there; then all else goes, and the namespace with it. Conditions are upstream's, word for word.
func TestPodsGoFirst(t *testing.T) {
	b := newBed(t)
	grace := int64(60)
	b.put(pods, &corev1.Pod{ObjectMeta: held("n", "p", "example.com/a"), Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}})
	b.put(settings, &corev1.ConfigMap{ObjectMeta: held("n", "c", "example.com/a", "example.com/b")})
	b.put(settings, &corev1.ConfigMap{ObjectMeta: held("other", "c")})
	b.end()
	plan := b.round()
	b.want("while the pod ends", discovered+deleted+"NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: pods. has 1 resource instances\n"+
		"NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/a in 1 resource instances")
	if plan.After != 31*time.Second || plan.Failed != nil || plan.Waiting == "" {
		t.Errorf("next look after %s, failed %v, waiting for %q: want 31s, half the grace period and a second", plan.After, plan.Failed, plan.Waiting)
	}
	if c, err := b.Get(t.Context(), settings, "n", "c"); err != nil || c.GetDeletionTimestamp() != nil {
		t.Errorf("what the pod uses was deleted before it: %v %v", c, err)
	}
	b.free(pods, "p")
	if plan := b.round(); plan.After != 8500*time.Millisecond {
		t.Errorf("next look after %s, want 8.5s: half of what finalizers take and a second", plan.After)
	}
	b.want("then", discovered+deleted+"NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 1 resource instances\n"+
		"NamespaceFinalizersRemaining True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: "+
		"example.com/a in 1 resource instances, example.com/b in 1 resource instances")
	b.free(settings, "c")
	b.round()
	b.want("at last", "gone")
	if _, err := b.Get(t.Context(), settings, "other", "c"); err != nil {
		t.Errorf("another namespace's content: %v", err)
	}
}

func (b *bed) free(res client.Resource, name string) {
	b.t.Helper()
	obj, err := b.Get(b.t.Context(), res, "n", name)
	if err != nil {
		b.t.Fatal(err)
	}
	next := obj.DeepCopyObject().(kinds.Object)
	next.SetFinalizers(nil)
	if _, err := b.Update(b.t.Context(), res, next, ""); err != nil {
		b.t.Fatal(err)
	}
}

// TestDiscoveryFailure: while a registered API does not answer nobody knows what the namespace holds, so it stays.
func TestDiscoveryFailure(t *testing.T) {
	b := newBed(t)
	available := func(s apiregistrationv1.ConditionStatus) apiregistrationv1.APIServiceStatus {
		return apiregistrationv1.APIServiceStatus{Conditions: []apiregistrationv1.APIServiceCondition{{Type: apiregistrationv1.Available, Status: s}}}
	}
	for name, s := range map[string]apiregistrationv1.ConditionStatus{"v1.up.example.com": "True", "v1.down.example.com": "False", "v1.dark.example.com": "Unknown"} {
		b.put(services, &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: available(s), Spec: apiregistrationv1.APIServiceSpec{
			Group: strings.TrimPrefix(name, "v1."), Version: "v1", Service: &apiregistrationv1.ServiceReference{Namespace: "x", Name: "y"}}})
	}
	b.put(services, &apiregistrationv1.APIService{ObjectMeta: metav1.ObjectMeta{Name: "v1.local"}, Spec: apiregistrationv1.APIServiceSpec{Group: "local", Version: "v1"}})
	b.put(settings, &corev1.ConfigMap{ObjectMeta: held("n", "c")})
	b.end()
	plan := b.round()
	b.want("while it does not answer", "NamespaceDeletionDiscoveryFailure True DiscoveryFailed: Discovery failed for some groups, 2 failing: "+
		"unable to retrieve the complete list of server APIs: dark.example.com/v1: stale GroupVersion discovery: dark.example.com/v1, "+
		"down.example.com/v1: stale GroupVersion discovery: down.example.com/v1\n"+discovered[strings.Index(discovered, "\n")+1:]+deleted+removed+finalized)
	if plan.Failed == nil {
		t.Error("want it tried again with back-off")
	}
	for _, name := range []string{"v1.down.example.com", "v1.dark.example.com"} {
		if _, err := b.Delete(t.Context(), services, "", name, metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	b.round()
	b.want("when it is no longer registered", "gone")
}

// TestFinalConditions: who holds the namespace besides sees in the end that all content is gone.
func TestFinalConditions(t *testing.T) {
	b := newBed(t)
	obj, err := b.Get(t.Context(), spaces, "", "n")
	if err != nil {
		t.Fatal(err)
	}
	ns := obj.(*corev1.Namespace).DeepCopy()
	ns.Spec.Finalizers = append(ns.Spec.Finalizers, "example.com/mine")
	if _, err := b.Update(t.Context(), spaces, ns, "finalize"); err != nil {
		t.Fatal(err)
	}
	b.end()
	b.round()
	b.want("held by another", discovered+deleted+removed+finalized)
	obj, err = b.Get(t.Context(), spaces, "", "n")
	if err != nil || !slices.Equal(obj.(*corev1.Namespace).Spec.Finalizers, []corev1.FinalizerName{"example.com/mine"}) {
		t.Errorf("finalizers of %v (%v), want the other's", obj, err)
	}
}

// TestContentFailure: what a deletion answers is told, once for each resource; so is content that is still there for no reason.
func TestContentFailure(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"c1", "c2"} {
		b.put(settings, &corev1.ConfigMap{ObjectMeta: held("n", name)})
	}
	b.end()
	view, err := b.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.ctl.Reconcile(view, engine.Key{Resource: spaces, Name: "n"}, b.clock.now)
	if err != nil || len(plan.Writes) != 2 {
		t.Fatalf("plan %+v, %v: want two deletions", plan, err)
	}
	no := func(text string) error {
		return &engine.WriteError{Verb: "delete", Resource: settings, Err: errors.New(text)}
	}
	b.write(plan.OnFailure(errors.Join(no("webhook says no"), no("and again"))))
	remaining := "NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: configmaps. has 2 resource instances\n"
	b.want("refused", discovered+"NamespaceDeletionContentFailure True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: webhook says no\n"+remaining+finalized)

	b = newBed(t)
	grace := int64(30)
	pod := &corev1.Pod{ObjectMeta: held("n", "p"), Spec: corev1.PodSpec{TerminationGracePeriodSeconds: &grace}}
	at := metav1.NewTime(b.clock.now)
	pod.DeletionTimestamp, pod.DeletionGracePeriodSeconds = &at, &grace
	b.put(pods, pod)
	b.end()
	if plan := b.round(); plan.Failed != nil || plan.After != 16*time.Second {
		t.Errorf("within its grace period: failed %v, next look after %s; want 16s", plan.Failed, plan.After)
	}
	b.clock.now = b.clock.now.Add(31 * time.Second)
	if plan := b.round(); plan.Failed == nil {
		t.Error("after its grace period: want it tried again with back-off")
	}
	b.want("a pod that does not end", discovered+"NamespaceDeletionContentFailure True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: "+
		"unexpected items still remain in namespace: n for gvr: /v1, Resource=pods\n"+
		"NamespaceContentRemaining True SomeResourcesRemain: Some resources are remaining: pods. has 1 resource instances\n"+finalized)
}

func (b *bed) write(writes []engine.Write) {
	b.t.Helper()
	for _, w := range writes {
		if _, err := b.Update(context.Background(), w.Resource, w.Object, w.Subresource); err != nil {
			b.t.Fatal(err)
		}
	}
}

// TestRoundsAreBounded: a namespace with much in it is emptied a thousand objects at a time.
func TestRoundsAreBounded(t *testing.T) {
	b := newBed(t)
	for n := range 1200 {
		b.put(settings, &corev1.ConfigMap{ObjectMeta: held("n", fmt.Sprint(n))})
	}
	b.end()
	view, err := b.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := b.ctl.Reconcile(view, engine.Key{Resource: spaces, Name: "n"}, b.clock.now)
	if err != nil || len(plan.Writes) != 1000 || plan.After == 0 {
		t.Fatalf("%d writes and the next look after %s (%v), want 1000 and a next look", len(plan.Writes), plan.After, err)
	}
	b.round()
	b.want("in the end", "gone")
}
