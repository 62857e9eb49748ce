package autoscaling_test

import (
	"fmt"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/randfill"

	"github.com/floe-k8s/floe/internal/kinds/autoscaling"
	"github.com/floe-k8s/floe/internal/kinds/kindtest"
)

// full has something in every field that v1 has none for.
func full() *autoscalingv2.HorizontalPodAutoscaler {
	metric := autoscalingv2.MetricIdentifier{Name: "m", Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"a": "b"}}}
	object := autoscalingv2.CrossVersionObjectReference{APIVersion: "networking.k8s.io/v1", Kind: "Ingress", Name: "main"}
	average := autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("3")}
	value := autoscalingv2.MetricTarget{Type: "Value", Value: quantity("3")}
	half := autoscalingv2.MetricTarget{Type: "Utilization", AverageUtilization: ptr.To[int32](50)}
	now := autoscalingv2.MetricValueStatus{AverageValue: quantity("2"), AverageUtilization: ptr.To[int32](40)}
	return autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Annotations = map[string]string{"mine": "1"}
		h.Spec.Metrics = []autoscalingv2.MetricSpec{
			{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{DescribedObject: object, Metric: metric, Target: value}},
			{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{DescribedObject: object, Metric: metric, Target: average}},
			{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{Metric: metric, Target: average}},
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "memory", Target: average}},
			{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricSource{Name: "cpu", Container: "c", Target: half}},
			{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: metric, Target: value}},
			{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: metric, Target: average}},
			{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "cpu", Target: half}},
		}
		h.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleDown: &autoscalingv2.HPAScalingRules{Tolerance: quantity("100m"), SelectPolicy: ptr.To(autoscalingv2.DisabledPolicySelect)}}
		at := metav1.NewTime(kindtest.Env().Now)
		h.Status = autoscalingv2.HorizontalPodAutoscalerStatus{
			ObservedGeneration: ptr.To[int64](2), LastScaleTime: &at, CurrentReplicas: 3, DesiredReplicas: 4,
			Conditions: []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: "AbleToScale", Status: "True", LastTransitionTime: at, Reason: "R", Message: "m"}},
			CurrentMetrics: []autoscalingv2.MetricStatus{
				{Type: "Object", Object: &autoscalingv2.ObjectMetricStatus{DescribedObject: object, Metric: metric, Current: autoscalingv2.MetricValueStatus{Value: quantity("2"), AverageValue: quantity("1")}}},
				{Type: "Pods", Pods: &autoscalingv2.PodsMetricStatus{Metric: metric, Current: autoscalingv2.MetricValueStatus{AverageValue: quantity("2")}}},
				{Type: "Resource", Resource: &autoscalingv2.ResourceMetricStatus{Name: "cpu", Current: now}},
				{Type: "ContainerResource", ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: "cpu", Container: "c", Current: now}},
				{Type: "External", External: &autoscalingv2.ExternalMetricStatus{Metric: metric, Current: autoscalingv2.MetricValueStatus{Value: quantity("2"), AverageValue: quantity("1")}}},
			},
		}
	})
}

func TestNothingIsLost(t *testing.T) {
	h := full()
	before := h.DeepCopy()
	v1, err := autoscaling.ToV1(h)
	if err != nil {
		t.Fatal(err)
	}
	if *v1.Spec.TargetCPUUtilizationPercentage != 50 || *v1.Status.CurrentCPUUtilizationPercentage != 40 || v1.Status.DesiredReplicas != 4 || len(v1.Annotations) != 5 {
		t.Errorf("got %+v, %v", v1, v1.Annotations)
	}
	kept := v1.DeepCopy()
	if back := autoscaling.FromV1(v1); !equality.Semantic.DeepEqual(back, h) {
		t.Errorf("got %+v\nwant %+v", back, h)
	}
	if !equality.Semantic.DeepEqual(h, before) || !equality.Semantic.DeepEqual(v1, kept) {
		t.Error("a conversion changed what it converts")
	}
}

