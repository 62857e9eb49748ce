package autoscaling

import (
	"fmt"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/floe-k8s/floe/internal/kinds"
)

// defaultUtilization is the use of CPU, in percent of what is requested, at which an autoscaler that names no metric aims.
const defaultUtilization = 80

// HorizontalPodAutoscaler is autoscaling/v2 HorizontalPodAutoscaler.
func HorizontalPodAutoscaler() *kinds.Kind {
	gvk := autoscalingv2.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler")
	return &kinds.Kind{
		GVK: gvk, Resource: "horizontalpodautoscalers", Singular: "horizontalpodautoscaler", ShortNames: []string{"hpa"}, Categories: []string{"all"}, Namespaced: true, DefaultsOnRead: true,
		New:     func() kinds.Object { return &autoscalingv2.HorizontalPodAutoscaler{} },
		NewList: func() runtime.Object { return &autoscalingv2.HorizontalPodAutoscalerList{} },
		Default: defaultAutoscaler,
		PrepareCreate: func(_ kinds.Env, obj kinds.Object) { // upstream counts no generations of these
			obj.(*autoscalingv2.HorizontalPodAutoscaler).Status = autoscalingv2.HorizontalPodAutoscalerStatus{}
		},
		PrepareUpdate: func(_ kinds.Env, obj, old kinds.Object) {
			obj.(*autoscalingv2.HorizontalPodAutoscaler).Status = *old.(*autoscalingv2.HorizontalPodAutoscaler).Status.DeepCopy()
		},
		Validate: func(obj kinds.Object) field.ErrorList {
			if obj.GetResourceVersion() != "" {
				return nil // it replaces another, and ValidateUpdate says all
			}
			return validateAutoscaler(&obj.(*autoscalingv2.HorizontalPodAutoscaler).Spec, nil)
		},
		ValidateUpdate: func(obj, old kinds.Object) field.ErrorList {
			return validateAutoscaler(&obj.(*autoscalingv2.HorizontalPodAutoscaler).Spec, &old.(*autoscalingv2.HorizontalPodAutoscaler).Spec)
		},
		Columns:      autoscalerColumns(),
		Resets:       []string{"status"},
		Subresources: []kinds.Subresource{{Name: "status", GVK: gvk, Verbs: []string{"get", "patch", "update"}, Resets: []string{"spec"}, Update: autoscalerStatus}},
	}
}

// def sets *p to v when nothing is there.
func def[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func defaultAutoscaler(obj kinds.Object) {
	h := obj.(*autoscalingv2.HorizontalPodAutoscaler)
	h.Annotations = withoutCarried(h.Annotations)
	def(&h.Spec.MinReplicas, 1)
	if len(h.Spec.Metrics) == 0 {
		h.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(defaultUtilization)}
	}
	b := h.Spec.Behavior
	if b == nil {
		return
	}
	const period = 15 // seconds
	percent := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: period}
	pods := autoscalingv2.HPAScalingPolicy{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: period}
	defaultRules(&b.ScaleUp, pods, percent)
	def(&b.ScaleUp.StabilizationWindowSeconds, 0)
	defaultRules(&b.ScaleDown, percent) // its window is the controller's setting, where it is not said here
}

func defaultRules(p **autoscalingv2.HPAScalingRules, policies ...autoscalingv2.HPAScalingPolicy) {
	def(p, autoscalingv2.HPAScalingRules{})
	def(&(*p).SelectPolicy, autoscalingv2.MaxChangePolicySelect)
	if (*p).Policies == nil {
		(*p).Policies = policies
	}
}

func cpuUtilization(percent int32) autoscalingv2.MetricSpec {
	return autoscalingv2.MetricSpec{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: corev1.ResourceCPU, Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}
}

func autoscalerStatus(_ kinds.Env, obj, old kinds.Object) field.ErrorList {
	h := obj.(*autoscalingv2.HorizontalPodAutoscaler)
	h.Spec = *old.(*autoscalingv2.HorizontalPodAutoscaler).Spec.DeepCopy()
	errs := validation.ValidateNonnegativeField(int64(h.Status.CurrentReplicas), field.NewPath("status", "currentReplicas"))
	return append(errs, validation.ValidateNonnegativeField(int64(h.Status.DesiredReplicas), field.NewPath("status", "desiredReplicas"))...)
}

