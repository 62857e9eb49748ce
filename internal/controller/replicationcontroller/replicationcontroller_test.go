package replicationcontroller_test

import (
	"errors"
	"fmt"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/replicationcontroller"
)

var (
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	controllers = corev1.SchemeGroupVersion.WithResource("replicationcontrollers")
)

func web(replicas int32) *corev1.ReplicationController {
	l := map[string]string{"app": "web"}
	return &corev1.ReplicationController{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"},
		Spec: corev1.ReplicationControllerSpec{Replicas: &replicas, Selector: l, Template: &corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: l}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}},
		}},
	}
}

// owned are the pods that the controller web owns.
func owned(b *bed.Bed) (list []*corev1.Pod) {
	b.Helper()
	view, err := b.Client.View(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	for obj := range view.List(pods, "default") {
		if ref := metav1.GetControllerOf(obj); ref != nil && ref.Kind == "ReplicationController" && ref.APIVersion == "v1" && ref.Name == "web" {
			list = append(list, obj.(*corev1.Pod))
		}
	}
	return list
}

// TestKeepsPodsThroughCrashes lets somebody scale, delete pods and take them out of the selector while the controller stops and begins anew at any point.
func TestKeepsPodsThroughCrashes(t *testing.T) {
	for seed := range int64(20) {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			b := bed.New(t, seed)
			b.Sim.Add(replicationcontroller.New())
			b.Put(controllers, web(3))
			want := int32(3)
			for range 4 {
				b.Chance(100, func() {
					list := owned(b)
					switch n := b.Rand.Intn(6); {
					case n == 0:
						want = int32(b.Rand.Intn(6))
						bed.Change(b, controllers, "default", "web", "", func(c *corev1.ReplicationController) { c.Spec.Replicas = ptr.To(want) })
					case n == 1 && len(list) > 0:
						b.Remove(pods, "default", list[b.Rand.Intn(len(list))].Name)
					case n == 2 && len(list) > 0:
						bed.Change(b, pods, "default", list[b.Rand.Intn(len(list))].Name, "", func(p *corev1.Pod) { p.Labels = map[string]string{"app": "strayed"} })
					}
				})
				b.Settle()
				got := bed.Get[*corev1.ReplicationController](b, controllers, "default", "web")
				if n := int32(len(owned(b))); n != want || got.Status.Replicas != want || got.Status.FullyLabeledReplicas != want || got.Status.ObservedGeneration != got.Generation {
					t.Fatalf("%d pods, status %+v, want %d", n, got.Status, want)
				}
			}
		})
	}
}

// TestFailureIsTold: while pods are refused a condition says so in the API's words, and goes when they are let in.
func TestFailureIsTold(t *testing.T) {
	b := bed.New(t, 1)
	ctl := replicationcontroller.New()
	b.Put(controllers, web(2))
	key := engine.Key{Resource: controllers, Namespace: "default", Name: "web"}
	plan := b.Reconcile(ctl, key, b.Clock.Now())
	refused := apierrors.NewForbidden(corev1.Resource("pods"), "web-x", errors.New("exceeded quota: q"))
	told := plan.OnFailure(&engine.WriteError{Verb: "create", Resource: pods, Err: refused})
	if len(told) != 1 || told[0].Subresource != "status" {
		t.Fatalf("it writes %+v", told)
	}
	if _, err := b.Client.Update(b.Context(), controllers, told[0].Object, "status"); err != nil {
		t.Fatal(err)
	}
	got := bed.Get[*corev1.ReplicationController](b, controllers, "default", "web").Status.Conditions
	want := corev1.ReplicationControllerCondition{Type: corev1.ReplicationControllerReplicaFailure, Status: corev1.ConditionTrue, Reason: "FailedCreate",
		Message: `pods "web-x" is forbidden: exceeded quota: q`}
	if len(got) == 1 {
		want.LastTransitionTime = got[0].LastTransitionTime
	}
	if len(got) != 1 || got[0] != want {
		t.Fatalf("conditions %+v, want %+v", got, want)
	}
	b.Sim.Add(ctl)
	b.Settle()
	if st := bed.Get[*corev1.ReplicationController](b, controllers, "default", "web").Status; len(st.Conditions) != 0 || st.Replicas != 2 {
		t.Errorf("status %+v", st)
	}
}
