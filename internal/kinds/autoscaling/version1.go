package autoscaling

import (
	"encoding/json"
	"fmt"
	"maps"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/untagged"
)

// Annotations of a v1 object, each JSON of what v1 has no field for.
const (
	metricsAnnotation        = "autoscaling.alpha.kubernetes.io/metrics"         // []autoscalingv1.MetricSpec, but the CPU's
	currentMetricsAnnotation = "autoscaling.alpha.kubernetes.io/current-metrics" // []autoscalingv1.MetricStatus
	conditionsAnnotation     = "autoscaling.alpha.kubernetes.io/conditions"      // []autoscalingv1.HorizontalPodAutoscalerCondition
	behaviorAnnotation       = "autoscaling.alpha.kubernetes.io/behavior"        // the behavior, with Go's field names
)

// HorizontalPodAutoscalerV1 is autoscaling/v1 HorizontalPodAutoscaler, which shows the objects of hub.
func HorizontalPodAutoscalerV1(hub *kinds.Kind) *kinds.Kind {
	return kinds.ViewOf(autoscalingv1.SchemeGroupVersion.WithKind("HorizontalPodAutoscaler"), kinds.View{
		Hub: hub,
		To: func(hub kinds.Object) (kinds.Object, error) {
			return ToV1(hub.(*autoscalingv2.HorizontalPodAutoscaler))
		},
		From:    func(obj kinds.Object) kinds.Object { return FromV1(obj.(*autoscalingv1.HorizontalPodAutoscaler)) },
		Default: func(obj kinds.Object) { def(&obj.(*autoscalingv1.HorizontalPodAutoscaler).Spec.MinReplicas, 1) },
	}, func() kinds.Object { return &autoscalingv1.HorizontalPodAutoscaler{} }, func() runtime.Object { return &autoscalingv1.HorizontalPodAutoscalerList{} })
}

// withoutCarried returns annotations without those of a v1 object, two older ones among them; the same map when there are none.
func withoutCarried(in map[string]string) map[string]string {
	out, copied := in, false
	for _, key := range []string{
		metricsAnnotation, currentMetricsAnnotation, conditionsAnnotation, behaviorAnnotation,
		"autoscaling.alpha.kubernetes.io/scale-down-tolerance", "autoscaling.alpha.kubernetes.io/scale-up-tolerance",
	} {
		if _, ok := out[key]; !ok {
			continue
		}
		if !copied {
			out, copied = maps.Clone(in), true
		}
		delete(out, key)
	}
	return out
}

// ToV1 returns the object as autoscaling/v1 shows it. It shares nothing with in, which has its defaults, and fails only on a value that JSON
// cannot have.
func ToV1(in *autoscalingv2.HorizontalPodAutoscaler) (*autoscalingv1.HorizontalPodAutoscaler, error) {
	in = in.DeepCopy()
	out := &autoscalingv1.HorizontalPodAutoscaler{TypeMeta: in.TypeMeta, ObjectMeta: in.ObjectMeta}
	if out.APIVersion != "" {
		out.APIVersion = autoscalingv1.SchemeGroupVersion.String()
	}
	out.Spec = autoscalingv1.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv1.CrossVersionObjectReference(in.Spec.ScaleTargetRef), MinReplicas: in.Spec.MinReplicas, MaxReplicas: in.Spec.MaxReplicas,
	}
	out.Status = autoscalingv1.HorizontalPodAutoscalerStatus{
		ObservedGeneration: in.Status.ObservedGeneration, LastScaleTime: in.Status.LastScaleTime,
		CurrentReplicas: in.Status.CurrentReplicas, DesiredReplicas: in.Status.DesiredReplicas,
	}
	carry := map[string]any{}
	var others []autoscalingv1.MetricSpec
	for i := range in.Spec.Metrics {
		m := &in.Spec.Metrics[i]
		if n := utilizationOfCPU(m); n == nil {
			others = append(others, metricToV1(m))
		} else if out.Spec.TargetCPUUtilizationPercentage == nil {
			out.Spec.TargetCPUUtilizationPercentage = n
		}
	}
	if len(others) > 0 {
		carry[metricsAnnotation] = others
	}
	var current []autoscalingv1.MetricStatus
	for i := range in.Status.CurrentMetrics {
		m := &in.Status.CurrentMetrics[i]
		current = append(current, statusToV1(m))
		if r := m.Resource; m.Type == autoscalingv2.ResourceMetricSourceType && r != nil && r.Name == corev1.ResourceCPU && r.Current.AverageUtilization != nil {
			out.Status.CurrentCPUUtilizationPercentage = r.Current.AverageUtilization
		}
	}
	if len(current) > 0 {
		carry[currentMetricsAnnotation] = current
	}
	if in.Spec.Behavior != nil {
		carry[behaviorAnnotation] = untagged.Value(in.Spec.Behavior)
	}
	if len(in.Status.Conditions) > 0 {
		carry[conditionsAnnotation] = in.Status.Conditions // both versions' are written alike
	}
	return out, annotate(out, carry)
}

