package podautoscaler_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/floe-k8s/floe/internal/controller/controllertest"
	"github.com/floe-k8s/floe/internal/controller/controllertest/bed"
	"github.com/floe-k8s/floe/internal/controller/engine"
	"github.com/floe-k8s/floe/internal/controller/podautoscaler"
	"github.com/floe-k8s/floe/internal/kinds"
	"github.com/floe-k8s/floe/internal/kinds/all"
)

var (
	pods        = corev1.SchemeGroupVersion.WithResource("pods")
	deployments = appsv1.SchemeGroupVersion.WithResource("deployments")
	autoscalers = autoscalingv2.SchemeGroupVersion.WithResource("horizontalpodautoscalers")
	web         = map[string]string{"app": "web"}
)

func catalog() ([]*kinds.Kind, <-chan struct{}) { return all.Kinds(), nil }

// answers are a Source: JSON by API group and path.
type answers map[string]func() string

func (a answers) Serves(gv schema.GroupVersion) bool {
	for key := range a {
		if strings.HasPrefix(key, gv.String()) {
			return true
		}
	}
	return false
}

func (a answers) Read(gv schema.GroupVersion, _, path string, query url.Values, into any) error {
	answer := a[gv.String()+path]
	if answer == nil {
		return fmt.Errorf("nobody answers %s%s?%s", gv, path, query.Encode())
	}
	return json.Unmarshal([]byte(answer()), into)
}

const usage = "metrics.k8s.io/v1beta1/namespaces/default/pods"

// using answers with so many thousandths of a CPU for each of the pods.
func using(clock func() time.Time, each *int) func() string {
	return func() string {
		var items []string
		for i := range 20 {
			items = append(items, fmt.Sprintf(`{"metadata":{"name":"web-%d"},"timestamp":%q,"window":"30s","containers":[{"name":"c","usage":{"cpu":"%dm"}}]}`,
				i, clock().UTC().Format(time.RFC3339), *each))
		}
		return `{"items":[` + strings.Join(items, ",") + `]}`
	}
}

// play is a bed whose autoscaler has a round when the test says so.
type play struct {
	*bed.Bed
	ctl  engine.Controller
	told []string // the messages of events
}

// round is one of an autoscaler's, so long after the last.
func (p *play) round(name string, after time.Duration) {
	p.Helper()
	p.Clock.Step(after)
	key := engine.Key{Resource: autoscalers, Namespace: "default", Name: name}
	messages, _, err := controllertest.Step(p.Context(), p.As(p.ctl.User), p.ctl, key, p.Clock.Now())
	if err != nil {
		p.Fatal(err)
	}
	p.told = append(p.told, messages...)
}

// stage is a bed with a deployment, as many ready pods of it as there are replicas, and an autoscaler.
func stage(t *testing.T, source podautoscaler.Source, spec autoscalingv2.HorizontalPodAutoscalerSpec) *play {
	b := bed.New(t, 1)
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: web}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
		Name: "c", Image: "i", Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{"cpu": resource.MustParse("1")}},
	}}}}
	b.Put(deployments, &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: appsv1.DeploymentSpec{
		Replicas: ptr.To[int32](3), Selector: &metav1.LabelSelector{MatchLabels: web}, Template: template,
	}})
	bed.Change(b, deployments, "default", "web", "status", func(d *appsv1.Deployment) { d.Status.Replicas = 3 })
	for i := range 3 {
		name := fmt.Sprint("web-", i)
		b.Put(pods, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, Labels: web}, Spec: *template.Spec.DeepCopy()})
		bed.Change(b, pods, "default", name, "status", func(p *corev1.Pod) {
			began := metav1.NewTime(b.Clock.Now().Add(-time.Hour))
			p.Status.Phase, p.Status.StartTime = corev1.PodRunning, &began
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue, LastTransitionTime: began}}
		})
	}
	spec.ScaleTargetRef = autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "web"}
	if spec.MaxReplicas == 0 {
		spec.MaxReplicas = 20
	}
	b.Put(autoscalers, &autoscalingv2.HorizontalPodAutoscaler{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}, Spec: spec})
	return &play{Bed: b, ctl: podautoscaler.New(podautoscaler.Config{
		Catalog: catalog, Source: source, Settings: podautoscaler.Defaults(), Metrics: podautoscaler.NewMetrics(), Now: b.Clock.Now,
	})}
}

