package replicaset_test

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/replicaset"
)

// TestLabelsStay: a status that rests on an older object is refused, since it would undo what a user did to its metadata.
func TestLabelsStay(t *testing.T) {
	b := bed.New(t, 1)
	sets, none := appsv1.SchemeGroupVersion.WithResource("replicasets"), int32(0)
	l := map[string]string{"app": "web"}
	b.Put(sets, &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.ReplicaSetSpec{Replicas: &none,
		Selector: &metav1.LabelSelector{MatchLabels: l}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: l},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i"}}}}}})
	plan := b.Reconcile(replicaset.New(), engine.Key{Resource: sets, Namespace: "default", Name: "web"}, b.Clock.Now())
	if len(plan.Writes) != 1 || plan.Writes[0].Subresource != "status" {
		t.Fatalf("writes %+v", plan.Writes)
	}
	bed.Change(b, sets, "default", "web", "", func(rs *appsv1.ReplicaSet) { rs.Labels = map[string]string{"by": "user"} })
	if _, _, err := plan.Writes[0].Do(t.Context(), b.Client); !apierrors.IsConflict(err) {
		t.Errorf("got %v, want a conflict", err)
	}
	if rs := bed.Get[*appsv1.ReplicaSet](b, sets, "default", "web"); rs.Labels["by"] != "user" {
		t.Errorf("labels %v", rs.Labels)
	}
}
