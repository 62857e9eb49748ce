package autoscaling_test

import (
	"fmt"
	"strings"
	"testing"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/kinds/autoscaling"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

func quantity(text string) *resource.Quantity { return ptr.To(resource.MustParse(text)) }

func autoscaler(change func(*autoscalingv2.HorizontalPodAutoscaler)) *autoscalingv2.HorizontalPodAutoscaler {
	h := &autoscalingv2.HorizontalPodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Namespace: "default"},
		Spec:       autoscalingv2.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}, MaxReplicas: 5},
	}
	if change != nil {
		change(h)
	}
	autoscaling.HorizontalPodAutoscaler().Default(h)
	return h
}

func TestAutoscalerDefaults(t *testing.T) {
	h := autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Annotations = map[string]string{"autoscaling.alpha.kubernetes.io/metrics": "[]", "mine": "1"}
	})
	if m := h.Spec.Metrics; *h.Spec.MinReplicas != 1 || len(m) != 1 || m[0].Resource.Name != "cpu" || *m[0].Resource.Target.AverageUtilization != 80 || h.Spec.Behavior != nil || len(h.Annotations) != 1 {
		t.Errorf("got %+v, %v", h.Spec, h.Annotations)
	}
	h = autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{{Type: "Pods", Value: 1, PeriodSeconds: 60}}}}
	})
	up, down := h.Spec.Behavior.ScaleUp, h.Spec.Behavior.ScaleDown
	if *up.StabilizationWindowSeconds != 0 || *up.SelectPolicy != "Max" || len(up.Policies) != 1 || down.StabilizationWindowSeconds != nil || len(down.Policies) != 1 || down.Policies[0].Value != 100 {
		t.Errorf("got up %+v, down %+v", up, down)
	}
}

func TestAutoscalerValidation(t *testing.T) {
	metric := func(m autoscalingv2.MetricSpec) func(*autoscalingv2.HorizontalPodAutoscalerSpec) {
		return func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.Metrics = []autoscalingv2.MetricSpec{m} }
	}
	rules := func(r autoscalingv2.HPAScalingRules) func(*autoscalingv2.HorizontalPodAutoscalerSpec) {
		return func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
			s.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &r}
		}
	}
	pods := autoscalingv2.PodsMetricSource{Metric: autoscalingv2.MetricIdentifier{Name: "m"}, Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("1")}}
	cpu := autoscalingv2.ResourceMetricSource{Name: "cpu", Target: autoscalingv2.MetricTarget{Type: "Utilization", AverageUtilization: ptr.To[int32](5)}}
	for name, c := range map[string]struct {
		change func(*autoscalingv2.HorizontalPodAutoscalerSpec)
		want   string
	}{
		"good":           {metric(autoscalingv2.MetricSpec{Type: "Pods", Pods: &pods}), ""},
		"least":          {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.MinReplicas = ptr.To[int32](0) }, "spec.minReplicas: Invalid value: 0: must be greater than or equal to 1"},
		"most":           {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.MaxReplicas = 0 }, "spec.maxReplicas: Required value: must be set and greater than 0"},
		"most and least": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.MinReplicas = ptr.To[int32](9) }, "spec.maxReplicas: Invalid value: 5: must be greater than or equal to `minReplicas`"},
		"no group":       {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.ScaleTargetRef.APIVersion = "v1" }, `spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group`},
		"a controller": {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
			s.ScaleTargetRef.APIVersion, s.ScaleTargetRef.Kind = "v1", "ReplicationController"
		}, ""},
		"no version":      {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.ScaleTargetRef.APIVersion = "a/b/c" }, `spec.scaleTargetRef.apiVersion: Invalid value: "a/b/c": unexpected GroupVersion string: a/b/c`},
		"name":            {func(s *autoscalingv2.HorizontalPodAutoscalerSpec) { s.ScaleTargetRef.Name = "a/b" }, `spec.scaleTargetRef.name: Invalid value: "a/b": may not contain '/'`},
		"metric's type":   {metric(autoscalingv2.MetricSpec{Type: "x", Pods: &pods}), `spec.metrics[0].type: Unsupported value: "x": supported values: "ContainerResource", "External", "Object", "Pods", "Resource"`},
		"metric's source": {metric(autoscalingv2.MetricSpec{Type: "Pods", Resource: &cpu}), "spec.metrics[0].pods: Required value: must populate information for the given metric source"},
		"two sources":     {metric(autoscalingv2.MetricSpec{Type: "Pods", Resource: &cpu, Pods: &pods}), "spec.metrics[0].resource: Forbidden: must populate the given metric source only"},
		"no target":       {metric(autoscalingv2.MetricSpec{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "cpu", Target: autoscalingv2.MetricTarget{Type: "Value"}}}), "spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization"},
		"container": {metric(autoscalingv2.MetricSpec{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: "pods", Container: "c", Target: cpu.Target}}),
			`spec.metrics[0].containerResource.name: Invalid value: "pods": must be a standard resource for containers`},
		"external": {metric(autoscalingv2.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: pods.Metric, Target: autoscalingv2.MetricTarget{Type: "Value", Value: quantity("0")}}}),
			`spec.metrics[0].external.target.value: Invalid value: "0": must be positive`},
		"window":      {rules(autoscalingv2.HPAScalingRules{StabilizationWindowSeconds: ptr.To[int32](3601)}), "spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600"},
		"choice":      {rules(autoscalingv2.HPAScalingRules{SelectPolicy: ptr.To[autoscalingv2.ScalingPolicySelect]("x")}), `spec.behavior.scaleUp.selectPolicy: Unsupported value: "x": supported values: "Disabled", "Max", "Min"`},
		"no policies": {rules(autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{}}), "spec.behavior.scaleUp.policies: Required value: must specify at least one Policy"},
		"period": {rules(autoscalingv2.HPAScalingRules{Policies: []autoscalingv2.HPAScalingPolicy{{Type: "Pods", Value: 1, PeriodSeconds: 1801}}}),
			"spec.behavior.scaleUp.policies[0].periodSeconds: Invalid value: 1801: must be less than or equal to 1800"},
		"tolerance": {rules(autoscalingv2.HPAScalingRules{Tolerance: quantity("-1")}), `spec.behavior.scaleUp.tolerance: Invalid value: "-1": must be greater than or equal to 0`},
	} {
		got := ""
		if errs := autoscaling.HorizontalPodAutoscaler().Validate(autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) { c.change(&h.Spec) })); len(errs) > 0 {
			got = errs[0].Error()
		}
		if got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