func cpu(percent int32) []autoscalingv2.MetricSpec {
	return []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{
		Name: "cpu", Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: &percent},
	}}}
}

func replicas(b *play) int32 {
	return *bed.Get[*appsv1.Deployment](b.Bed, deployments, "default", "web").Spec.Replicas
}

// conditions are an autoscaler's, as Type=Status Reason.
func conditions(b *play) (all []string) {
	for _, c := range bed.Get[*autoscalingv2.HorizontalPodAutoscaler](b.Bed, autoscalers, "default", "web").Status.Conditions {
		all = append(all, fmt.Sprintf("%s=%s %s", c.Type, c.Status, c.Reason))
	}
	return all
}

func expect(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(strings.Join(got, "\n"), w) {
			t.Errorf("%s are\n%s\nwithout %s", what, strings.Join(got, "\n"), w)
		}
	}
}

// TestRisesAndFalls: replicas rise at once with what pods use, not above twice what there is, and fall when five minutes recommended less.
func TestRisesAndFalls(t *testing.T) {
	each := 900
	var b *play
	source := answers{usage: func() string { return using(b.Clock.Now, &each)() }}
	b = stage(t, source, autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: cpu(30)})
	b.round("web", 0)
	if got := replicas(b); got != 6 {
		t.Fatalf("%d replicas, want twice the three", got)
	}
	expect(t, "conditions", conditions(b), "AbleToScale=True SucceededRescale", "ScalingActive=True ValidMetricFound", "ScalingLimited=True ScaleUpLimit")
	expect(t, "events", b.told, "New size: 6; reason: cpu resource utilization (percentage of request) above target")
	each = 150 // of the three pods that there are: two would do
	b.round("web", 15*time.Second)
	if got := replicas(b); got != 9 {
		t.Fatalf("%d replicas right after, want the nine that were recommended before", got)
	}
	b.round("web", 15*time.Second)
	expect(t, "conditions", conditions(b), "AbleToScale=True ScaleDownStabilized")
	for range 5 * 4 {
		b.round("web", 15*time.Second)
	}
	if got := replicas(b); got != 2 {
		t.Errorf("%d replicas five minutes later, want 2", got)
	}
	expect(t, "events", b.told, "New size: 2; reason: All metrics below target")
	status := bed.Get[*autoscalingv2.HorizontalPodAutoscaler](b.Bed, autoscalers, "default", "web").Status
	if m := status.CurrentMetrics[0].Resource.Current; *m.AverageUtilization != 15 || m.AverageValue.String() != "150m" {
		t.Errorf("the status says %+v", m)
	}
}

