package podautoscaler

import (
	"errors"
	"fmt"
	"slices"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// proposal is what one metric asks for.
type proposal struct {
	replicas int32
	name     string // of the metric, for people
	status   autoscalingv2.MetricStatus
}

// failure is a metric that asks for nothing.
type failure struct {
	reason string // of the condition and the event that say why
	why    error  // which they say
	text   error  // which the whole round's error says
}

func failed(reason string, why error, format string, args ...any) *failure {
	return &failure{reason, why, fmt.Errorf(format, args...)}
}

// errNoTarget is an autoscaler that validation would not have let pass.
var errNoTarget = errors.New("neither a value target nor an average value target was set")

// propose is what a metric asks for.
func (r *round) propose(m *autoscalingv2.MetricSpec) (proposal, *failure) {
	switch m.Type {
	case autoscalingv2.ResourceMetricSourceType:
		p, value, err := r.ofResource(m.Resource.Name, "", m.Resource.Target)
		if err != nil {
			return proposal{}, failed("FailedGetResourceMetric", err, "failed to get %s resource metric value: %w", m.Resource.Name, err)
		}
		p.status = autoscalingv2.MetricStatus{Type: m.Type, Resource: &autoscalingv2.ResourceMetricStatus{Name: m.Resource.Name, Current: value}}
		return p, nil
	case autoscalingv2.ContainerResourceMetricSourceType:
		c := m.ContainerResource
		p, value, err := r.ofResource(c.Name, c.Container, c.Target)
		if err != nil {
			return proposal{}, failed("FailedGetContainerResourceMetric", err, "failed to get %s container metric value: %w", c.Container, err)
		}
		p.status = autoscalingv2.MetricStatus{Type: m.Type, ContainerResource: &autoscalingv2.ContainerResourceMetricStatus{Name: c.Name, Container: c.Container, Current: value}}
		return p, nil
	case autoscalingv2.PodsMetricSourceType:
		p, err := r.ofPods(m.Pods)
		if err != nil {
			return proposal{}, failed("FailedGetPodsMetric", err, "failed to get pods metric value: %w", err)
		}
		return p, nil
	case autoscalingv2.ObjectMetricSourceType:
		p, err := r.ofObject(m.Object)
		if err != nil {
			how := ""
			if t := m.Object.Target; t.Type == autoscalingv2.AverageValueMetricType && t.AverageValue != nil {
				how = fmt.Sprintf("failed to get %s object metric: ", m.Object.Metric.Name)
			}
			return proposal{}, failed("FailedGetObjectMetric", err, "failed to get object metric value: %s%w", how, err)
		}
		return p, nil
	case autoscalingv2.ExternalMetricSourceType:
		p, err := r.ofOutside(m.External)
		if err != nil {
			name, how := m.External.Metric.Name, ""
			switch {
			case m.External.Target.AverageValue != nil:
				how = fmt.Sprintf("failed to get %s external metric: ", name)
			case m.External.Target.Value != nil:
				how = fmt.Sprintf("failed to get external metric %s: ", name)
			}
			return proposal{}, failed("FailedGetExternalMetric", err, "failed to get %s external metric value: %s%w", name, how, err)
		}
		return p, nil
	}
	err := fmt.Errorf("unknown metric source type %q", string(m.Type))
	return proposal{}, &failure{unknownType, err, err}
}

// unknownType is the reason of a failure by the autoscaler's spec.
const unknownType = "InvalidMetricSourceType"

// ofResource weighs a resource of pods, or of one container of each.
func (r *round) ofResource(name corev1.ResourceName, container string, target autoscalingv2.MetricTarget) (proposal, autoscalingv2.MetricValueStatus, error) {
	var value autoscalingv2.MetricValueStatus
	what := "utilization"
	if target.AverageValue != nil {
		what = "usage"
	} else if target.AverageUtilization == nil {
		return proposal{}, value, errors.New("invalid resource metric source: neither an average utilization target nor an average value (usage) target was set")
	}
	seen, err := r.c.source.usage(name, r.hpa.Namespace, r.selector, container)
	if err != nil {
		return proposal{}, value, fmt.Errorf("failed to get %s %s: unable to get metrics for resource %s: %w", name, what, name, err)
	}
	crowd, current := r.crowd(name), r.target.want
	p := proposal{name: fmt.Sprintf("%s resource", name)}
	var told reading
	if target.AverageValue != nil {
		p.replicas, told, err = crowd.plain(current, seen, target.AverageValue.MilliValue(), r.within)
	} else {
		p.name += " utilization (percentage of request)"
		if container != "" {
			p.name = fmt.Sprintf("%s container resource utilization (percentage of request)", name)
		}
		p.replicas, told, err = crowd.utilization(current, seen, *target.AverageUtilization, container, r.within)
		value.AverageUtilization = &told.utilization
	}
	if err != nil {
		return proposal{}, value, fmt.Errorf("failed to get %s %s: %w", name, what, err)
	}
	form := resource.DecimalSI
	if name == corev1.ResourceMemory {
		form = resource.BinarySI
	}
	value.AverageValue = resource.NewMilliQuantity(told.average, form)
	return p, value, nil
}

func thousandths(n int64) *resource.Quantity { return resource.NewMilliQuantity(n, resource.DecimalSI) }

func (r *round) ofPods(m *autoscalingv2.PodsMetricSource) (proposal, error) {
	narrowed, err := metav1.LabelSelectorAsSelector(m.Metric.Selector)
	if err != nil {
		return proposal{}, err
	}
	seen, err := r.c.source.ofPods(m.Metric.Name, r.hpa.Namespace, r.selector, narrowed)
	if err != nil {
		return proposal{}, fmt.Errorf("unable to get metric %s: %w", m.Metric.Name, err)
	}
	replicas, told, err := r.crowd("").plain(r.target.want, seen, m.Target.AverageValue.MilliValue(), r.within)
	return proposal{replicas, "pods metric " + m.Metric.Name, autoscalingv2.MetricStatus{
		Type: autoscalingv2.PodsMetricSourceType,
		Pods: &autoscalingv2.PodsMetricStatus{Metric: m.Metric, Current: autoscalingv2.MetricValueStatus{AverageValue: thousandths(told.average)}},
	}}, err
}

func (r *round) ofObject(m *autoscalingv2.ObjectMetricSource) (proposal, error) {
	byValue := m.Target.Type == autoscalingv2.ValueMetricType && m.Target.Value != nil
	if !byValue && (m.Target.Type != autoscalingv2.AverageValueMetricType || m.Target.AverageValue == nil) {
		return proposal{}, fmt.Errorf("invalid object metric source: %w", errNoTarget)
	}
	narrowed, err := metav1.LabelSelectorAsSelector(m.Metric.Selector)
	if err != nil {
		return proposal{}, err
	}
	value, err := r.aboutObject(m, narrowed)
	if err != nil {
		return proposal{}, err
	}
	p := proposal{status: autoscalingv2.MetricStatus{
		Type: autoscalingv2.ObjectMetricSourceType, Object: &autoscalingv2.ObjectMetricStatus{DescribedObject: m.DescribedObject, Metric: m.Metric},
	}}
	if byValue {
		p.name = m.DescribedObject.Kind + " metric " + m.Metric.Name
		p.status.Object.Current.Value = thousandths(value)
		p.replicas, err = r.crowd("").whole(r.target.want, float64(value)/float64(m.Target.Value.MilliValue()), r.within)
		return p, err
	}
	var average int64
	p.name = outsideName(m.Metric)
	p.replicas, average = each(r.target.have, value, m.Target.AverageValue.MilliValue(), r.within)
	p.status.Object.Current.AverageValue = thousandths(average)
	return p, nil
}

func (r *round) aboutObject(m *autoscalingv2.ObjectMetricSource, narrowed labels.Selector) (int64, error) {
	about := m.DescribedObject
	gk := schema.FromAPIVersionAndKind(about.APIVersion, about.Kind).GroupKind()
	kind := r.c.kind(gk)
	if kind == nil {
		return 0, fmt.Errorf("unable to get metric %s: unable to fetch metrics from custom metrics API: %w on %s %s/%s", m.Metric.Name,
			&meta.NoKindMatchError{GroupKind: gk, SearchedVersions: []string{}}, about.Kind, r.hpa.Namespace, about.Name)
	}
	value, err := r.c.source.ofObject(m.Metric.Name, r.hpa.Namespace, about, kind.GVR().GroupResource(), narrowed)
	if err != nil {
		return 0, fmt.Errorf("unable to get metric %s: %w on %s %s/%s", m.Metric.Name, err, about.Kind, r.hpa.Namespace, about.Name)
	}
	return value, nil
}

func (r *round) ofOutside(m *autoscalingv2.ExternalMetricSource) (proposal, error) {
	if m.Target.AverageValue == nil && m.Target.Value == nil {
		return proposal{}, fmt.Errorf("invalid external metric source: %w", errNoTarget)
	}
	narrowed, err := metav1.LabelSelectorAsSelector(m.Metric.Selector)
	if err != nil {
		return proposal{}, err
	}
	value, err := r.c.source.outside(m.Metric.Name, r.hpa.Namespace, narrowed)
	if err != nil {
		return proposal{}, fmt.Errorf("unable to get external metric %s/%s/%+v: %w", r.hpa.Namespace, m.Metric.Name, m.Metric.Selector, err)
	}
	p := proposal{name: outsideName(m.Metric), status: autoscalingv2.MetricStatus{
		Type: autoscalingv2.ExternalMetricSourceType, External: &autoscalingv2.ExternalMetricStatus{Metric: m.Metric},
	}}
	if m.Target.AverageValue != nil {
		var average int64
		p.replicas, average = each(r.target.have, value, m.Target.AverageValue.MilliValue(), r.within)
		p.status.External.Current.AverageValue = thousandths(average)
		return p, nil
	}
	p.status.External.Current.Value = thousandths(value)
	p.replicas, err = r.crowd("").whole(r.target.want, float64(value)/float64(m.Target.Value.MilliValue()), r.within)
	return p, err
}

func outsideName(m autoscalingv2.MetricIdentifier) string {
	return fmt.Sprintf("external metric %s(%+v)", m.Name, m.Selector)
}

// largest is what the metrics ask for together. Not ok: they ask for nothing, since none can be had, or since those that can ask for less, and the conditions
// say why; err says which metric could not be had, also when it does not matter.
func (r *round) largest() (best proposal, ok bool, err error) {
	specs := r.hpa.Spec.Metrics
	r.statuses = make([]autoscalingv2.MetricStatus, len(specs))
	var first *failure
	wrong := 0
	for i := range specs {
		began := r.c.now()
		p, bad := r.propose(&specs[i])
		r.c.metrics.computed(p, bad, r.hpa.Status.CurrentReplicas, specs[i].Type, r.c.now().Sub(began))
		if bad != nil {
			r.warn(bad.reason, bad.why.Error())
			if first == nil {
				first = bad
			}
			wrong++
			continue
		}
		r.statuses[i] = p.status
		if best.replicas == 0 || p.replicas > best.replicas {
			best = p
		}
	}
	if first != nil {
		err = fmt.Errorf("invalid metrics (%v invalid out of %v), first error is: %w", wrong, len(specs), first.text)
	}
	if wrong >= len(specs) || wrong > 0 && best.replicas < r.target.want {
		if first != nil {
			r.condition(autoscalingv2.ScalingActive, corev1.ConditionFalse, first.reason, fmt.Sprintf("the HPA was unable to compute the replica count: %v", first.why))
		}
		return proposal{}, false, err
	}
	r.condition(autoscalingv2.ScalingActive, corev1.ConditionTrue, "ValidMetricFound", "the HPA was able to successfully calculate a replica count from "+best.name)
	return best, true, err
}

// crowd is the target's pods for one metric.
func (r *round) crowd(name corev1.ResourceName) *crowd {
	return &crowd{pods: slices.Clone(r.pods), resource: name, now: r.now, settings: &r.c.settings}
}
