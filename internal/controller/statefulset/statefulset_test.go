package statefulset_test

import (
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/pods"
	"github.com/floe-k8s/floe/internal/controller/statefulset"
)

// told are the events of the set until nothing is to be done, with the pods going on between.
func (w *world) told() (all []string) {
	w.Helper()
	for range 100 {
		key := engine.Key{Resource: sets(), Namespace: "default", Name: "web"}
		events, wrote, err := controllertest.Step(w.Context(), w.As("system:serviceaccount:kube-system:statefulset-controller"), statefulset.New(false), key, w.Clock.Now())
		if err != nil {
			w.Fatal(err)
		}
		all = append(all, events...)
		moved := false
		for _, p := range w.Pods("default") {
			moved = w.Run(p) || moved
		}
		if !wrote && !moved {
			return all
		}
	}
	w.Fatalf("no end: %s", strings.Join(all, "\n"))
	return nil
}

// TestEvents: the life of a set as its events tell it.
func TestEvents(t *testing.T) {
	w := newWorld(t, 1, func(s *appsv1.StatefulSetSpec) { s.Replicas = ptr.To[int32](2) })
	expect := func(what string, want ...string) {
		t.Helper()
		if got := w.told(); !slices.Equal(got, want) {
			t.Errorf("%s: got\n%s\nwant\n%s", what, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	change := func(f func(s *appsv1.StatefulSetSpec)) {
		bed.Change(w.Bed, sets(), "default", "web", "", func(set *appsv1.StatefulSet) { f(&set.Spec) })
	}
	expect("made", "Create Claim data-web-0 Pod web-0 in StatefulSet web success", "Create Pod web-0 in StatefulSet web successful",
		"Create Claim data-web-1 Pod web-1 in StatefulSet web success", "Create Pod web-1 in StatefulSet web successful")
	expect("at rest")
	change(func(s *appsv1.StatefulSetSpec) { s.Template.Spec.Containers[0].Image = "i1" })
	expect("rolled", "Delete Pod web-1 in StatefulSet web successful", "Create Pod web-1 in StatefulSet web successful",
		"Delete Pod web-0 in StatefulSet web successful", "Create Pod web-0 in StatefulSet web successful")
	change(func(s *appsv1.StatefulSetSpec) { s.Replicas = ptr.To[int32](1) })
	expect("scaled", "Delete Pod web-1 in StatefulSet web successful")
	change(func(s *appsv1.StatefulSetSpec) {
		s.PersistentVolumeClaimRetentionPolicy.WhenDeleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	})
	expect("claims that go with the set", "Update Pod web-0 in StatefulSet web successful")
	bed.Change(w.Bed, claims(), "default", "data-web-0", "", func(c *corev1.PersistentVolumeClaim) {
		c.OwnerReferences = append(c.OwnerReferences, metav1.OwnerReference{APIVersion: "v1", Kind: "ConfigMap", Name: "x", UID: "x"})
	})
	expect("another owner, who does not control")
	bed.Change(w.Bed, pods.Resource(), "default", "web-0", "", func(p *corev1.Pod) { delete(p.Labels, appsv1.StatefulSetPodNameLabel) })
	expect("identity", "Update Pod web-0 in StatefulSet web successful")
	w.Fail(w.Pods("default")[0])
	expect("failed", "Delete Pod web-0 in StatefulSet web successful", "Create Pod web-0 in StatefulSet web successful")
}

// TestAdoption: a pod of the set's names is taken, one of another name and one that no longer matches are left alone.
func TestAdoption(t *testing.T) {
	w := newWorld(t, 1, func(s *appsv1.StatefulSetSpec) { s.VolumeClaimTemplates = nil })
	orphan := func(name string) {
		w.Put(pods.Resource(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: map[string]string{"app": "web"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i0"}}}})
	}
	orphan("web-1")
	orphan("other-1")
	w.Rest("default")
	owner := func(name string) string {
		p := bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", name)
		if ref := metav1.GetControllerOf(p); ref != nil {
			return ref.Name
		}
		return ""
	}
	if owner("web-1") != "web" || owner("other-1") != "" {
		t.Errorf("web-1 is controlled by %q, other-1 by %q", owner("web-1"), owner("other-1"))
	}
	bed.Change(w.Bed, pods.Resource(), "default", "web-2", "", func(p *corev1.Pod) { p.Labels["app"] = "free" })
	if err := w.Sim.Settle(t.Context()); err == nil || owner("web-2") != "" {
		t.Errorf("web-2 is controlled by %q; its name is taken, and the set goes on trying: %v", owner("web-2"), err)
	}
	w.End(bed.Get[*corev1.Pod](w.Bed, pods.Resource(), "default", "web-2"))
	w.Rest("default")
	if owner("web-2") != "web" {
		t.Errorf("web-2 is controlled by %q", owner("web-2"))
	}
}

// TestStaleClaim: a pod that is scaled up again waits until the claim that goes with the pod before it is gone.
func TestStaleClaim(t *testing.T) {
	w := newWorld(t, 1, func(s *appsv1.StatefulSetSpec) {
		s.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{WhenScaled: appsv1.DeletePersistentVolumeClaimRetentionPolicyType}
	})
	scale := func(n int32) {
		bed.Change(w.Bed, sets(), "default", "web", "", func(set *appsv1.StatefulSet) { set.Spec.Replicas = &n })
		w.Rest("default")
	}
	scale(2)
	if c := bed.Get[*corev1.PersistentVolumeClaim](w.Bed, claims(), "default", "data-web-1"); metav1.GetControllerOf(c) != nil {
		t.Errorf("the claim of a replica belongs to %+v", c.OwnerReferences)
	}
	scale(1)
	if ref := metav1.GetControllerOf(bed.Get[*corev1.PersistentVolumeClaim](w.Bed, claims(), "default", "data-web-1")); ref == nil || ref.Kind != "Pod" {
		t.Errorf("the claim of a pod that is scaled away belongs to %v", ref)
	}
	scale(2)
	if n := len(w.Pods("default")); n != 1 {
		t.Fatalf("%d pods while a claim is stale", n)
	}
	w.Remove(claims(), "default", "data-web-1") // as the collector does
	if err := controllertest.Free(t.Context(), w.Client, claims()); err != nil {
		t.Fatal(err)
	}
	w.Rest("default")
	if n := len(w.Pods("default")); n != 2 {
		t.Errorf("%d pods when it is gone", n)
	}
}