// TestWhatCannotBeHad: the target's scale, its metrics, its selector; each says why in a condition and an event, and nothing is scaled.
func TestWhatCannotBeHad(t *testing.T) {
	some := 900
	for name, c := range map[string]struct {
		source     podautoscaler.Source
		change     func(b *play)
		conditions []string
		events     []string
	}{
		"nobody serves metrics": {
			conditions: []string{"AbleToScale=True SucceededGetScale", "ScalingActive=False FailedGetResourceMetric"},
			events: []string{
				"failed to get cpu utilization: unable to get metrics for resource cpu: unable to fetch metrics from resource metrics API: the server could not find the requested resource (get pods.metrics.k8s.io)",
				"invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics",
			},
		},
		"the target is not there": {
			change:     func(b *play) { b.Remove(deployments, "default", "web") },
			conditions: []string{"AbleToScale=False FailedGetScale"},
			events:     []string{`deployments.apps "web" not found`},
		},
		"nor its kind": {
			change: func(b *play) {
				bed.Change(b.Bed, autoscalers, "default", "web", "", func(h *autoscalingv2.HorizontalPodAutoscaler) { h.Spec.ScaleTargetRef.Kind = "Ship" })
			},
			conditions: []string{"AbleToScale=False FailedGetScale"},
			events:     []string{`no matches for kind "Ship" in group "apps"`},
		},
		"it cannot be scaled": {
			change: func(b *play) {
				bed.Change(b.Bed, autoscalers, "default", "web", "", func(h *autoscalingv2.HorizontalPodAutoscaler) {
					h.Spec.ScaleTargetRef.APIVersion, h.Spec.ScaleTargetRef.Kind = "batch/v1", "Job"
				})
			},
			conditions: []string{"AbleToScale=False FailedGetScale"},
			events:     []string{"the server could not find the requested resource"},
		},
		"it is switched off": {
			change: func(b *play) {
				bed.Change(b.Bed, deployments, "default", "web", "", func(d *appsv1.Deployment) { d.Spec.Replicas = ptr.To[int32](0) })
			},
			conditions: []string{"ScalingActive=False ScalingDisabled"},
		},
		"another selects its pods": {
			source: answers{usage: using(time.Now, &some)},
			change: func(b *play) {
				h := bed.Get[*autoscalingv2.HorizontalPodAutoscaler](b.Bed, autoscalers, "default", "web").DeepCopy()
				h.ObjectMeta = metav1.ObjectMeta{Namespace: "default", Name: "two"}
				b.Put(autoscalers, h)
				b.round("two", 0)
				b.round("web", 0)
			},
			conditions: []string{"ScalingActive=False AmbiguousSelector"},
			events:     []string{"pods by selector app=web are controlled by multiple HPAs: [{two default} {web default}]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := stage(t, c.source, autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: cpu(90)})
			if c.change != nil {
				c.change(b)
			}
			b.round("web", 0)
			expect(t, "conditions", conditions(b), c.conditions...)
			expect(t, "events", b.told, c.events...)
			if d := bed.Get[*appsv1.Deployment](b.Bed, deployments, "default", "web"); d != nil && *d.Spec.Replicas != 3 && *d.Spec.Replicas != 0 {
				t.Errorf("%d replicas, want them as they were", *d.Spec.Replicas)
			}
		})
	}
}

// TestBoundsNeedNoMetrics: replicas above the most, or below the least, are changed without a look at metrics.
func TestBoundsNeedNoMetrics(t *testing.T) {
	for _, c := range []struct {
		least, most, want int32
		reason            string
	}{{1, 2, 2, "Current number of replicas above Spec.MaxReplicas"}, {5, 9, 5, "Current number of replicas below Spec.MinReplicas"}} {
		b := stage(t, nil, autoscalingv2.HorizontalPodAutoscalerSpec{MinReplicas: &c.least, MaxReplicas: c.most, Metrics: cpu(50)})
		b.round("web", 0)
		if got := replicas(b); got != c.want {
			t.Errorf("%d replicas, want %d", got, c.want)
		}
		expect(t, "events", b.told, fmt.Sprintf("New size: %d; reason: %s", c.want, c.reason))
	}
}