// TestWhatWasWrongMayStay: references and a minimum that would be refused today.
func TestWhatWasWrongMayStay(t *testing.T) {
	k := autoscaling.HorizontalPodAutoscaler()
	old := autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.ResourceVersion, h.Status.CurrentReplicas = "1", 3
		h.Spec.ScaleTargetRef.APIVersion, h.Spec.MinReplicas = "v1", ptr.To[int32](0)
		h.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: "External", External: &autoscalingv2.ExternalMetricSource{
			Metric: autoscalingv2.MetricIdentifier{Name: "m"}, Target: autoscalingv2.MetricTarget{Type: "Value", Value: quantity("1")},
		}}}
	})
	next := old.DeepCopy()
	next.Spec.MaxReplicas, next.Status.CurrentReplicas = 7, 9
	k.PrepareUpdate(kindtest.Env(), next, old)
	if errs := append(k.Validate(next), k.ValidateUpdate(next, old)...); len(errs) > 0 || next.Status.CurrentReplicas != 3 || next.Generation != 0 {
		t.Errorf("got %v, %+v", errs, next.Status)
	}
	next.Spec.ScaleTargetRef.Kind = "Other"
	if errs := k.ValidateUpdate(next, old); len(errs) != 1 || errs[0].Field != "spec.scaleTargetRef.apiVersion" {
		t.Errorf("another kind: got %v", errs)
	}
	next.Status.DesiredReplicas = -1
	if errs := k.Subresources[0].Update(kindtest.Env(), next, old); len(errs) != 1 || errs[0].Field != "status.desiredReplicas" || next.Spec.ScaleTargetRef.Kind != "Deployment" {
		t.Errorf("status: got %v", errs)
	}
}

func TestAutoscalerColumns(t *testing.T) {
	memory := func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Spec.Metrics = []autoscalingv2.MetricSpec{
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "memory", Target: autoscalingv2.MetricTarget{AverageValue: quantity("1Gi")}}},
			{Type: "External", External: &autoscalingv2.ExternalMetricSource{Target: autoscalingv2.MetricTarget{AverageValue: quantity("2")}}},
			{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{}},
		}
		h.Status.CurrentMetrics = []autoscalingv2.MetricStatus{
			{Resource: &autoscalingv2.ResourceMetricStatus{Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("512Mi")}}},
			{External: &autoscalingv2.ExternalMetricStatus{Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("1")}}},
		}
	}
	cpu := func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Resource: &autoscalingv2.ResourceMetricStatus{Current: autoscalingv2.MetricValueStatus{AverageUtilization: ptr.To[int32](41)}}}}
	}
	for want, change := range map[string]func(*autoscalingv2.HorizontalPodAutoscaler){
		"web|Deployment/web|cpu: <unknown>/80%|1|5|0|<unknown>":                       nil,
		"web|Deployment/web|cpu: 41%/80%|1|5|0|<unknown>":                             cpu,
		"web|Deployment/web|memory: 512Mi/1Gi, 1/2 (avg) + 1 more...|1|5|0|<unknown>": memory,
	} {
		var got []string
		for _, c := range autoscaling.HorizontalPodAutoscaler().Columns {
			got = append(got, fmt.Sprint(c.Cell(kindtest.Env(), autoscaler(change))))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("got %s, want %s", strings.Join(got, "|"), want)
		}
	}
}