func autoscalerColumns() []kinds.Column {
	spec, status := autoscalingv2.HorizontalPodAutoscalerSpec{}.SwaggerDoc(), autoscalingv2.HorizontalPodAutoscalerStatus{}.SwaggerDoc()
	cell := func(name, doc string, f func(*autoscalingv2.HorizontalPodAutoscaler) any) kinds.Column {
		return kinds.Column{Name: name, Type: "string", Description: doc, Cell: func(_ kinds.Env, obj kinds.Object) any {
			return f(obj.(*autoscalingv2.HorizontalPodAutoscaler))
		}}
	}
	return []kinds.Column{
		kinds.NameColumn(),
		cell("Reference", spec["scaleTargetRef"], func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			return h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name
		}),
		cell("Targets", spec["metrics"], func(h *autoscalingv2.HorizontalPodAutoscaler) any { return targets(h) }),
		cell("MinPods", spec["minReplicas"], func(h *autoscalingv2.HorizontalPodAutoscaler) any {
			if n := h.Spec.MinReplicas; n != nil {
				return fmt.Sprint(*n)
			}
			return "<unset>"
		}),
		cell("MaxPods", spec["maxReplicas"], func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Spec.MaxReplicas) }),
		cell("Replicas", status["currentReplicas"], func(h *autoscalingv2.HorizontalPodAutoscaler) any { return int64(h.Status.CurrentReplicas) }),
		kinds.AgeColumn(),
	}
}

// targets are the first two metrics, each with what is and what should be, and how many more there are.
func targets(h *autoscalingv2.HorizontalPodAutoscaler) string {
	const most = 2
	if len(h.Spec.Metrics) == 0 {
		return "<none>"
	}
	var list []string
	for i := range h.Spec.Metrics[:min(len(h.Spec.Metrics), most)] {
		var now autoscalingv2.MetricStatus
		if i < len(h.Status.CurrentMetrics) {
			now = h.Status.CurrentMetrics[i]
		}
		list = append(list, target(&h.Spec.Metrics[i], &now))
	}
	text := strings.Join(list, ", ")
	if more := len(h.Spec.Metrics) - most; more > 0 {
		text += fmt.Sprintf(" + %d more...", more)
	}
	return text
}

// target is one metric. now has nothing of the metric's type as long as it has not been measured.
func target(m *autoscalingv2.MetricSpec, now *autoscalingv2.MetricStatus) string {
	switch {
	case m.Type == autoscalingv2.ExternalMetricSourceType && m.External != nil:
		if now.External == nil {
			return valueTarget(&m.External.Target, nil)
		}
		return valueTarget(&m.External.Target, &now.External.Current)
	case m.Type == autoscalingv2.ObjectMetricSourceType && m.Object != nil:
		if now.Object == nil {
			return valueTarget(&m.Object.Target, nil)
		}
		return valueTarget(&m.Object.Target, &now.Object.Current)
	case m.Type == autoscalingv2.PodsMetricSourceType && m.Pods != nil:
		if now.Pods == nil {
			return ratio(unknown, m.Pods.Target.AverageValue.String())
		}
		return ratio(now.Pods.Current.AverageValue.String(), m.Pods.Target.AverageValue.String())
	case m.Type == autoscalingv2.ResourceMetricSourceType && m.Resource != nil:
		if now.Resource == nil {
			return resourceTarget(m.Resource.Name, &m.Resource.Target, nil)
		}
		return resourceTarget(m.Resource.Name, &m.Resource.Target, &now.Resource.Current)
	case m.Type == autoscalingv2.ContainerResourceMetricSourceType && m.ContainerResource != nil:
		if now.ContainerResource == nil {
			return resourceTarget(m.ContainerResource.Name, &m.ContainerResource.Target, nil)
		}
		return resourceTarget(m.ContainerResource.Name, &m.ContainerResource.Target, &now.ContainerResource.Current)
	}
	return "<unknown type>"
}

const unknown = "<unknown>"

func ratio(now, want string) string { return now + "/" + want }

// valueTarget is a value, or one for each pod. now nil: not measured.
func valueTarget(t *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current := unknown
	if t.AverageValue != nil {
		if now != nil && now.AverageValue != nil {
			current = now.AverageValue.String()
		}
		return ratio(current, t.AverageValue.String()) + " (avg)"
	}
	if now != nil {
		current = now.Value.String()
	}
	return ratio(current, t.Value.String())
}

// resourceTarget is an amount for each pod, or a share of what is requested. now nil: not measured.
func resourceTarget(name corev1.ResourceName, t *autoscalingv2.MetricTarget, now *autoscalingv2.MetricValueStatus) string {
	current, want := unknown, "<auto>"
	switch {
	case t.AverageValue != nil:
		want = t.AverageValue.String()
		if now != nil {
			current = (*resource.Quantity).String(now.AverageValue)
		}
	default:
		if now != nil && now.AverageUtilization != nil {
			current = fmt.Sprintf("%d%%", *now.AverageUtilization)
		}
		if t.AverageUtilization != nil {
			want = fmt.Sprintf("%d%%", *t.AverageUtilization)
		}
	}
	return string(name) + ": " + ratio(current, want)
}