// TestOtherMetrics: metrics of pods, of an object and of something outside, in each way that a target can be given.
func TestOtherMetrics(t *testing.T) {
	value := func(of string, n string) string {
		return fmt.Sprintf(`{"items":[{"describedObject":{"name":%q},"timestamp":"2026-11-21T12:00:00Z","value":%q}]}`, of, n)
	}
	three := `{"items":[{"describedObject":{"name":"web-0"},"value":"6"},{"describedObject":{"name":"web-1"},"value":"6"},{"describedObject":{"name":"web-2"},"value":"6"}]}`
	source := answers{
		"custom.metrics.k8s.io/v1beta2/namespaces/default/pods/*/hits":         func() string { return three },
		"custom.metrics.k8s.io/v1beta2/namespaces/default/services/front/hits": func() string { return value("front", "10") },
		"custom.metrics.k8s.io/v1beta2/namespaces/default/metrics/hits":        func() string { return value("default", "10") },
		"external.metrics.k8s.io/v1beta1/namespaces/default/queue":             func() string { return `{"items":[{"value":"4"},{"value":"6"}]}` },
	}
	q := func(s string) *resource.Quantity { return ptr.To(resource.MustParse(s)) }
	hits, queue := autoscalingv2.MetricIdentifier{Name: "hits"}, autoscalingv2.MetricIdentifier{Name: "queue"}
	object := func(kind, name string, target autoscalingv2.MetricTarget) autoscalingv2.MetricSpec {
		return autoscalingv2.MetricSpec{Type: "Object", Object: &autoscalingv2.ObjectMetricSource{
			DescribedObject: autoscalingv2.CrossVersionObjectReference{APIVersion: "v1", Kind: kind, Name: name}, Metric: hits, Target: target,
		}}
	}
	for name, c := range map[string]struct {
		spec   autoscalingv2.MetricSpec
		want   int32
		status string
		reason string
	}{
		"of pods": {autoscalingv2.MetricSpec{Type: "Pods", Pods: &autoscalingv2.PodsMetricSource{Metric: hits, Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: q("4")}}},
			5, "6", "pods metric hits above target"},
		"of a service":          {object("Service", "front", autoscalingv2.MetricTarget{Type: "Value", Value: q("5")}), 6, "10", "Service metric hits above target"},
		"of a service, each":    {object("Service", "front", autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: q("2")}), 5, "3334m", "external metric hits(nil) above target"},
		"of the namespace":      {object("Namespace", "other", autoscalingv2.MetricTarget{Type: "Value", Value: q("5")}), 6, "10", "Namespace metric hits above target"},
		"outside":               {autoscalingv2.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: queue, Target: autoscalingv2.MetricTarget{Type: "Value", Value: q("5")}}}, 6, "10", "external metric queue(nil) above target"},
		"outside, each":         {autoscalingv2.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{Metric: queue, Target: autoscalingv2.MetricTarget{Type: "AverageValue", AverageValue: q("2")}}}, 5, "3334m", "external metric queue(nil) above target"},
		"of a kind without one": {object("Ship", "x", autoscalingv2.MetricTarget{Type: "Value", Value: q("5")}), 3, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := stage(t, source, autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: []autoscalingv2.MetricSpec{c.spec}})
			b.round("web", 0)
			if got := replicas(b); got != c.want {
				t.Errorf("%d replicas, want %d: %v", got, c.want, b.told)
			}
			if c.reason == "" {
				expect(t, "conditions", conditions(b), "ScalingActive=False FailedGetObjectMetric")
				return
			}
			expect(t, "events", b.told, c.reason)
			said, err := json.Marshal(bed.Get[*autoscalingv2.HorizontalPodAutoscaler](b.Bed, autoscalers, "default", "web").Status.CurrentMetrics)
			if err != nil || !strings.Contains(string(said), `alue":"`+c.status+`"`) {
				t.Errorf("the status says %s, without %s", said, c.status)
			}
		})
	}
}

// TestOneBadMetricDoesNotScaleDown: while a metric cannot be had, the others scale up only.
func TestOneBadMetricDoesNotScaleDown(t *testing.T) {
	each := 100
	var b *play
	source := answers{usage: func() string { return using(b.Clock.Now, &each)() }}
	missing := autoscalingv2.MetricSpec{Type: "External", External: &autoscalingv2.ExternalMetricSource{
		Metric: autoscalingv2.MetricIdentifier{Name: "queue"}, Target: autoscalingv2.MetricTarget{Type: "Value", Value: ptr.To(resource.MustParse("5"))},
	}}
	b = stage(t, source, autoscalingv2.HorizontalPodAutoscalerSpec{Metrics: append(cpu(90), missing)})
	for range 25 {
		b.round("web", 15*time.Second)
	}
	if got := replicas(b); got != 3 {
		t.Errorf("%d replicas, want the three: one metric asks for fewer, the other is not known", got)
	}
	expect(t, "conditions", conditions(b), "ScalingActive=False FailedGetExternalMetric")
	each = 1200
	b.round("web", 15*time.Second)
	if got := replicas(b); got != 4 {
		t.Errorf("%d replicas, want 4: more is asked for, whatever is not known", got)
	}
}