// annotate writes the values into the object's annotations, in place of any that were there.
func annotate(out *autoscalingv1.HorizontalPodAutoscaler, carry map[string]any) error {
	out.Annotations = withoutCarried(out.Annotations)
	for key, value := range carry {
		text, err := json.Marshal(value)
		if err != nil {
			return fmt.Errorf("horizontalpodautoscaler %s/%s: annotation %s: %w", out.Namespace, out.Name, key, err)
		}
		if out.Annotations == nil {
			out.Annotations = map[string]string{}
		}
		out.Annotations[key] = string(text)
	}
	return nil
}

// utilizationOfCPU is the target that v1 has a field for; nil when the metric is another.
func utilizationOfCPU(m *autoscalingv2.MetricSpec) *int32 {
	if m.Type != autoscalingv2.ResourceMetricSourceType || m.Resource == nil || m.Resource.Name != corev1.ResourceCPU {
		return nil
	}
	return m.Resource.Target.AverageUtilization
}

// FromV1 returns the object as it is stored. It shares nothing with in. Annotations that cannot be read are passed over, as are those of v1
// that a client made up: validation judges what they say like anything else. An object without any metric is given the default one here, since
// only together with the annotations is it known that there is none.
func FromV1(in *autoscalingv1.HorizontalPodAutoscaler) *autoscalingv2.HorizontalPodAutoscaler {
	in = in.DeepCopy()
	out := &autoscalingv2.HorizontalPodAutoscaler{TypeMeta: in.TypeMeta, ObjectMeta: in.ObjectMeta}
	if out.APIVersion != "" {
		out.APIVersion = autoscalingv2.SchemeGroupVersion.String()
	}
	out.Spec = autoscalingv2.HorizontalPodAutoscalerSpec{
		ScaleTargetRef: autoscalingv2.CrossVersionObjectReference(in.Spec.ScaleTargetRef), MinReplicas: in.Spec.MinReplicas, MaxReplicas: in.Spec.MaxReplicas,
	}
	out.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
		ObservedGeneration: in.Status.ObservedGeneration, LastScaleTime: in.Status.LastScaleTime,
		CurrentReplicas: in.Status.CurrentReplicas, DesiredReplicas: in.Status.DesiredReplicas,
	}
	metricsFromV1(in, out)
	var behavior autoscalingv2.HorizontalPodAutoscalerBehavior
	if carried(in, behaviorAnnotation, &behavior) && behavior != (autoscalingv2.HorizontalPodAutoscalerBehavior{}) {
		out.Spec.Behavior = &behavior
	}
	var conditions []autoscalingv2.HorizontalPodAutoscalerCondition
	if carried(in, conditionsAnnotation, &conditions) {
		out.Status.Conditions = conditions
	}
	out.Annotations = withoutCarried(out.Annotations)
	return out
}

// metricsFromV1 joins the annotations' metrics with the one that v1 has a field for, which comes last.
func metricsFromV1(in *autoscalingv1.HorizontalPodAutoscaler, out *autoscalingv2.HorizontalPodAutoscaler) {
	var others []autoscalingv1.MetricSpec
	if carried(in, metricsAnnotation, &others) {
		for i := range others {
			out.Spec.Metrics = append(out.Spec.Metrics, metricFromV1(&others[i]))
		}
	}
	if n := in.Spec.TargetCPUUtilizationPercentage; n != nil {
		out.Spec.Metrics = append(out.Spec.Metrics, cpuUtilization(*n))
	}
	if len(out.Spec.Metrics) == 0 {
		out.Spec.Metrics = []autoscalingv2.MetricSpec{cpuUtilization(defaultUtilization)}
	}
	var current []autoscalingv1.MetricStatus
	if carried(in, currentMetricsAnnotation, &current) { // they say more than the field does
		out.Status.CurrentMetrics = make([]autoscalingv2.MetricStatus, len(current))
		for i := range current {
			out.Status.CurrentMetrics[i] = statusFromV1(&current[i])
		}
	} else if n := in.Status.CurrentCPUUtilizationPercentage; n != nil {
		out.Status.CurrentMetrics = []autoscalingv2.MetricStatus{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricStatus{
			Name: corev1.ResourceCPU, Current: autoscalingv2.MetricValueStatus{AverageUtilization: n},
		}}}
	}
}

// carried reads an annotation into v, and says whether it could be read.
func carried(in *autoscalingv1.HorizontalPodAutoscaler, key string, v any) bool {
	text, ok := in.Annotations[key]
	return ok && json.Unmarshal([]byte(text), v) == nil
}
