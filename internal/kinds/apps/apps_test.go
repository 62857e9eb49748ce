package apps_test

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/apps"
)

func deployment(change func(*appsv1.Deployment)) *appsv1.Deployment {
	labels := map[string]string{"app": "web"}
	d := &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i:1"}}}},
		},
	}
	apps.Deployment().Default(d)
	if change != nil {
		change(d)
	}
	return d
}

func TestDeploymentDefaults(t *testing.T) {
	s := deployment(nil).Spec
	if *s.Replicas != 1 || *s.RevisionHistoryLimit != 10 || *s.ProgressDeadlineSeconds != 600 || s.Strategy.Type != appsv1.RollingUpdateDeploymentStrategyType ||
		s.Strategy.RollingUpdate.MaxSurge.StrVal != "25%" || s.Strategy.RollingUpdate.MaxUnavailable.StrVal != "25%" {
		t.Errorf("got %+v", s)
	}
	if s.Template.Spec.EnableServiceLinks != nil {
		t.Error("a template was given enableServiceLinks, which only pods are")
	}
}

func TestDeploymentValidation(t *testing.T) {
	number := func(n int32) *intstr.IntOrString { v := intstr.FromInt32(n); return &v }
	for name, c := range map[string]struct {
		change func(*appsv1.DeploymentSpec)
		want   string // "" when it is valid, else the first violation
	}{
		"good":              {func(*appsv1.DeploymentSpec) {}, ""},
		"negative replicas": {func(s *appsv1.DeploymentSpec) { *s.Replicas = -1 }, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"},
		"no selector":       {func(s *appsv1.DeploymentSpec) { s.Selector = nil }, "spec.selector: Required value"},
		"empty selector":    {func(s *appsv1.DeploymentSpec) { s.Selector = &metav1.LabelSelector{} }, "spec.selector: Invalid value: {}: empty selector is invalid for deployment"},
		"other labels":      {func(s *appsv1.DeploymentSpec) { s.Template.Labels = map[string]string{"app": "x"} }, "spec.template.metadata.labels: Invalid value: {\"app\":\"x\"}: `selector` does not match template `labels`"},
		"restart policy":    {func(s *appsv1.DeploymentSpec) { s.Template.Spec.RestartPolicy = "Never" }, "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\""},
		"deadline of pods":  {func(s *appsv1.DeploymentSpec) { n := int64(1); s.Template.Spec.ActiveDeadlineSeconds = &n }, "spec.template.spec.activeDeadlineSeconds: Forbidden: activeDeadlineSeconds in ReplicaSet is not Supported"},
		"recreate, rolling": {func(s *appsv1.DeploymentSpec) { s.Strategy.Type = appsv1.RecreateDeploymentStrategyType }, "spec.strategy.rollingUpdate: Forbidden: may not be specified when strategy `type` is 'Recreate'"},
		"no way to roll": {func(s *appsv1.DeploymentSpec) {
			s.Strategy.RollingUpdate.MaxSurge, s.Strategy.RollingUpdate.MaxUnavailable = number(0), number(0)
		}, "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: 0: may not be 0 when `maxSurge` is 0"},
		"too late": {func(s *appsv1.DeploymentSpec) { s.MinReadySeconds = 600 }, "spec.progressDeadlineSeconds: Invalid value: 600: must be greater than minReadySeconds"},
	} {
		got := ""
		if errs := apps.Deployment().Validate(deployment(func(d *appsv1.Deployment) { c.change(&d.Spec) })); len(errs) > 0 {
			got = errs[0].Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestSelectorsStay(t *testing.T) {
	old := deployment(nil)
	next := old.DeepCopy()
	next.Spec.Selector.MatchLabels["app"] = "x"
	errs := apps.Deployment().ValidateUpdate(next, old)
	if len(errs) != 2 || errs[0].Field != "spec.template.metadata.labels" || errs[1].Field != "spec.selector" || errs[1].Detail != "field is immutable" {
		t.Errorf("got %v", errs)
	}
}

func status(k *kinds.Kind) kinds.Subresource {
	for _, s := range k.Subresources {
		if s.Name == "status" {
			return s
		}
	}
	panic("no status")
}

// TestStatusViolationsStandInOrder: all of them, in the same order each time.
func TestStatusViolationsStandInOrder(t *testing.T) {
	less := int32(-1)
	for range 20 {
		d := deployment(func(d *appsv1.Deployment) {
			d.Status = appsv1.DeploymentStatus{ObservedGeneration: -1, Replicas: -1, UpdatedReplicas: 2, ReadyReplicas: 1, AvailableReplicas: 3, UnavailableReplicas: -1, TerminatingReplicas: &less, CollisionCount: &less}
		})
		zero := int32(0)
		old := deployment(func(d *appsv1.Deployment) { d.Status.CollisionCount = &zero })
		var got []string
		for _, e := range status(apps.Deployment()).Update(kinds.Env{}, d, old) {
			got = append(got, strings.TrimPrefix(e.Field, "status."))
		}
		want := "observedGeneration replicas unavailableReplicas terminatingReplicas collisionCount updatedReplicas readyReplicas availableReplicas availableReplicas collisionCount"
		if strings.Join(got, " ") != want {
			t.Fatalf("deployment: got %v, want %s", got, want)
		}
		rs := &appsv1.ReplicaSet{Status: appsv1.ReplicaSetStatus{Replicas: -1, FullyLabeledReplicas: 2, ReadyReplicas: 1, AvailableReplicas: 3, ObservedGeneration: -1, TerminatingReplicas: &less}}
		got = nil
		for _, e := range status(apps.ReplicaSet()).Update(kinds.Env{}, rs, &appsv1.ReplicaSet{}) {
			got = append(got, strings.TrimPrefix(e.Field, "status."))
		}
		if want := "replicas observedGeneration terminatingReplicas fullyLabeledReplicas readyReplicas availableReplicas availableReplicas"; strings.Join(got, " ") != want {
			t.Fatalf("replica set: got %v, want %s", got, want)
		}
	}
}