// TestAnnotations holds what upstream's servers and old clients read.
func TestAnnotations(t *testing.T) {
	v1, err := autoscaling.ToV1(autoscaler(func(h *autoscalingv2.HorizontalPodAutoscaler) {
		h.Spec.Metrics = []autoscalingv2.MetricSpec{{Type: "Resource", Resource: &autoscalingv2.ResourceMetricSource{Name: "memory", Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: quantity("1Gi")}}}}
		h.Spec.Behavior = &autoscalingv2.HorizontalPodAutoscalerBehavior{ScaleUp: &autoscalingv2.HPAScalingRules{Tolerance: quantity("100m")}}
		h.Status.Conditions = []autoscalingv2.HorizontalPodAutoscalerCondition{{Type: "AbleToScale", Status: "True"}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"metrics":    `[{"type":"Resource","resource":{"name":"memory","targetAverageValue":"1Gi"}}]`,
		"conditions": `[{"type":"AbleToScale","status":"True","lastTransitionTime":null}]`,
		"behavior": `{"ScaleUp":{"StabilizationWindowSeconds":0,"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15},{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":"100m"},` +
			`"ScaleDown":{"StabilizationWindowSeconds":null,"SelectPolicy":"Max","Policies":[{"Type":"Percent","Value":100,"PeriodSeconds":15}],"Tolerance":null}}`,
	} {
		if got := v1.Annotations["autoscaling.alpha.kubernetes.io/"+key]; got != want {
			t.Errorf("%s: got %s, want %s", key, got, want)
		}
	}
}

func TestAnnotationsOfNoUse(t *testing.T) {
	v1 := &autoscalingv1.HorizontalPodAutoscaler{}
	v1.Annotations = map[string]string{
		"autoscaling.alpha.kubernetes.io/metrics": "{", "autoscaling.alpha.kubernetes.io/behavior": "{}", "autoscaling.alpha.kubernetes.io/scale-up-tolerance": "1", "mine": "1",
	}
	v1.Status.CurrentCPUUtilizationPercentage = ptr.To[int32](7)
	h := autoscaling.FromV1(v1)
	if m := h.Spec.Metrics; len(m) != 1 || *m[0].Resource.Target.AverageUtilization != 80 || h.Spec.Behavior != nil || len(h.Annotations) != 1 || *h.Status.CurrentMetrics[0].Resource.Current.AverageUtilization != 7 {
		t.Errorf("got %+v, %v", h.Spec, h.Annotations)
	}
}

// TestVersion1IsLossless: of what upstream's validation lets through, v1 keeps all.
func TestVersion1IsLossless(t *testing.T) {
	fill := kindtest.Filler(time.Now().UnixNano()).Funcs(
		func(m *autoscalingv2.MetricSpec, c randfill.Continue) { *m = randomMetric(c) },
		func(m *autoscalingv2.MetricStatus, c randfill.Continue) { *m = randomStatus(c) },
	)
	kindtest.Lossless(t, autoscaling.HorizontalPodAutoscalerV1(autoscaling.HorizontalPodAutoscaler()), fill)
}

// randomTarget has one of the two amounts.
func randomTarget(c randfill.Continue) autoscalingv2.MetricTarget {
	amount := quantity(fmt.Sprint(1 + c.Intn(1000)))
	if c.Bool() {
		return autoscalingv2.MetricTarget{Type: autoscalingv2.ValueMetricType, Value: amount}
	}
	return autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: amount}
}

// randomMetric is a metric that validation takes, but for its names. Two of the use of the whole pods' CPU would be one in v1, and are refused.
func randomMetric(c randfill.Continue) (m autoscalingv2.MetricSpec) {
	var name autoscalingv2.MetricIdentifier
	c.Fill(&name)
	average := autoscalingv2.MetricTarget{Type: autoscalingv2.AverageValueMetricType, AverageValue: quantity("7")}
	half := autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr.To(c.Int31n(100) + 1)}
	switch m.Type = types[c.Intn(len(types))]; m.Type {
	case autoscalingv2.ObjectMetricSourceType:
		m.Object = &autoscalingv2.ObjectMetricSource{Metric: name, Target: randomTarget(c)}
		c.Fill(&m.Object.DescribedObject)
	case autoscalingv2.PodsMetricSourceType:
		m.Pods = &autoscalingv2.PodsMetricSource{Metric: name, Target: average}
	case autoscalingv2.ResourceMetricSourceType:
		m.Resource = &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceMemory, Target: half}
	case autoscalingv2.ContainerResourceMetricSourceType:
		m.ContainerResource = &autoscalingv2.ContainerResourceMetricSource{Name: corev1.ResourceCPU, Container: c.String(5), Target: half}
	case autoscalingv2.ExternalMetricSourceType:
		m.External = &autoscalingv2.ExternalMetricSource{Metric: name, Target: randomTarget(c)}
	}
	return m
}

var types = [...]autoscalingv2.MetricSourceType{
	autoscalingv2.ObjectMetricSourceType, autoscalingv2.PodsMetricSourceType, autoscalingv2.ResourceMetricSourceType,
	autoscalingv2.ContainerResourceMetricSourceType, autoscalingv2.ExternalMetricSourceType,
}

func randomStatus(c randfill.Continue) (m autoscalingv2.MetricStatus) {
	var name autoscalingv2.MetricIdentifier
	c.Fill(&name)
	now := autoscalingv2.MetricValueStatus{AverageValue: quantity(fmt.Sprint(c.Intn(1000)))}
	share := now
	share.AverageUtilization = ptr.To(c.Int31n(100))
	switch m.Type = types[c.Intn(len(types))]; m.Type {
	case autoscalingv2.ObjectMetricSourceType:
		m.Object = &autoscalingv2.ObjectMetricStatus{Metric: name, Current: autoscalingv2.MetricValueStatus{Value: quantity("3")}}
		c.Fill(&m.Object.DescribedObject)
	case autoscalingv2.PodsMetricSourceType:
		m.Pods = &autoscalingv2.PodsMetricStatus{Metric: name, Current: now}
	case autoscalingv2.ResourceMetricSourceType:
		m.Resource = &autoscalingv2.ResourceMetricStatus{Name: corev1.ResourceCPU, Current: share}
	case autoscalingv2.ContainerResourceMetricSourceType:
		m.ContainerResource = &autoscalingv2.ContainerResourceMetricStatus{Name: corev1.ResourceCPU, Container: c.String(5), Current: share}
	case autoscalingv2.ExternalMetricSourceType:
		m.External = &autoscalingv2.ExternalMetricStatus{Metric: name, Current: autoscalingv2.MetricValueStatus{Value: quantity("4")}}
	}
	return m
}
