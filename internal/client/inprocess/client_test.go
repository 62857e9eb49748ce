package inprocess_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/floe-k8s/floe/internal/api/apitest"
	"github.com/floe-k8s/floe/internal/auth"
	"github.com/floe-k8s/floe/internal/client"
	"github.com/floe-k8s/floe/internal/client/inprocess"
	"github.com/floe-k8s/floe/internal/store"
)

var (
	configMaps = corev1.SchemeGroupVersion.WithResource("configmaps")
	podsRes    = corev1.SchemeGroupVersion.WithResource("pods")
)

func configMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: map[string]string{"k": "v"}}
}

func TestAListAndAStreamSeeEveryChangeOnce(t *testing.T) {
	server := apitest.New(t).API
	c := inprocess.New(server, apitest.Administrator())
	ctx := t.Context()
	mustCreate(t, c, configMap("a"))
	view, err := c.View(ctx)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := c.Watch(ctx, configMaps, view.Revision(), "", "")
	if err != nil {
		t.Fatal(err)
	}
	given := configMap("b")
	mustCreate(t, c, given)
	if given.UID != "" || given.ResourceVersion != "" {
		t.Errorf("the object that was given has been changed: %+v", given.ObjectMeta)
	}
	if _, err := c.Patch(ctx, configMaps, "default", "a", types.MergePatchType, []byte(`{"data":{"k":"w"}}`), ""); err != nil {
		t.Fatal(err)
	}
	if err := c.Delete(ctx, configMaps, "default", "a", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var seen []string
	for range 3 {
		change, err := stream.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case change.Old == nil:
			seen = append(seen, "created "+change.New.GetName())
		case change.New == nil:
			seen = append(seen, "deleted "+change.Old.GetName())
		default:
			seen = append(seen, "changed "+change.New.GetName())
		}
	}
	if want := []string{"created b", "changed a", "deleted a"}; !slices.Equal(seen, want) {
		t.Errorf("the stream says %v, want %v", seen, want)
	}
	if view.Get(configMaps, "default", "b") != nil || view.Get(configMaps, "default", "a") == nil {
		t.Error("a view has changed after it was taken")
	}
}

func mustCreate(t *testing.T, c client.Client, obj *corev1.ConfigMap) *corev1.ConfigMap {
	t.Helper()
	out, err := c.Create(t.Context(), configMaps, obj, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return out.(*corev1.ConfigMap)
}

func TestErrorsAreTheAPIs(t *testing.T) {
	server := apitest.New(t).API
	c := inprocess.New(server, apitest.Administrator())
	ctx := t.Context()
	stored := mustCreate(t, c, configMap("a"))
	stale := stored.DeepCopy()
	stale.Data["k"] = "w"
	if _, err := c.Update(ctx, configMaps, stale, ""); err != nil {
		t.Fatal(err)
	}
	stale.Data["k"] = "x" // still of the first version
	other := types.UID("other")
	for name, c := range map[string]struct {
		err error
		is  func(error) bool
	}{
		"get of nothing":      {second(c.Get(ctx, configMaps, "default", "none")), apierrors.IsNotFound},
		"created twice":       {second(c.Create(ctx, configMaps, configMap("a"), metav1.CreateOptions{})), apierrors.IsAlreadyExists},
		"stale update":        {second(c.Update(ctx, configMaps, stale, "")), apierrors.IsConflict},
		"bad name":            {second(c.Create(ctx, configMaps, configMap("A"), metav1.CreateOptions{})), apierrors.IsInvalid},
		"another one's UID":   {c.Delete(ctx, configMaps, "default", "a", metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &other}}), apierrors.IsConflict},
		"not a resource":      {second(c.Get(ctx, corev1.SchemeGroupVersion.WithResource("things"), "default", "a")), apierrors.IsNotFound},
		"watch of the future": {watchAfter(c, 1<<40), func(err error) bool { return err != nil }},
	} {
		if !c.is(c.err) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
}

func second[T any](_ T, err error) error { return err }

func watchAfter(c client.Client, rev uint64) error {
	_, err := c.Watch(context.Background(), configMaps, rev, "", "")
	return err
}

// TestIdentityIsHeld: a component may do what its rights are, and no more.
func TestIdentityIsHeld(t *testing.T) {
	server := apitest.New(t).API
	scheduler := inprocess.New(server, auth.User{Name: "system:kube-scheduler", Groups: []string{auth.Authenticated}})
	if _, err := scheduler.Create(t.Context(), configMaps, configMap("a"), metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the scheduler created a config map: %v", err)
	}
	view, err := scheduler.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if recover() == nil {
			t.Error("the scheduler read config maps, which it may not list")
		}
	}()
	view.Get(configMaps, "default", "a")
}

// TestCauseAndActorAreRecorded reads the log's own record.
func TestCauseAndActorAreRecorded(t *testing.T) {
	cluster := apitest.New(t)
	server, log := cluster.API, cluster.Log
	c := inprocess.New(server, apitest.Administrator())
	ctx := client.WithCause(t.Context(), "test default/a@1")
	if _, err := c.Create(ctx, configMaps, configMap("a"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	found := false
	_, err := log.Load(t.Context(), func(r store.Record) error {
		found = found || r.Key == "/registry/configmaps/default/a" && r.Actor == "admin" && r.Cause == "test default/a@1"
		return nil
	})
	if err != nil || !found {
		t.Errorf("no record with actor and cause: %v", err)
	}
}

// TestBindingsSucceedAndFailAlone binds pods of which one is not there.
func TestBindingsSucceedAndFailAlone(t *testing.T) {
	server := apitest.New(t).API
	c := inprocess.New(server, apitest.Administrator())
	var bindings []*corev1.Binding
	for i := range 200 {
		name := fmt.Sprint("p", i)
		if i != 77 {
			pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
			if _, err := c.Create(t.Context(), podsRes, pod, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		bindings = append(bindings, &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Target: corev1.ObjectReference{Kind: "Node", Name: "one"}})
	}
	for i, err := range c.Bind(t.Context(), bindings) {
		if (err != nil) != (i == 77) || i == 77 && !apierrors.IsNotFound(err) {
			t.Errorf("binding %d: %v", i, err)
		}
	}
	view, err := c.View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for range view.Lookup(podsRes, "spec.nodeName", "one") {
		n++
	}
	if n != 199 {
		t.Errorf("%d pods are bound, want 199", n)
	}
}

func TestAStoppedStreamSaysSo(t *testing.T) {
	server := apitest.New(t).API
	c := inprocess.New(server, apitest.Administrator())
	stream, err := c.Watch(t.Context(), configMaps, 1, "", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := stream.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's end", err)
	}
}
